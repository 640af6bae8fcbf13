package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// PartState is what a check found of a sealed part, or of the commitments to its content.
type PartState string

// States of a sealed part and of its commitments.
const (
	PartNone   PartState = "none"   // the entry has none
	PartSame   PartState = "same"   // as the leaf says
	PartOther  PartState = "other"  // not as the leaf says, or gone without an entry that says why
	PartErased PartState = "erased" // destroyed under an entry that says so
	PartClosed PartState = "closed" // not opened for this check
)

// EntryCheck is the result of checking one entry against the tree and its newest checkpoint.
type EntryCheck struct {
	Leaf       bool        // the stored leaf is canonical and has the stored hash; or it is gone and an entry says why
	Tree       bool        // the hash is at its place in the tree
	Checkpoint uint64      // size of the newest checkpoint that covers the entry; 0 = none yet
	Signature  bool        // of that checkpoint
	Root       bundle.Hash // of the tree that the place was proved in
	Sealed     PartState
	Commit     PartState // of the commitments
	What       string    // the first thing that is wrong, for the program log; it holds no content
}

// OK reports whether nothing is wrong.
func (c *EntryCheck) OK() bool {
	return c.Leaf && c.Tree && (c.Checkpoint == 0 || c.Signature) && c.Sealed != PartOther && c.Commit != PartOther
}

func (c *EntryCheck) wrong(format string, args ...any) {
	if c.What == "" {
		c.What = fmt.Sprintf(format, args...)
	}
}

// CheckEntry checks one entry as it is stored now: the hash of its leaf, its place in the tree that the newest checkpoint
// signs, the hash of its sealed part and, with openContent, the commitments to the content. It answers ErrNotFound where
// there is no such entry, and an error only where the check itself could not be made.
func (l *Log) CheckEntry(ctx context.Context, log int, n uint64, openContent bool) (*EntryCheck, error) {
	c := &EntryCheck{Sealed: PartNone, Commit: PartNone}
	err := l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		e, err := oneEntry(ctx, tx, log, n)
		if err != nil {
			return err
		}
		leaf, err := l.checkLeaf(ctx, tx, log, e, c)
		if err != nil {
			return err
		}
		if err := l.checkPlace(ctx, tx, log, e, c); err != nil {
			return err
		}
		if leaf == nil {
			return nil
		}
		return l.checkSealed(ctx, tx, log, e, leaf, c)
	})
	if err != nil {
		return nil, err
	}
	if !openContent || c.Commit != PartClosed || c.Sealed != PartSame {
		return c, nil
	}
	switch _, err := l.Unseal(ctx, log, n); {
	case err == nil:
		c.Commit = PartSame
	case errors.Is(err, ErrKeyDestroyed):
		c.Commit = PartErased
	case ctx.Err() != nil:
		return nil, err
	default:
		c.Commit = PartOther
		c.wrong("commitments: %v", err)
	}
	return c, nil
}

