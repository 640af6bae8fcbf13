package audit

import (
	"context"
	"database/sql"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/leitplanke/leitplanke/bundle"
)

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// head is the head row of a log.
type head struct {
	origin string
	size   uint64
	epoch  uint64
	root   bundle.Hash
	peaks  bundle.Peaks
}

const headColumns = `origin, size, epoch, root, peaks`

func scanHead(row *sql.Row) (head, error) {
	var h head
	var root, peaks []byte
	if err := row.Scan(&h.origin, &h.size, &h.epoch, &root, &peaks); err != nil {
		return h, err
	}
	if len(root) != tlog.HashSize {
		return h, fmt.Errorf("the head row's root has %d bytes", len(root))
	}
	h.root = bundle.Hash(root)
	var err error
	if h.peaks, err = bundle.ParsePeaks(h.size, peaks); err != nil {
		return h, fmt.Errorf("the head row: %w", err)
	}
	return h, nil
}

func readHead(ctx context.Context, q querier, log int) (head, error) {
	return scanHead(q.QueryRowContext(ctx, `SELECT `+headColumns+` FROM audit_head WHERE log = $1`, log))
}

// lockHead takes the head row's lock until the end of the transaction.
func lockHead(ctx context.Context, tx *sql.Tx, log int) (head, error) {
	return scanHead(tx.QueryRowContext(ctx, `UPDATE audit_head SET size = size WHERE log = $1 RETURNING `+headColumns, log))
}

// edge reads what the next append needs.
func (h head) edge(ctx context.Context, q querier, log int) (edge, error) {
	e := edge{valid: true, epoch: h.epoch, peaks: h.peaks}
	from := h.size / bundle.TileWidth * bundle.TileWidth
	var err error
	e.tail, err = leafHashes(ctx, q, log, from, h.size)
	return e, err
}

// leafHashes reads the stored leaf hashes of the entries from ≤ n < to.
func leafHashes(ctx context.Context, q querier, log int, from, to uint64) ([]bundle.Hash, error) {
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

// writeTiles stores the tile of leaf hashes that became full at that size, and each tile above it that it completes.
func writeTiles(ctx context.Context, tx *sql.Tx, log int, size uint64, hashes []bundle.Hash) error {
	n := size / bundle.TileWidth // full tiles of this level
	for level := 0; ; level++ {
		p := bundle.Peaks{Hashes: hashes}
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_tiles (log, level, n, hashes) VALUES ($1, $2, $3, $4)`, log, level, int64(n-1), p.Bytes())
		if err != nil || n%bundle.TileWidth != 0 {
			return err
		}
		hashes = hashes[:0:0]
		for i := n - bundle.TileWidth; i < n; i++ {
			below, err := readTile(ctx, tx, log, level, i)
			if err != nil {
				return err
			}
			hashes = append(hashes, bundle.SubtreeRoot(below))
		}
		n /= bundle.TileWidth
	}
}

func readTile(ctx context.Context, q querier, log, level int, n uint64) ([]bundle.Hash, error) {
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

// treeReader answers the hashes of a log's tree from stored tiles and leaf hashes, for a tree of the given size.
type treeReader struct {
	ctx   context.Context
	q     querier
	log   int
	size  uint64
	tiles map[[2]uint64][]bundle.Hash // read already
}

func newTreeReader(ctx context.Context, q querier, log int, size uint64) *treeReader {
	return &treeReader{ctx: ctx, q: q, log: log, size: size, tiles: map[[2]uint64][]bundle.Hash{}}
}

// ReadHashes implements tlog.HashReader.
func (r *treeReader) ReadHashes(indexes []int64) ([]bundle.Hash, error) {
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
func (r *treeReader) hash(level int, n uint64) (bundle.Hash, error) {
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
func (r *treeReader) row(level int, n uint64) ([]bundle.Hash, error) {
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
		hs, err = readTile(r.ctx, r.q, r.log, level, n)
	case level == 0:
		hs, err = leafHashes(r.ctx, r.q, r.log, from, to)
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

// peaksAt are the peaks of the tree when it had n ≤ size entries.
func (r *treeReader) peaksAt(n uint64) (bundle.Peaks, error) {
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
