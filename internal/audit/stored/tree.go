// Package stored reads what the tables of the log hold, and verifies it, without an open log: so verification and export
// work also while the log refuses to write.
package stored

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/leitplanke/leitplanke/bundle"
)

// Querier is what *sql.DB and *sql.Tx have in common.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Head is the head row of a log.
type Head struct {
	Origin string
	Size   uint64
	Epoch  uint64
	Root   bundle.Hash
	Peaks  bundle.Peaks
}

// HeadColumns are what ScanHead reads.
const HeadColumns = `origin, size, epoch, root, peaks`

// ScanHead reads a row of HeadColumns.
func ScanHead(row *sql.Row) (Head, error) {
	var h Head
	var root, peaks []byte
	if err := row.Scan(&h.Origin, &h.Size, &h.Epoch, &root, &peaks); err != nil {
		return h, err
	}
	if len(root) != tlog.HashSize {
		return h, fmt.Errorf("the head row's root has %d bytes", len(root))
	}
	h.Root = bundle.Hash(root)
	var err error
	if h.Peaks, err = bundle.ParsePeaks(h.Size, peaks); err != nil {
		return h, fmt.Errorf("the head row: %w", err)
	}
	return h, nil
}

// ReadHead reads the head row of a log.
func ReadHead(ctx context.Context, q Querier, log int) (Head, error) {
	return ScanHead(q.QueryRowContext(ctx, `SELECT `+HeadColumns+` FROM audit_head WHERE log = $1`, log))
}

// LeafHashes reads the stored leaf hashes of the entries from ≤ n < to.
func LeafHashes(ctx context.Context, q Querier, log int, from, to uint64) ([]bundle.Hash, error) {
	rows, err := q.QueryContext(ctx, `SELECT n, leaf_hash FROM audit_entries WHERE log = $1 AND n >= $2 AND n < $3 ORDER BY n`, log, int64(from), int64(to))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	hs := make([]bundle.Hash, 0, to-from)
	for rows.Next() {
		var n uint64
		var h []byte
		if err := rows.Scan(&n, &h); err != nil {
			return nil, err
		}
		if n != from+uint64(len(hs)) || len(h) != tlog.HashSize {
			return nil, fmt.Errorf("entry %d is missing or has no hash", from+uint64(len(hs)))
		}
		hs = append(hs, bundle.Hash(h))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if uint64(len(hs)) != to-from {
		return nil, fmt.Errorf("entry %d is missing", from+uint64(len(hs)))
	}
	return hs, nil
}

// ReadTile reads a full tile.
func ReadTile(ctx context.Context, q Querier, log, level int, n uint64) ([]bundle.Hash, error) {
	var b []byte
	if err := q.QueryRowContext(ctx, `SELECT hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND n = $3`, log, level, int64(n)).Scan(&b); err != nil {
		return nil, fmt.Errorf("%s: %w", bundle.TilePath(level, n, bundle.TileWidth), err)
	}
	hs, err := bundle.ParseHashes(b)
	if err == nil && len(hs) != bundle.TileWidth {
		err = fmt.Errorf("it has %d hashes", len(hs))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundle.TilePath(level, n, bundle.TileWidth), err)
	}
	return hs, nil
}

// Tree answers the hashes of a log's tree from stored tiles and leaf hashes, for a tree of the given size.
type Tree struct {
	ctx   context.Context
	q     Querier
	log   int
	size  uint64
	tiles map[[2]uint64][]bundle.Hash // read already
}

// NewTree reads the tree of a log as it was with that many entries.
func NewTree(ctx context.Context, q Querier, log int, size uint64) *Tree {
	return &Tree{ctx: ctx, q: q, log: log, size: size, tiles: map[[2]uint64][]bundle.Hash{}}
}

// ReadHashes implements tlog.HashReader.
func (r *Tree) ReadHashes(indexes []int64) ([]bundle.Hash, error) {
	hs := make([]bundle.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		var err error
		if hs[i], err = r.hash(level, uint64(n)); err != nil {
			return nil, err
		}
	}
	return hs, nil
}

// hash is the root of the n-th perfect subtree of 2^level entries.
func (r *Tree) hash(level int, n uint64) (bundle.Hash, error) {
	tileLevel, within := level/8, level%8
	first := n << within // index of the first hash of that tile level below this subtree
	count := uint64(1) << within
	hs, err := r.row(tileLevel, first/bundle.TileWidth)
	if err != nil {
		return bundle.Hash{}, err
	}
	at := first % bundle.TileWidth
	if at+count > uint64(len(hs)) {
		return bundle.Hash{}, fmt.Errorf("the tree of %d entries has no such hash", r.size)
	}
	return bundle.SubtreeRoot(hs[at : at+count]), nil
}

// row is a tile of that level, or as much of it as the tree has.
func (r *Tree) row(level int, n uint64) ([]bundle.Hash, error) {
	id := [2]uint64{uint64(level), n}
	if hs, ok := r.tiles[id]; ok {
		return hs, nil
	}
	inLevel := r.size >> (8 * level) // hashes that this level has
	from, to := n*bundle.TileWidth, min((n+1)*bundle.TileWidth, inLevel)
	var hs []bundle.Hash
	var err error
	switch {
	case from >= inLevel:
		return nil, fmt.Errorf("the tree of %d entries has no such tile", r.size)
	case to-from == bundle.TileWidth:
		hs, err = ReadTile(r.ctx, r.q, r.log, level, n)
	case level == 0:
		hs, err = LeafHashes(r.ctx, r.q, r.log, from, to)
	default:
		for i := from; i < to && err == nil; i++ {
			var below []bundle.Hash // a full tile, or the tree would not have this hash
			if below, err = r.row(level-1, i); err == nil {
				hs = append(hs, bundle.SubtreeRoot(below))
			}
		}
	}
	if err != nil {
		return nil, err
	}
	r.tiles[id] = hs
	return hs, nil
}

// PeaksAt are the peaks of the tree when it had n ≤ size entries.
func (r *Tree) PeaksAt(n uint64) (bundle.Peaks, error) {
	p := bundle.Peaks{Size: n}
	for at, left := uint64(0), n; left > 0; {
		level := bits.Len64(left) - 1
		h, err := r.hash(level, at>>level)
		if err != nil {
			return p, err
		}
		p.Hashes = append(p.Hashes, h)
		at += 1 << level
		left -= 1 << level
	}
	return p, nil
}
