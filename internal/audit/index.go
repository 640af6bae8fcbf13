package audit

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

// The search index is a follower of the log: rebuildable, never a source of truth. It has one row for each opening,
// refusal, and entry that belongs to no call; the closing of a call is written into the row of its opening.

const (
	indexName  = "index"
	indexEvery = time.Second
	indexBatch = 256 // entries in one transaction: appends wait that long at most
)

// RunIndex keeps the index up to date until ctx ends. On several nodes one does it.
func (l *Log) RunIndex(ctx context.Context) {
	t := time.NewTicker(indexEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if l.c.Shared {
			if mine, err := l.c.DB.Lease(ctx, "audit.index", l.c.Instance, signLease); err != nil || !mine {
				continue
			}
		}
		if err := l.Index(ctx); err != nil && ctx.Err() == nil {
			l.c.Log.Warn("the search index is behind", "error", err)
		}
	}
}

// Index brings the index up to the end of the log.
func (l *Log) Index(ctx context.Context) error {
	for {
		n, err := l.indexSome(ctx)
		if err != nil || n < indexBatch {
			return err
		}
	}
}

func (l *Log) indexSome(ctx context.Context) (int, error) {
	var from uint64
	err := l.c.DB.Snapshot(ctx, func(tx *db.Tx) (err error) {
		from, err = readCursor(ctx, tx, l.log)
		return err
	})
	if err != nil {
		return 0, err
	}
	list, err := l.Since(ctx, l.log, from, indexBatch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	leaves := make([]*bundle.Leaf, len(list))
	for i, e := range list {
		if e.Leaf == nil {
			continue // destroyed after its term
		}
		if leaves[i], err = bundle.DecodeLeaf(e.Leaf); err != nil {
			return 0, err
		}
	}
	err = l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		now, err := readCursor(ctx, tx, l.log)
		if err != nil || now != from { // another node was faster
			return err
		}
		for i, e := range list {
			if leaves[i] == nil {
				continue
			}
			if err := l.indexEntry(ctx, tx, e.N, leaves[i]); err != nil {
				return err
			}
		}
		return moveCursor(ctx, tx, l.log, list[len(list)-1].N+1)
	})
	return len(list), err
}

