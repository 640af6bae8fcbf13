package audit

import (
	"context"
	"database/sql"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
)

// lockHead takes the head row's lock until the end of the transaction.
func lockHead(ctx context.Context, tx *sql.Tx, log int) (stored.Head, error) {
	return stored.ScanHead(tx.QueryRowContext(ctx, `UPDATE audit_head SET size = size WHERE log = $1 RETURNING `+stored.HeadColumns, log))
}

// edgeOf reads what the next append needs.
func edgeOf(ctx context.Context, q stored.Querier, log int, h stored.Head) (edge, error) {
	e := edge{valid: true, epoch: h.Epoch, peaks: h.Peaks}
	from := h.Size / bundle.TileWidth * bundle.TileWidth
	var err error
	e.tail, err = stored.LeafHashes(ctx, q, log, from, h.Size)
	return e, err
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
			below, err := stored.ReadTile(ctx, tx, log, level, i)
			if err != nil {
				return err
			}
			hashes = append(hashes, bundle.SubtreeRoot(below))
		}
		n /= bundle.TileWidth
	}
}
