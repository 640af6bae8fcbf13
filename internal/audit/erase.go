package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// Erasure is what became of the destruction of content.
type Erasure struct {
	Receipt Receipt  // of the erase entry
	Entries []uint64 // whose content is gone
	// Clean reports whether the content is also gone from the write-ahead log. Where a reader with an old snapshot kept it
	// there, the retention loop finishes the work.
	Clean bool
}

// Erase destroys the content of one call: the sealed parts and salts of its opening and its end. The leaves stay, so every
// proof still verifies. An entry with the ground is written in the same transaction.
func (l *Log) Erase(ctx context.Context, n uint64, ground, actor string) (*Erasure, error) {
	e := new(Erasure)
	err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		var opening sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT opening FROM audit_entries WHERE log = $1 AND n = $2`, l.log, int64(n)).Scan(&opening)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if opening.Valid {
			n = uint64(opening.Int64)
		}
		rows, err := stored.ScanEntries(ctx, tx.Tx, `SELECT n, opening, leaf_hash, leaf, key FROM audit_entries WHERE log = $1 AND (n = $2 OR opening = $2) ORDER BY n`, l.log, int64(n))
		if err != nil {
			return err
		}
		var system string
		for _, r := range rows {
			if r.Leaf == nil {
				continue
			}
			leaf, err := bundle.DecodeLeaf(r.Leaf)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(string(leaf.Type), "call.") {
				return fmt.Errorf("%w: entry %d records no call, its content is not erased by this way", ErrNotFound, r.N)
			}
			system = leaf.System
			e.Entries = append(e.Entries, r.N)
		}
		var there int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM audit_entries WHERE log = $1 AND (n = $2 OR opening = $2) AND sealed IS NOT NULL`, l.log, int64(n)).Scan(&there)
		if err != nil {
			return err
		}
		if there == 0 {
			return ErrErased
		}
		leaf := bundle.Leaf{Type: bundle.Erase, Ref: &n}
		for _, k := range e.Entries {
			leaf.Entries = append(leaf.Entries, bundle.Span{From: k, To: k + 1})
			if _, err := tx.ExecContext(ctx, `UPDATE audit_entries SET sealed = NULL, salt = NULL WHERE log = $1 AND n = $2`, l.log, int64(k)); err != nil {
				return err
			}
		}
		meta := metaJSON(map[string]string{"actor": actor, "ground": ground, "system": system})
		receipts, err := l.AppendTx(ctx, tx, Record{Leaf: leaf, Content: []Content{{Name: bundle.FieldMeta, Value: meta, Commit: true}}})
		if err != nil {
			return err
		}
		e.Receipt = receipts[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.Clean, err = l.cleanWAL(ctx)
	return e, err
}