const (
	indexEnd   = `UPDATE audit_index SET closing = $1, code = $2, duration = $3 - time, tokens_in = $4, tokens_out = $5 WHERE log = $6 AND n = $7`
	indexFound = `INSERT INTO audit_index_findings (log, finding, n) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	indexRow   = `INSERT INTO audit_index (log, n, time, type, kind, system, model, verdict, findings, code, duration, tokens_in, tokens_out)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0) ON CONFLICT DO NOTHING`
)

func (l *Log) indexEntry(ctx context.Context, tx *db.Tx, n uint64, leaf *bundle.Leaf) error {
	at := time.Unix(int64(leaf.Time), 0).UnixMicro()
	if leaf.Type.Ends() && leaf.Ref != nil {
		_, err := tx.StmtContext(ctx, l.prepared[indexEnd]).ExecContext(ctx, int64(n), leaf.Code, at, int64(leaf.TokensIn), int64(leaf.TokensOut), l.log, int64(*leaf.Ref))
		return err
	}
	types := make([]string, len(leaf.Findings))
	for i, f := range leaf.Findings {
		types[i] = f.Type
		if _, err := tx.StmtContext(ctx, l.prepared[indexFound]).ExecContext(ctx, l.log, f.Type, int64(n)); err != nil {
			return err
		}
	}
	_, err := tx.StmtContext(ctx, l.prepared[indexRow]).ExecContext(ctx, l.log, int64(n), at, string(leaf.Type), leaf.Kind, leaf.System, leaf.Model, leaf.Verdict, strings.Join(types, ","), leaf.Code)
	return err
}

// Row is one line of a search.
type Row struct {
	Log       int
	N         uint64
	Time      time.Time // to the second
	Type      bundle.Type
	System    string
	Model     string
	Verdict   string
	Findings  []string // types
	Closing   *uint64
	Code      string
	TokensIn  int64
	TokensOut int64
}

// ID is the entry's name.
func (r Row) ID() string { return bundle.CallID(r.Log, r.N) }

// Query says what to search for. Zero fields do not restrict.
type Query struct {
	System   string
	Verdict  string
	Type     string // of the entry; "call" = openings and refusals
	Finding  string
	From, To time.Time
	Before   *uint64 // entries with a smaller number, newest first
	After    *uint64 // entries with a larger number: the page above
	Limit    int     // default 50, at most 500
}

// Result is one page of a search, newest first.
type Result struct {
	Rows  []Row
	Newer bool      // there are rows above
	Older bool      // there are rows below
	AsOf  time.Time // when the index was last brought up to date
	Lag   uint64    // entries that it has not seen yet
}

// Search finds entries of the current log, newest first. Pages are asked for by key: what comes before or after a number.
func (l *Log) Search(ctx context.Context, q Query) (*Result, error) {
	if q.Limit <= 0 || q.Limit > 500 {
		q.Limit = 50
	}
	res := &Result{AsOf: l.c.DB.Now()}
	up := q.After != nil && q.Before == nil
	err := l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		cursor, err := readCursor(ctx, tx, l.log)
		if err != nil {
			return err
		}
		h, err := readHead(ctx, tx.Tx, l.log)
		if err == nil {
			res.Lag = h.size - min(cursor, h.size)
		}
		lo, hi, err := l.span(ctx, tx, q)
		if err != nil || lo >= hi {
			return err
		}
		if res.Rows, err = searchRows(ctx, tx, l.log, q, lo, hi, up); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	more := len(res.Rows) > q.Limit
	if more {
		res.Rows = res.Rows[:q.Limit]
	}
	if up {
		for i, j := 0, len(res.Rows)-1; i < j; i, j = i+1, j-1 {
			res.Rows[i], res.Rows[j] = res.Rows[j], res.Rows[i]
		}
		res.Newer, res.Older = more, true
	} else {
		res.Newer, res.Older = q.Before != nil, more
	}
	return res, nil
}

// span turns times and page keys into a range of numbers lo ≤ n < hi: numbers and times rise together.
func (l *Log) span(ctx context.Context, tx *db.Tx, q Query) (lo, hi int64, err error) {
	hi = 1 << 62
	if !q.From.IsZero() {
		err = tx.QueryRowContext(ctx, `SELECT n FROM audit_index WHERE log = $1 AND time >= $2 ORDER BY time, n LIMIT 1`, l.log, q.From.UnixMicro()).Scan(&lo)
		if errors.Is(err, sql.ErrNoRows) {
			return 1, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if !q.To.IsZero() {
		err = tx.QueryRowContext(ctx, `SELECT n + 1 FROM audit_index WHERE log = $1 AND time < $2 ORDER BY time DESC, n DESC LIMIT 1`, l.log, q.To.UnixMicro()).Scan(&hi)
		if errors.Is(err, sql.ErrNoRows) {
			return 1, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if q.Before != nil {
		hi = min(hi, int64(*q.Before))
	}
	if q.After != nil {
		lo = max(lo, int64(*q.After)+1)
	}
	return lo, hi, nil
}

const rowColumns = `i.n, i.time, i.type, i.system, i.model, i.verdict, i.findings, i.closing, i.code, i.tokens_in, i.tokens_out`

// The conditions of a search are written out, so that each combination that matters has an index: one by finding type, one
// by system, one by verdict, one by both, and the plain order of numbers.
const (
	whereCommon  = ` AND i.n >= $2 AND i.n < $3 AND ($4 = '' OR i.type = $4 OR ($4 = 'call' AND i.type IN ('call.open', 'call.refuse')))`
	searchAll    = `SELECT ` + rowColumns + ` FROM audit_index i WHERE i.log = $1` + whereCommon + ` AND ($5 = '' OR i.system = $5) AND ($6 = '' OR i.verdict = $6) AND ($7 = '' OR 1 = 1)`
	searchSystem = `SELECT ` + rowColumns + ` FROM audit_index i WHERE i.log = $1` + whereCommon + ` AND i.system = $5 AND ($6 = '' OR i.verdict = $6) AND ($7 = '' OR 1 = 1)`
	searchVerd   = `SELECT ` + rowColumns + ` FROM audit_index i WHERE i.log = $1` + whereCommon + ` AND ($5 = '' OR i.system = $5) AND i.verdict = $6 AND ($7 = '' OR 1 = 1)`
	searchBoth   = `SELECT ` + rowColumns + ` FROM audit_index i WHERE i.log = $1` + whereCommon + ` AND i.system = $5 AND i.verdict = $6 AND ($7 = '' OR 1 = 1)`
	searchFound  = `SELECT ` + rowColumns + ` FROM audit_index_findings f JOIN audit_index i ON i.log = f.log AND i.n = f.n
		WHERE f.log = $1 AND f.finding = $7 AND f.n >= $2 AND f.n < $3` + whereCommon + ` AND ($5 = '' OR i.system = $5) AND ($6 = '' OR i.verdict = $6)`
)

func searchRows(ctx context.Context, tx *db.Tx, log int, q Query, lo, hi int64, up bool) ([]Row, error) {
	query, key := searchAll, "i.n"
	switch {
	case q.Finding != "":
		query, key = searchFound, "f.n"
	case q.System != "" && q.Verdict != "":
		query = searchBoth
	case q.System != "":
		query = searchSystem
	case q.Verdict != "":
		query = searchVerd
	}
	order := " ORDER BY " + key + " DESC LIMIT $8"
	if up {
		order = " ORDER BY " + key + " LIMIT $8"
	}
	rows, err := tx.QueryContext(ctx, query+order, log, lo, hi, q.Type, q.System, q.Verdict, q.Finding, q.Limit+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r := Row{Log: log}
		var at int64
		var findings string
		if err := rows.Scan(&r.N, &at, &r.Type, &r.System, &r.Model, &r.Verdict, &findings, &r.Closing, &r.Code, &r.TokensIn, &r.TokensOut); err != nil {
			return nil, err
		}
		r.Time = time.UnixMicro(at).UTC()
		if findings != "" {
			r.Findings = strings.Split(findings, ",")
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
