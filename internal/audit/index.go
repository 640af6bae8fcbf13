package audit

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
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
		h, err := stored.ReadHead(ctx, tx.Tx, l.log)
		if err == nil {
			res.Lag = h.Size - min(cursor, h.Size)
		}
		lo, hi, err := l.span(ctx, tx, q)
		if err != nil || lo >= hi {
			return err
		}
		if res.Rows, err = l.searchRows(ctx, tx, q, lo, hi, up); err != nil {
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

// verdicts are the verdicts that rows of a search can have; all = any of them. The type of an entry limits them, and there
// is an index by verdict and none by type: entries that are no calls have the verdict "", and they are few.
func (q Query) verdicts() (list []string, all bool) {
	switch q.Type {
	case "":
		if q.Verdict == "" {
			return nil, true
		}
		return []string{q.Verdict}, false
	case "call":
		list = []string{"allow", "redact", "hold", "block"}
	case string(bundle.CallOpen):
		list = []string{"allow", "redact", "hold"}
	case string(bundle.CallRefuse):
		list = []string{"block"}
	default:
		list = []string{""}
	}
	if q.Verdict == "" {
		return list, false
	}
	if slices.Contains(list, q.Verdict) {
		return []string{q.Verdict}, false
	}
	return nil, false
}

// searchRows asks once for each verdict that a row can have, so that every combination of conditions reads one index in
// the order of numbers, and merges what it gets.
func (l *Log) searchRows(ctx context.Context, tx *db.Tx, q Query, lo, hi int64, up bool) ([]Row, error) {
	verdicts, all := q.verdicts()
	if all {
		return l.searchOne(ctx, tx, q, nil, lo, hi, up)
	}
	var list []Row
	for _, v := range verdicts {
		rows, err := l.searchOne(ctx, tx, q, &v, lo, hi, up)
		if err != nil {
			return nil, err
		}
		list = append(list, rows...)
	}
	slices.SortFunc(list, func(a, b Row) int {
		if up {
			return cmp.Compare(a.N, b.N)
		}
		return cmp.Compare(b.N, a.N)
	})
	return list[:min(len(list), q.Limit+1)], nil
}

// searchOne puts the query together from fixed pieces; what was asked for is in the arguments. SQLite is told which index
// to read and, by CROSS JOIN, to begin with the findings: without statistics it would rather walk the whole table in the
// order of numbers. The indexes are named after their columns.
func (l *Log) searchOne(ctx context.Context, tx *db.Tx, q Query, verdict *string, lo, hi int64, up bool) ([]Row, error) {
	args := []any{l.log, lo, hi}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	table, key, where := "audit_index", "i", ""
	if q.Finding != "" {
		table, key = "audit_index_findings", "f"
		where = ` AND i.log = f.log AND i.n = f.n AND f.finding = ` + arg(q.Finding)
	}
	index := ""
	if q.System != "" {
		index += "_system"
		where += ` AND ` + key + `.system = ` + arg(q.System)
	}
	if verdict != nil {
		index += "_verdict"
		where += ` AND ` + key + `.verdict = ` + arg(*verdict)
	}
	from := table + ` ` + key
	if index != "" && l.c.DB.Kind() == db.SQLite {
		from += ` INDEXED BY ` + table + index
	}
	if key == "f" {
		from += ` CROSS JOIN audit_index i`
	}
	switch q.Type {
	case "":
	case "call":
		where += ` AND i.type IN ('call.open', 'call.refuse')`
	default:
		where += ` AND i.type = ` + arg(q.Type)
	}
	order := ` DESC`
	if up {
		order = ``
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+rowColumns+` FROM `+from+` WHERE `+key+`.log = $1 AND `+key+`.n >= $2 AND `+key+`.n < $3`+where+
		` ORDER BY `+key+`.n`+order+` LIMIT `+arg(q.Limit+1), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r := Row{Log: l.log}
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
