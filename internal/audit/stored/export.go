package stored

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

const (
	exportCheckpoints = 1000            // older checkpoints in a bundle, spread evenly
	clockSlack        = 2 * time.Minute // entries of several nodes may be that much out of order
)

// ErrNothing means that there is nothing to export: no checkpoint, or no entry in the period.
var ErrNothing = errors.New("there is nothing to export")

// Period says what part of a log a bundle is about. The zero value is the whole log.
type Period struct {
	From, To time.Time // From included, To not; zero = open
	FromN    uint64    // by numbers, used where From is zero
	ToN      uint64    // the entry after the last, used where To is zero; 0 = open
}

// Plan plans the evidence bundle of a log in a snapshot of the database: it completes the manifest and finds the files.
// The snapshot has to last until the plan is written. mark is a signed note of the log, or empty: entries that it or a stored
// checkpoint covers and that are not there become entries that a verifier names.
func Plan(ctx context.Context, tx *db.Tx, log int, o Period, m *bundle.Manifest, mark, vkey string, signer note.Signer) (*bundle.Plan, error) {
	x := &exporter{ctx: ctx, tx: tx, log: log, system: m.System, mark: mark}
	if err := x.begin(m, o, vkey); err != nil {
		return nil, err
	}
	return bundle.NewPlan(*m, x.sources(), vkey, signer)
}

// exporter reads one log in a snapshot. It writes what is there, also of a damaged log: a missing row becomes an entry of
// length 0 with a hash of zeros, which a verifier names.
type exporter struct {
	ctx    context.Context
	tx     *db.Tx
	log    int
	system string
	mark   string
	size   uint64
	latest string
	older  []bundle.Signed
	parts  []uint64 // entry bundles that are included, rising
}