func oneEntry(ctx context.Context, tx *db.Tx, log int, n uint64) (*bundle.Entry, error) {
	e := &bundle.Entry{N: n, Row: true}
	err := tx.QueryRowContext(ctx, `SELECT opening, leaf_hash, leaf, key, salt, sealed FROM audit_entries WHERE log = $1 AND n = $2`, log, int64(n)).
		Scan(&e.Opening, &e.Hash, &e.Leaf, &e.Key, &e.Salt, &e.Sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return e, err
}

// checkLeaf returns the leaf where there is one that can be read.
func (l *Log) checkLeaf(ctx context.Context, tx *db.Tx, log int, e *bundle.Entry, c *EntryCheck) (*bundle.Leaf, error) {
	if e.Leaf == nil {
		_, gone, err := destroyed(ctx, tx, log, e.N, "", true)
		if c.Leaf = gone; !gone {
			c.wrong("the leaf is gone and no entry says why")
		}
		return nil, err
	}
	leaf, err := bundle.DecodeLeaf(e.Leaf)
	hash := bundle.LeafHash(e.Leaf)
	var opening *uint64
	if leaf != nil && leaf.Type.Ends() {
		opening = leaf.Ref
	}
	switch {
	case err != nil:
		c.wrong("leaf: %v", err)
	case !bytes.Equal(hash[:], e.Hash):
		c.wrong("the leaf does not have the hash that is stored for it")
	case leaf.Key != e.Key || (opening == nil) != (e.Opening == nil) || opening != nil && *opening != *e.Opening:
		c.wrong("what is stored beside the leaf is not the leaf's")
	default:
		c.Leaf = true
	}
	return leaf, nil
}

// checkPlace proves the entry's hash in the tree of the newest checkpoint that covers it, or in the tree of the head row
// while no checkpoint does. The hash is that of the leaf as it is now, not the stored one.
func (l *Log) checkPlace(ctx context.Context, tx *db.Tx, log int, e *bundle.Entry, c *EntryCheck) error {
	hash := bundle.LeafHash(e.Leaf)
	if e.Leaf == nil {
		if len(e.Hash) != tlog.HashSize {
			c.wrong("the stored leaf hash has %d bytes", len(e.Hash))
			return nil
		}
		hash = bundle.Hash(e.Hash)
	}
	size, root, err := l.newestTree(ctx, tx, log, e.N, c)
	if err != nil || size <= e.N {
		c.wrong("no tree covers the entry: %v", err)
		return ctx.Err()
	}
	c.Root = root
	proof, err := tlog.ProveRecord(int64(size), int64(e.N), stored.NewTree(ctx, tx.Tx, log, size))
	if err == nil {
		err = tlog.CheckRecord(proof, int64(size), root, int64(e.N), hash)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.Tree = err == nil; err != nil {
		c.wrong("place in the tree: %v", err)
	}
	return nil
}

// newestTree is the tree of the newest stored checkpoint, or that of the head row where no checkpoint covers the entry or
// its note cannot be read.
func (l *Log) newestTree(ctx context.Context, tx *db.Tx, log int, n uint64, c *EntryCheck) (uint64, bundle.Hash, error) {
	var filed uint64
	var signed string
	err := tx.QueryRowContext(ctx, `SELECT size, note FROM audit_checkpoints WHERE log = $1 AND size > $2 ORDER BY size DESC LIMIT 1`, log, int64(n)).Scan(&filed, &signed)
	if err == nil {
		c.Checkpoint = filed
		cp, err := l.openCheckpoint(log, signed)
		if err == nil && cp.Size == filed {
			c.Signature = true
			return cp.Size, cp.Root, nil
		}
		c.wrong("checkpoint filed for %d entries: %v", filed, err)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return 0, bundle.Hash{}, err
	}
	h, err := stored.ReadHead(ctx, tx.Tx, log)
	return h.Size, h.Root, err
}

func (l *Log) openCheckpoint(log int, signed string) (bundle.Checkpoint, error) {
	_, vkey, err := signerFor(Origin(l.c.Name, log), l.c.Key)
	if err != nil {
		return bundle.Checkpoint{}, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return bundle.Checkpoint{}, err
	}
	cp, err := bundle.OpenCheckpoint(signed, note.VerifierList(v))
	if err == nil && cp.Origin != v.Name() {
		err = fmt.Errorf("it belongs to the log %q", cp.Origin)
	}
	return cp, err
}

func (l *Log) checkSealed(ctx context.Context, tx *db.Tx, log int, e *bundle.Entry, leaf *bundle.Leaf, c *EntryCheck) error {
	for _, field := range []string{bundle.FieldRequest, bundle.FieldOutbound, bundle.FieldResponse, bundle.FieldMeta} {
		if leaf.Commitment(field) != nil {
			c.Commit = PartClosed
		}
	}
	there := e.Sealed != nil || e.Salt != nil
	switch {
	case len(leaf.HSealed) == 0 && there:
		c.Sealed = PartOther
		c.wrong("a sealed part that the leaf does not know")
	case len(leaf.HSealed) == 0:
	case there && bytes.Equal(bundle.SealedHash(e.Salt, e.Sealed), leaf.HSealed):
		c.Sealed = PartSame
	case there:
		c.Sealed = PartOther
		c.wrong("the hash of the sealed part is not the one in the leaf")
	default:
		_, gone, err := destroyed(ctx, tx, log, e.N, leaf.Key, false)
		if err != nil {
			return err
		}
		if c.Sealed = PartErased; !gone {
			c.Sealed = PartOther
			c.wrong("the sealed part is gone and no entry says why")
		}
		if c.Commit == PartClosed {
			c.Commit = PartNone // nothing is left that they could be compared with
		}
	}
	return nil
}

// Destroyed finds the entry under which the content of an entry, or with leaf its leaf, was destroyed. key is the
// reference of the key that sealed the content.
func (l *Log) Destroyed(ctx context.Context, log int, n uint64, key string, leaf bool) (by uint64, found bool, err error) {
	err = l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		by, found, err = destroyed(ctx, tx, log, n, key, leaf)
		return err
	})
	return by, found, err
}

