package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// Since returns up to limit entries of a log from number n on: what a follower reads.
func (l *Log) Since(ctx context.Context, log int, n uint64, limit int) ([]stored.Entry, error) {
	return stored.Since(ctx, l.c.DB.Read(), log, n, limit)
}

// View is one entry as a reader meets it: the leaf, and the entry that ends it or that it ends.
type View struct {
	Log     int
	N       uint64
	Leaf    *bundle.Leaf // nil: destroyed after its term
	Hash    bundle.Hash
	End     *uint64 // of an opening: number of the entry that ends it
	Sealed  bool    // the sealed part is there
	Destroy bool    // the leaf knows a sealed part that is gone
}

// ID is the entry's name.
func (v *View) ID() string { return bundle.CallID(v.Log, v.N) }

// Get reads one entry.
func (l *Log) Get(ctx context.Context, log int, n uint64) (*View, error) {
	var hash, leaf []byte
	var sealed bool
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT leaf_hash, leaf, sealed IS NOT NULL FROM audit_entries WHERE log = $1 AND n = $2`, log, int64(n)).Scan(&hash, &leaf, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if len(hash) != len(bundle.Hash{}) {
		return nil, fmt.Errorf("entry %d has no hash", n)
	}
	v := &View{Log: log, N: n, Hash: bundle.Hash(hash), Sealed: sealed}
	if leaf != nil {
		if v.Leaf, err = bundle.DecodeLeaf(leaf); err != nil {
			return nil, err
		}
		v.Destroy = len(v.Leaf.HSealed) > 0 && !sealed
	}
	var end uint64
	err = l.c.DB.Read().QueryRowContext(ctx, `SELECT n FROM audit_entries WHERE log = $1 AND opening = $2`, log, int64(n)).Scan(&end)
	if err == nil {
		v.End = &end
	} else if !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return v, nil
}

// Unseal opens the sealed part of an entry and checks it against the leaf's commitments. Whoever calls it decides who may
// see what it returns. It answers ErrKeyDestroyed for content that was erased.
func (l *Log) Unseal(ctx context.Context, log int, n uint64) (*bundle.Sealed, error) {
	var leafBytes, salt, sealed []byte
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT leaf, salt, sealed FROM audit_entries WHERE log = $1 AND n = $2`, log, int64(n)).Scan(&leafBytes, &salt, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if sealed == nil || leafBytes == nil {
		return nil, ErrKeyDestroyed
	}
	leaf, err := bundle.DecodeLeaf(leafBytes)
	if err != nil {
		return nil, err
	}
	month, err := l.c.Keys.key(ctx, leaf.Key, false)
	if err != nil {
		return nil, err
	}
	aead, err := recordSealer(month, salt)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, sealedData(Origin(l.c.Name, log), leaf.Event))
	if err != nil {
		return nil, fmt.Errorf("the sealed part cannot be opened: %w", err)
	}
	part, err := bundle.DecodeSealed(plain)
	if err != nil {
		return nil, err
	}
	return part, bundle.CheckSealed(leaf, part)
}

// moveCursor files how far the index has come; it belongs into the transaction of its own writes.
func moveCursor(ctx context.Context, tx *db.Tx, log int, n uint64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit_cursors (follower, log, n) VALUES ($1, $2, $3)
		ON CONFLICT (follower, log) DO UPDATE SET n = excluded.n`, stored.IndexName, log, int64(n))
	return err
}

// RefreshEpoch reads the newest epoch from the head row.
func (l *Log) RefreshEpoch(ctx context.Context) (uint64, error) {
	epoch, size, err := readEpoch(ctx, l.c.DB.Read(), l.log)
	if err != nil {
		return 0, err
	}
	l.epoch.Store(epoch)
	l.size.Store(size)
	return epoch, nil
}

// EpochTx reads the newest epoch inside a transaction, so that it belongs to what the transaction reads beside it.
func (l *Log) EpochTx(ctx context.Context, tx *db.Tx) (uint64, error) {
	epoch, _, err := readEpoch(ctx, tx.Tx, l.log)
	return epoch, err
}

// readEpoch also reads a head row that does not agree with itself: pages and commands that only read go on. Without a head
// row the epoch is 0, under which nothing opens.
func readEpoch(ctx context.Context, q stored.Querier, log int) (epoch, size uint64, err error) {
	err = q.QueryRowContext(ctx, `SELECT epoch, size FROM audit_head WHERE log = $1`, log).Scan(&epoch, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	return epoch, size, err
}