// begin finds the checkpoint, the period and the entry bundles, and writes them into the manifest.
func (x *exporter) begin(m *bundle.Manifest, o Period, vkey string) error {
	var last sql.NullInt64
	if err := x.tx.QueryRowContext(x.ctx, `SELECT MAX(n) FROM audit_entries WHERE log = $1`, x.log).Scan(&last); err != nil {
		return err
	}
	if !last.Valid {
		return fmt.Errorf("%w: log %d has no entries", ErrNothing, x.log)
	}
	list, err := Checkpoints(x.ctx, x.tx, x.log)
	if err != nil {
		return err
	}
	if x.mark != "" && !slices.ContainsFunc(list, func(s bundle.Signed) bool { return s.Note == x.mark }) {
		list = append(list, bundle.Signed{Size: claimedSize(x.mark), Note: x.mark})
		slices.SortStableFunc(list, func(a, b bundle.Signed) int { return cmp.Compare(a.Size, b.Size) })
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	for len(list) > 0 && x.latest == "" {
		s := list[len(list)-1]
		list = list[:len(list)-1]
		if cp, err := bundle.OpenCheckpoint(s.Note, note.VerifierList(v)); err == nil && cp.Size == s.Size && cp.Origin == v.Name() && cp.Size > 0 {
			x.size, x.latest, m.Size, m.Root = cp.Size, s.Note, cp.Size, cp.Root.String()
		}
	}
	if x.latest == "" {
		return fmt.Errorf("%w: log %d has no checkpoint for the entries that are there", ErrNothing, x.log)
	}
	step := max(1, (len(list)+exportCheckpoints-1)/exportCheckpoints)
	for i := len(list) - 1; i >= 0; i -= step {
		x.older = append(x.older, list[i])
	}
	if err := x.period(m, o); err != nil {
		return err
	}
	for n := m.From / bundle.TileWidth; n*bundle.TileWidth < m.To; n++ {
		x.parts = append(x.parts, n)
	}
	if err := x.explain(); err != nil {
		return err
	}
	whole := uint64(len(x.parts)) == (x.size+bundle.TileWidth-1)/bundle.TileWidth
	m.Reduced = !whole || m.From > 0 || m.To < x.size || x.system != ""
	return nil
}

// period turns times into numbers. Entries rise in time but for the slack between several nodes.
func (x *exporter) period(m *bundle.Manifest, o Period) (err error) {
	m.From, m.To = o.FromN, o.ToN
	if !o.From.IsZero() {
		if m.From, err = x.firstAt(o.From.Add(-clockSlack)); err != nil {
			return err
		}
	}
	if !o.To.IsZero() {
		if m.To, err = x.firstAt(o.To.Add(clockSlack)); err != nil {
			return err
		}
	}
	if m.To == 0 && o.To.IsZero() || m.To > x.size {
		m.To = x.size
	}
	if m.From >= m.To {
		return fmt.Errorf("%w: no entry in the period", ErrNothing)
	}
	return nil
}

// firstAt is the number of the first entry at that time or later, by binary search over the times in the leaves.
func (x *exporter) firstAt(t time.Time) (uint64, error) {
	lo, hi := uint64(0), x.size
	for lo < hi {
		mid := lo + (hi-lo)/2
		var n uint64
		var leaf []byte
		err := x.tx.QueryRowContext(x.ctx, `SELECT n, leaf FROM audit_entries WHERE log = $1 AND n >= $2 AND n < $3 AND leaf IS NOT NULL ORDER BY n LIMIT 1`,
			x.log, int64(mid), int64(hi)).Scan(&n, &leaf)
		if errors.Is(err, sql.ErrNoRows) { // nothing is known of mid and what comes after it
			hi = mid
			continue
		}
		if err != nil {
			return 0, err
		}
		decoded, err := bundle.DecodeLeaf(leaf)
		if err != nil {
			return 0, fmt.Errorf("entry %d: %w", n, err)
		}
		if int64(decoded.Time) >= t.Unix() {
			hi = mid
		} else {
			lo = n + 1
		}
	}
	return lo, nil
}

// explain adds the later entry bundles with the entries that say why content of the included ones is gone, so that a
// bundle of a period explains itself.
func (x *exporter) explain() error {
	gone := &absent{keys: map[string]bool{}}
	for _, n := range x.parts {
		if err := x.absent(n, gone); err != nil {
			return err
		}
	}
	next := x.parts[len(x.parts)-1] + 1
	for ; next*bundle.TileWidth < x.size && len(gone.spans) > 0; next++ {
		rows, err := Since(x.ctx, x.tx.Tx, x.log, next*bundle.TileWidth, bundle.TileWidth)
		if err != nil {
			return err
		}
		for _, e := range rows {
			if e.Leaf == nil || e.N >= min(x.size, (next+1)*bundle.TileWidth) {
				continue
			}
			leaf, err := bundle.DecodeLeaf(e.Leaf)
			if err == nil && (leaf.Type == bundle.Erase || leaf.Type == bundle.Retain) && gone.named(leaf) {
				x.parts = append(x.parts, next)
				if err := x.absent(next, gone); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// absent are entries whose leaf or sealed part is gone.
type absent struct {
	spans []bundle.Span
	keys  map[string]bool
}

func (a *absent) named(l *bundle.Leaf) bool {
	for _, s := range l.Entries {
		i, _ := slices.BinarySearchFunc(a.spans, s.From, func(have bundle.Span, from uint64) int {
			if have.To <= from {
				return -1
			}
			return 1
		})
		if i < len(a.spans) && a.spans[i].From < s.To {
			return true
		}
	}
	for _, k := range l.Keys {
		if a.keys[k] {
			return true
		}
	}
	return false
}

func (x *exporter) absent(part uint64, a *absent) error {
	rows, err := x.tx.QueryContext(x.ctx, `SELECT n, key FROM audit_entries WHERE log = $1 AND n >= $2 AND n < $3
		AND (leaf IS NULL OR (sealed IS NULL AND key <> '')) ORDER BY n`, x.log, int64(part*bundle.TileWidth), int64(min(x.size, (part+1)*bundle.TileWidth)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n uint64
		var key string
		if err := rows.Scan(&n, &key); err != nil {
			return err
		}
		a.spans = bundle.AddSpan(a.spans, n)
		if key != "" {
			a.keys[key] = true
		}
	}
	return rows.Err()
}

// sources are the files of the bundle that come from the log.
func (x *exporter) sources() []bundle.Source {
	list := []bundle.Source{bundle.BytesSource("checkpoint", []byte(x.latest))}
	for _, s := range x.older {
		list = append(list, bundle.BytesSource(bundle.CheckpointPath(s.Size), []byte(s.Note)))
	}
	for level := 0; x.size>>(8*level) > 0; level++ {
		all := x.size >> (8 * level)
		for n := uint64(0); n*bundle.TileWidth < all; n++ {
			width := int(min(all-n*bundle.TileWidth, bundle.TileWidth))
			list = append(list, bundle.Source{Path: bundle.TilePath(level, n, width), Write: func(w io.Writer) error {
				b, err := x.tile(level, n, width)
				if err == nil {
					_, err = w.Write(b)
				}
				return err
			}})
		}
	}
	for _, n := range x.parts {
		width := int(min(x.size-n*bundle.TileWidth, bundle.TileWidth))
		list = append(list,
			bundle.Source{Path: bundle.EntriesPath(n, width), Write: func(w io.Writer) error { return x.leaves(w, n, width) }},
			bundle.Source{Path: bundle.SealedPath(n, width), Write: func(w io.Writer) error { return x.sealed(w, n, width) }})
	}
	return list
}

// tile is the tile as the log stores it, or as it follows from what is below it where the log stores none.
func (x *exporter) tile(level int, n uint64, width int) ([]byte, error) {
	b := make([]byte, width*tlog.HashSize) // zeros where the log is damaged
	switch {
	case width == bundle.TileWidth:
		var stored []byte
		err := x.tx.QueryRowContext(x.ctx, `SELECT hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND n = $3`, x.log, level, int64(n)).Scan(&stored)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		copy(b, stored)
	case level == 0:
		return b, x.rows(`SELECT n, leaf_hash FROM audit_entries`, n, width, func(i int, hash, _ []byte) error {
			copy(b[i*tlog.HashSize:(i+1)*tlog.HashSize], hash)
			return nil
		})
	default:
		for i := range width {
			below, err := x.tile(level-1, n*bundle.TileWidth+uint64(i), bundle.TileWidth)
			if err != nil {
				return nil, err
			}
			hs, err := bundle.ParseHashes(below)
			if err != nil {
				return nil, err
			}
			root := bundle.SubtreeRoot(hs)
			copy(b[i*tlog.HashSize:], root[:])
		}
	}
	return b, nil
}

func (x *exporter) leaves(w io.Writer, n uint64, width int) error {
	return x.rows(`SELECT n, leaf FROM audit_entries`, n, width, func(_ int, leaf, _ []byte) error { return bundle.WriteLeaf(w, leaf) })
}

// sealed writes the sealed parts of an entry bundle; those of other systems are left out where one system was asked for.
func (x *exporter) sealed(w io.Writer, n uint64, width int) error {
	var omit [bundle.TileWidth]bool
	if x.system != "" {
		err := x.rows(`SELECT n, leaf FROM audit_entries`, n, width, func(i int, b, _ []byte) error {
			leaf, err := bundle.DecodeLeaf(b)
			omit[i] = err == nil && leaf.System != x.system
			return nil
		})
		if err != nil {
			return err
		}
	}
	return x.rows(`SELECT n, salt, sealed FROM audit_entries`, n, width, func(i int, salt, sealed []byte) error {
		if omit[i] && sealed != nil {
			return bundle.WriteOmitted(w)
		}
		return bundle.WriteSealed(w, salt, sealed)
	})
}

// rows calls f for each entry of an entry bundle with the one or two columns that the query selects, nil for a row that
// is missing.
func (x *exporter) rows(query string, part uint64, width int, f func(i int, a, b []byte) error) error {
	first := part * bundle.TileWidth
	rows, err := x.tx.QueryContext(x.ctx, query+` WHERE log = $1 AND n >= $2 AND n < $3 ORDER BY n`, x.log, int64(first), int64(first)+int64(width))
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	next := 0
	for rows.Next() {
		var n uint64
		var a, b []byte
		into := []any{&n, &a, &b}
		if err := rows.Scan(into[:len(columns)]...); err != nil {
			return err
		}
		for ; next < int(n-first); next++ {
			if err := f(next, nil, nil); err != nil {
				return err
			}
		}
		if err := f(next, a, b); err != nil {
			return err
		}
		next++
	}
	for ; next < width && rows.Err() == nil; next++ {
		if err := f(next, nil, nil); err != nil {
			return err
		}
	}
	return rows.Err()
}
