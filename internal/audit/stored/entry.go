package stored

import "context"

// Entry is one stored entry without its sealed part. Leaf is nil when its term is over.
type Entry struct {
	N       uint64
	Opening *uint64
	Hash    []byte
	Leaf    []byte
	Key     string
}

// ScanEntries runs a query that selects n, opening, leaf_hash, leaf, key.
func ScanEntries(ctx context.Context, q Querier, query string, args ...any) ([]Entry, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Entry
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.N, &e.Opening, &e.Hash, &e.Leaf, &e.Key); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// Since reads up to limit entries of a log from number n on.
func Since(ctx context.Context, q Querier, log int, n uint64, limit int) ([]Entry, error) {
	return ScanEntries(ctx, q, `SELECT n, opening, leaf_hash, leaf, key FROM audit_entries WHERE log = $1 AND n >= $2 ORDER BY n LIMIT $3`, log, int64(n), limit)
}
