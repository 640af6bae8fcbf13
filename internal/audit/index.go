package audit

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// The search index is a follower of the log: rebuildable, never a source of truth. It has one row for each opening,
// refusal, and entry that belongs to no call; the closing of a call is written into the row of its opening.

const (
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

// Index brings the index up to the end of the log. While entries wait to be appended it leaves them three quarters of the
// writer's time: on a saturated machine the search is behind for a while, and no caller waits for it.
func (l *Log) Index(ctx context.Context) error {
	for {
		at := time.Now()
		n, err := l.indexSome(ctx)
		if err != nil || n < indexBatch {
			return err
		}
		if l.queued.Load() == 0 {
			continue
		}
		select {
		case <-time.After(3 * time.Since(at)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Log) indexSome(ctx context.Context) (int, error) {
	var from uint64
	err := l.c.DB.Snapshot(ctx, func(tx *db.Tx) (err error) {
		from, err = stored.Cursor(ctx, tx, l.log)
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
		now, err := stored.Cursor(ctx, tx, l.log)
		if err != nil || now != from { // another node was faster
			return err
		}
		if err := l.indexLeaves(ctx, tx, list, leaves); err != nil {
			return err
		}
		return moveCursor(ctx, tx, l.log, list[len(list)-1].N+1)
	})
	return len(list), err
}

const (
	indexEnd   = `UPDATE audit_index SET closing = $1, code = $2, duration = $3 - time, tokens_in = $4, tokens_out = $5 WHERE log = $6 AND n = $7`
	indexFound = `INSERT INTO audit_index_findings (log, finding, n, system, verdict) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	indexInto  = `INSERT INTO audit_index (log, n, time, type, kind, system, model, verdict, findings, closing, code, duration, tokens_in, tokens_out) VALUES `
)

const (
	indexColumns = 14
	indexRows    = 64 // rows in one insert
)

func indexSQL(rows int) string {
	return indexInto + placeholders(rows, indexColumns) + ` ON CONFLICT DO NOTHING`
}

// indexLeaves writes the rows of a batch. A call that ends in the batch in which it opened is written once.
func (l *Log) indexLeaves(ctx context.Context, tx *db.Tx, list []stored.Entry, leaves []*bundle.Leaf) error {
	var rows [][]any
	opened := map[uint64][]any{}
	for i, e := range list {
		leaf := leaves[i]
		if leaf == nil {
			continue
		}
		at := time.Unix(int64(leaf.Time), 0).UnixMicro()
		if leaf.Type.Ends() && leaf.Ref != nil {
			if row := opened[*leaf.Ref]; row != nil {
				row[9], row[10], row[11], row[12], row[13] = int64(e.N), leaf.Code, at-row[2].(int64), int64(leaf.TokensIn), int64(leaf.TokensOut)
				continue
			}
			_, err := tx.StmtContext(ctx, l.prepared[indexEnd]).ExecContext(ctx, int64(e.N), leaf.Code, at, int64(leaf.TokensIn), int64(leaf.TokensOut), l.log, int64(*leaf.Ref))
			if err != nil {
				return err
			}
			continue
		}
		types := make([]string, len(leaf.Findings))
		for i, f := range leaf.Findings {
			types[i] = f.Type
			if _, err := tx.StmtContext(ctx, l.prepared[indexFound]).ExecContext(ctx, l.log, f.Type, int64(e.N), leaf.System, leaf.Verdict); err != nil {
				return err
			}
		}
		row := []any{l.log, int64(e.N), at, string(leaf.Type), leaf.Kind, leaf.System, leaf.Model, leaf.Verdict, strings.Join(types, ","), nil, leaf.Code, int64(0), int64(0), int64(0)}
		rows = append(rows, row)
		opened[e.N] = row
	}
	for len(rows) > 0 {
		k := 1
		for k*2 <= min(len(rows), indexRows) {
			k *= 2
		}
		if _, err := tx.StmtContext(ctx, l.prepared[indexSQL(k)]).ExecContext(ctx, slices.Concat(rows[:k]...)...); err != nil {
			return err
		}
		rows = rows[k:]
	}
	return nil
}

// Row, Query and Result are those of package stored.
type (
	Row    = stored.Row
	Query  = stored.Query
	Result = stored.Result
)

// Search finds entries of the current log, newest first.
func (l *Log) Search(ctx context.Context, q Query) (*Result, error) {
	return stored.Search(ctx, l.c.DB, l.log, q)
}