// cleanWAL empties the write-ahead log, in which destroyed content may still stand. It tries for a while, because a reader
// with an old snapshot prevents it.
func (l *Log) cleanWAL(ctx context.Context) (bool, error) {
	for try := range 5 {
		done, err := l.c.DB.CheckpointWAL(ctx, true)
		if err != nil || done {
			l.dirty.Store(!done)
			return done, err
		}
		select {
		case <-time.After(time.Duration(try+1) * 50 * time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	l.dirty.Store(true)
	return false, nil
}

// Terms say how long things are kept (audit.md section 11). Content of a system without a term is kept until its leaf goes.
type Terms struct {
	Content map[string]time.Duration // by system
	Leaf    time.Duration            // of entries that record calls
}

// DefaultLeafTerm is how long the leaves of calls are kept: 24 months.
const DefaultLeafTerm = 730 * 24 * time.Hour

// Retained sums up one pass of retention.
type Retained struct {
	Content int // sealed parts destroyed
	Leaves  int // leaves destroyed
	Keys    int // month keys destroyed
}

const retainBatch = 500 // entries in one transaction

// Retain destroys what is past its term, with an entry for each batch that names system and range. Month keys whose
// records are all gone are destroyed too.
func (l *Log) Retain(ctx context.Context, t Terms) (Retained, error) {
	var sum Retained
	if l.Refused() != "" {
		return sum, nil
	}
	now := l.c.DB.Now()
	for system, term := range t.Content {
		for {
			n, err := l.retainContent(ctx, system, now.Add(-term))
			sum.Content += n
			if err != nil {
				return sum, err
			}
			if n < retainBatch {
				break
			}
		}
	}
	if t.Leaf > 0 {
		for {
			n, err := l.retainLeaves(ctx, now.Add(-t.Leaf))
			sum.Leaves += n
			if err != nil {
				return sum, err
			}
			if n < retainBatch {
				break
			}
		}
	}
	var err error
	if sum.Keys, err = l.retainKeys(ctx, now); err != nil {
		return sum, err
	}
	if err := l.thinCheckpoints(ctx, now); err != nil {
		return sum, err
	}
	if sum != (Retained{}) || l.dirty.Load() {
		_, err = l.cleanWAL(ctx)
	}
	return sum, err
}

// retainContent destroys the sealed parts of one system's calls that opened before the given time, a batch at a time.
func (l *Log) retainContent(ctx context.Context, system string, before time.Time) (int, error) {
	count := 0
	err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		// The index knows times and systems; the entries know what is still there.
		rows, err := tx.QueryContext(ctx, `SELECT e.n FROM audit_index i
			JOIN audit_entries e ON e.log = i.log AND (e.n = i.n OR e.n = i.closing)
			WHERE i.log = $1 AND i.system = $2 AND i.time < $3 AND i.type IN ('call.open', 'call.refuse') AND e.sealed IS NOT NULL
			ORDER BY e.n LIMIT $4`, l.log, system, before.UnixMicro(), retainBatch)
		if err != nil {
			return err
		}
		ns, err := scanNumbers(rows)
		if err != nil || len(ns) == 0 {
			return err
		}
		leaf := bundle.Leaf{Type: bundle.Retain, System: system, Class: "content"}
		for _, n := range ns {
			if _, err := tx.ExecContext(ctx, `UPDATE audit_entries SET sealed = NULL, salt = NULL WHERE log = $1 AND n = $2`, l.log, int64(n)); err != nil {
				return err
			}
			leaf.Entries = bundle.AddSpan(leaf.Entries, n)
		}
		count = len(ns)
		_, err = l.AppendTx(ctx, tx, Record{Leaf: leaf})
		return err
	})
	return count, err
}

// retainLeaves destroys the leaves of calls that ended before the given time, with their index rows.
func (l *Log) retainLeaves(ctx context.Context, before time.Time) (int, error) {
	count := 0
	err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT e.n FROM audit_index i
			JOIN audit_entries e ON e.log = i.log AND (e.n = i.n OR e.n = i.closing)
			WHERE i.log = $1 AND i.time < $2 AND i.type IN ('call.open', 'call.refuse') AND e.leaf IS NOT NULL
			AND (i.closing IS NOT NULL OR i.type = 'call.refuse') ORDER BY e.n LIMIT $3`, l.log, before.UnixMicro(), retainBatch)
		if err != nil {
			return err
		}
		ns, err := scanNumbers(rows)
		if err != nil || len(ns) == 0 {
			return err
		}
		leaf := bundle.Leaf{Type: bundle.Retain, Class: "leaf"}
		for _, n := range ns {
			if _, err := tx.ExecContext(ctx, `UPDATE audit_entries SET leaf = NULL, sealed = NULL, salt = NULL, key = '', opening = NULL WHERE log = $1 AND n = $2`, l.log, int64(n)); err != nil {
				return err
			}
			if err := forgetFindings(ctx, tx, l.log, n); err != nil {
				return err
			}
			leaf.Entries = bundle.AddSpan(leaf.Entries, n)
		}
		// The index forgets the calls of which nothing is left.
		_, err = tx.ExecContext(ctx, `DELETE FROM audit_index WHERE log = $1 AND time < $2 AND type IN ('call.open', 'call.refuse') AND NOT EXISTS (
			SELECT 1 FROM audit_entries e WHERE e.log = audit_index.log AND (e.n = audit_index.n OR e.n = audit_index.closing) AND e.leaf IS NOT NULL)`, l.log, before.UnixMicro())
		if err != nil {
			return err
		}
		count = len(ns)
		_, err = l.AppendTx(ctx, tx, Record{Leaf: leaf})
		return err
	})
	return count, err
}

// forgetFindings removes an entry from the index of findings. The row of the entry names the types: there is no index by
// number alone, and a search for it would read every finding of the log.
func forgetFindings(ctx context.Context, tx *db.Tx, log int, n uint64) error {
	var types string
	err := tx.QueryRowContext(ctx, `SELECT findings FROM audit_index WHERE log = $1 AND n = $2`, log, int64(n)).Scan(&types)
	if errors.Is(err, sql.ErrNoRows) || err == nil && types == "" {
		return nil
	}
	if err != nil {
		return err
	}
	for t := range strings.SplitSeq(types, ",") {
		if _, err := tx.ExecContext(ctx, `DELETE FROM audit_index_findings WHERE log = $1 AND finding = $2 AND n = $3`, log, t, int64(n)); err != nil {
			return err
		}
	}
	return nil
}

// retainKeys destroys the keys of past months under which nothing is sealed any more.
func (l *Log) retainKeys(ctx context.Context, now time.Time) (int, error) {
	refs, err := l.c.Keys.Refs(ctx)
	if err != nil {
		return 0, err
	}
	month := now.UTC().Format("2006-01")
	var gone []string
	for _, ref := range refs {
		if ref[strings.LastIndexByte(ref, '/')+1:] >= month {
			continue
		}
		var used int
		err := l.c.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM audit_entries WHERE key = $1 AND sealed IS NOT NULL LIMIT 1) AS one`, ref).Scan(&used)
		if err != nil {
			return 0, err
		}
		if used == 0 {
			gone = append(gone, ref)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	if _, err := l.Append(ctx, Record{Leaf: bundle.Leaf{Type: bundle.Retain, Class: "key", Keys: gone}}); err != nil {
		return 0, err
	}
	if err := l.fail("key.destroy.before"); err != nil {
		return 0, err
	}
	if _, err := l.c.Keys.destroy(ctx, gone); err != nil {
		return 0, err
	}
	return len(gone), l.fail("key.destroy.after")
}

// thinCheckpoints keeps all signatures of the last day and one of each hour before: any later one proves the same.
func (l *Log) thinCheckpoints(ctx context.Context, now time.Time) error {
	at := now.Add(-24 * time.Hour)
	var upTo sql.NullInt64
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT MAX(n) FROM audit_index WHERE log = $1 AND time < $2`, l.log, at.UnixMicro()).Scan(&upTo)
	if err != nil || !upTo.Valid {
		return err
	}
	rows, err := l.c.DB.Read().QueryContext(ctx, `SELECT c.size, i.time FROM audit_checkpoints c JOIN audit_index i ON i.log = c.log AND i.n = c.size - 1
		WHERE c.log = $1 AND c.size <= $2 ORDER BY c.size LIMIT 20000`, l.log, upTo.Int64)
	if err != nil {
		return err
	}
	defer rows.Close()
	var drop []int64
	hour := int64(-1)
	for rows.Next() {
		var size, us int64
		if err := rows.Scan(&size, &us); err != nil {
			return err
		}
		if h := us / time.Hour.Microseconds(); h == hour {
			drop = append(drop, size)
		} else {
			hour = h
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for len(drop) > 0 {
		k := min(len(drop), retainBatch)
		err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
			for _, size := range drop[:k] {
				if _, err := tx.ExecContext(ctx, `DELETE FROM audit_checkpoints WHERE log = $1 AND size = $2`, l.log, size); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		drop = drop[k:]
	}
	return nil
}

func scanNumbers(rows *sql.Rows) ([]uint64, error) {
	defer rows.Close()
	var ns []uint64
	for rows.Next() {
		var n uint64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		ns = append(ns, n)
	}
	return ns, rows.Err()
}

const retainEvery = time.Hour

// RunRetention destroys what is past its term, at start and every hour, until ctx ends. terms is asked each time.
func (l *Log) RunRetention(ctx context.Context, terms func() Terms) {
	t := time.NewTicker(retainEvery)
	defer t.Stop()
	for {
		mine := true
		var err error
		if l.c.Shared {
			mine, err = l.c.DB.Lease(ctx, "audit.retain", l.c.Instance, 2*retainEvery)
		}
		if err == nil && mine {
			var sum Retained
			if sum, err = l.Retain(ctx, terms()); err == nil && sum != (Retained{}) {
				l.c.Log.Info("retention", "content", sum.Content, "leaves", sum.Leaves, "keys", sum.Keys)
			}
		}
		if err != nil && ctx.Err() == nil {
			l.c.Log.Warn("retention failed and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
