package stored

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
	"github.com/leitplanke/leitplanke/internal/db"
)

// IndexName is the name of the search index among the followers of the log.
const IndexName = "index"

// Cursor is the number of the first entry that the search index has not seen.
func Cursor(ctx context.Context, tx *db.Tx, log int) (n uint64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT n FROM audit_cursors WHERE follower = $1 AND log = $2`, IndexName, log).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
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

// Search finds entries of a log, newest first. Pages are asked for by key: what comes before or after a number.
func Search(ctx context.Context, d *db.DB, log int, q Query) (*Result, error) {
	if q.Limit <= 0 || q.Limit > 500 {
		q.Limit = 50
	}
	res := &Result{AsOf: d.Now()}
	up := q.After != nil && q.Before == nil
	err := d.Snapshot(ctx, func(tx *db.Tx) error {
		cursor, err := Cursor(ctx, tx, log)
		if err != nil {
			return err
		}
		h, err := ReadHead(ctx, tx.Tx, log)
		if err == nil {
			res.Lag = h.Size - min(cursor, h.Size)
		}
		s := searcher{tx: tx, log: log, hint: d.Kind() == db.SQLite}
		lo, hi, err := s.span(ctx, q)
		if err != nil || lo >= hi {
			return err
		}
		if res.Rows, err = s.rows(ctx, q, lo, hi, up); err != nil {
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

// searcher asks one log in a transaction.
type searcher struct {
	tx   *db.Tx
	log  int
	hint bool // the database has to be told which index to read
}

// span turns times and page keys into a range of numbers lo ≤ n < hi: numbers and times rise together.
func (s searcher) span(ctx context.Context, q Query) (lo, hi int64, err error) {
	hi = 1 << 62
	if !q.From.IsZero() {
		err = s.tx.QueryRowContext(ctx, `SELECT n FROM audit_index WHERE log = $1 AND time >= $2 ORDER BY time, n LIMIT 1`, s.log, q.From.UnixMicro()).Scan(&lo)
		if errors.Is(err, sql.ErrNoRows) {
			return 1, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if !q.To.IsZero() {
		err = s.tx.QueryRowContext(ctx, `SELECT n + 1 FROM audit_index WHERE log = $1 AND time < $2 ORDER BY time DESC, n DESC LIMIT 1`, s.log, q.To.UnixMicro()).Scan(&hi)
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

// rows asks once for each verdict that a row can have, so that every combination of conditions reads one index in
// the order of numbers, and merges what it gets.
func (s searcher) rows(ctx context.Context, q Query, lo, hi int64, up bool) ([]Row, error) {
	verdicts, all := q.verdicts()
	if all {
		return s.one(ctx, q, nil, lo, hi, up)
	}
	var list []Row
	for _, v := range verdicts {
		rows, err := s.one(ctx, q, &v, lo, hi, up)
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

// one puts the query together from fixed pieces; what was asked for is in the arguments. SQLite is told which index
// to read and, by CROSS JOIN, to begin with the findings: without statistics it would rather walk the whole table in the
// order of numbers. The indexes are named after their columns.
func (s searcher) one(ctx context.Context, q Query, verdict *string, lo, hi int64, up bool) ([]Row, error) {
	args := []any{s.log, lo, hi}
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
	if index != "" && s.hint {
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
	rows, err := s.tx.QueryContext(ctx, `SELECT `+rowColumns+` FROM `+from+` WHERE `+key+`.log = $1 AND `+key+`.n >= $2 AND `+key+`.n < $3`+where+
		` ORDER BY `+key+`.n`+order+` LIMIT `+arg(q.Limit+1), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Row
	for rows.Next() {
		r := Row{Log: s.log}
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