// destroyed reads the entries themselves and uses the index only to find them: those without a verdict are few. What the
// index has not seen yet is read too.
func destroyed(ctx context.Context, tx *db.Tx, log int, n uint64, key string, leaf bool) (by uint64, found bool, err error) {
	cursor, err := stored.Cursor(ctx, tx, log)
	if err != nil {
		return 0, false, err
	}
	for _, query := range []string{
		`SELECT e.n, e.leaf FROM audit_index i JOIN audit_entries e ON e.log = i.log AND e.n = i.n
			WHERE i.log = $1 AND i.verdict = '' AND i.n > $2 AND i.n < $3 AND i.type IN ('erase', 'retain') AND e.leaf IS NOT NULL ORDER BY i.n`,
		`SELECT n, leaf FROM audit_entries WHERE log = $1 AND n > $2 AND n >= $3 AND leaf IS NOT NULL ORDER BY n`,
	} {
		rows, err := tx.QueryContext(ctx, query, log, int64(n), int64(cursor))
		if err != nil {
			return 0, false, err
		}
		for rows.Next() && !found {
			var b []byte
			if err := rows.Scan(&by, &b); err != nil {
				rows.Close()
				return 0, false, err
			}
			if d, err := bundle.DecodeLeaf(b); err == nil {
				found = destroys(d, n, key, leaf)
			}
		}
		err = rows.Err()
		rows.Close()
		if err != nil || found {
			return by, found, err
		}
	}
	return 0, false, nil
}

// destroys reports whether an entry says that the content of entry n, or with leaf its leaf, is gone.
func destroys(d *bundle.Leaf, n uint64, key string, leaf bool) bool {
	if d.Type != bundle.Erase && d.Type != bundle.Retain {
		return false
	}
	leaves := d.Type == bundle.Retain && d.System == ""
	for _, s := range d.Entries {
		if s.From <= n && n < s.To && (leaves || !leaf) {
			return true
		}
	}
	if leaf || key == "" {
		return false
	}
	for _, k := range d.Keys {
		if k == key {
			return true
		}
	}
	return false
}

// LatestCheckpoint is the newest stored checkpoint of the current log whose signature holds, as text; empty where there
// is none yet.
func (l *Log) LatestCheckpoint(ctx context.Context) (string, error) {
	var signed string
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT note FROM audit_checkpoints WHERE log = $1 ORDER BY size DESC LIMIT 1`, l.log).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := l.openCheckpoint(l.log, signed); err != nil {
		return "", nil // the full check names it; a public page shows no note that does not hold
	}
	return signed, nil
}
