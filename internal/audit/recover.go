package audit

import (
	"context"
	"errors"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// deadAfter is how long a process may miss its heartbeat before its calls are ended by others.
const deadAfter = 15 * time.Second

// beat says that this process lives. A process that shares the database does so before its first entry, or others would
// end its calls.
func (l *Log) beat(ctx context.Context) error {
	if l.Refused() != "" || !l.c.Shared {
		return nil
	}
	_, err := l.c.DB.Exec(ctx, `INSERT INTO audit_instances (instance, beat) VALUES ($1, $2)
		ON CONFLICT (instance) DO UPDATE SET beat = excluded.beat`, l.c.Instance, l.c.DB.Now().UnixMicro())
	return err
}

// leave says that this process is gone, so that others need not wait for its heartbeat to grow old.
func (l *Log) leave(ctx context.Context) error {
	if !l.c.Shared {
		return nil
	}
	_, err := l.c.DB.Exec(ctx, `DELETE FROM audit_instances WHERE instance = $1`, l.c.Instance)
	return err
}

// Recover ends the calls of processes that are gone with an abort entry each, and returns how many there were. With one
// process per database everything that is open at start is its predecessor's; on a shared database a process counts as
// gone when its heartbeat is older than deadAfter. One opening has one end: a late closing of a process that was only
// slow fails, and its answer is not released.
func (l *Log) Recover(ctx context.Context) (int, error) {
	if l.Refused() != "" {
		return 0, nil
	}
	open, err := l.openCalls(ctx)
	if err != nil || len(open) == 0 {
		return 0, err
	}
	alive, err := l.alive(ctx)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, e := range open {
		leaf, err := bundle.DecodeLeaf(e.Leaf)
		if err != nil {
			return ended, err
		}
		if leaf.Instance == l.c.Instance || alive[leaf.Instance] {
			continue
		}
		n := e.N
		abort := bundle.Leaf{Type: bundle.CallAbort, Ref: &n, Kind: leaf.Kind, System: leaf.System, Model: leaf.Model, Provider: leaf.Provider, Code: "process_gone", Class: leaf.Class}
		_, err = l.Append(ctx, Record{Leaf: abort})
		if err != nil && !errors.Is(err, ErrEnded) {
			return ended, err
		}
		ended++
	}
	return ended, nil
}

func (l *Log) alive(ctx context.Context) (map[string]bool, error) {
	alive := map[string]bool{}
	if !l.c.Shared {
		return alive, nil
	}
	rows, err := l.c.DB.Read().QueryContext(ctx, `SELECT instance FROM audit_instances WHERE beat > $1`, l.c.DB.Now().Add(-deadAfter).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		alive[s] = true
	}
	return alive, rows.Err()
}

// openCalls lists the openings without an end. The search index knows the old ones; what it has not seen yet is read.
func (l *Log) openCalls(ctx context.Context) ([]stored.Entry, error) {
	var open []stored.Entry
	err := l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		cursor, err := stored.Cursor(ctx, tx, l.log)
		if err != nil {
			return err
		}
		open, err = stored.ScanEntries(ctx, tx.Tx, `SELECT e.n, e.opening, e.leaf_hash, e.leaf, e.key FROM audit_index i
			JOIN audit_entries e ON e.log = i.log AND e.n = i.n
			WHERE i.log = $1 AND i.closing IS NULL AND i.type = 'call.open'
			AND NOT EXISTS (SELECT 1 FROM audit_entries c WHERE c.log = i.log AND c.opening = i.n) ORDER BY i.n`, l.log)
		if err != nil {
			return err
		}
		tail, err := stored.ScanEntries(ctx, tx.Tx, `SELECT n, opening, leaf_hash, leaf, key FROM audit_entries e
			WHERE log = $1 AND n >= $2 AND opening IS NULL
			AND NOT EXISTS (SELECT 1 FROM audit_entries c WHERE c.log = e.log AND c.opening = e.n) ORDER BY n`, l.log, int64(cursor))
		if err != nil {
			return err
		}
		for _, e := range tail {
			leaf, err := bundle.DecodeLeaf(e.Leaf)
			if err != nil {
				return err
			}
			if leaf.Type == bundle.CallOpen {
				open = append(open, e)
			}
		}
		return nil
	})
	return open, err
}
