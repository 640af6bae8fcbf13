package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
)

const (
	signEvery   = time.Second
	signLease   = 10 * time.Second
	walPassive  = 8 << 20   // bytes of write-ahead log from which pages are moved
	walTruncate = 128 << 20 // bytes from which the writers wait a moment so that the file can start anew
	walEvery    = 250 * time.Millisecond
	beatEvery   = 2 * time.Second
)

// Run signs a checkpoint every second while entries arrive, moves the write-ahead log into the database, keeps this
// process's heartbeat, and ends calls whose process is gone. It returns when ctx ends.
func (l *Log) Run(ctx context.Context) {
	sign, wal, beat := time.NewTicker(signEvery), time.NewTicker(walEvery), time.NewTicker(beatEvery)
	defer sign.Stop()
	defer wal.Stop()
	defer beat.Stop()
	for {
		var err error
		var what string
		select {
		case <-ctx.Done():
			return
		case <-sign.C:
			what, err = "checkpoint", l.Checkpoint(ctx)
		case <-wal.C:
			if size := l.c.DB.WALSize(); size > walPassive {
				what = "write-ahead log"
				_, err = l.c.DB.CheckpointWAL(ctx, size > walTruncate)
			}
		case <-beat.C:
			what, err = "heartbeat", l.beat(ctx)
			if err == nil && l.c.Shared {
				_, err = l.Recover(ctx)
			}
		}
		if err != nil && ctx.Err() == nil {
			l.c.Log.Warn("background work of the log failed and is tried again", "what", what, "error", err)
		}
	}
}

// Checkpoint signs the tree as it is now, if it grew since the last signature. On several nodes the one with the lease
// signs, and the others check and keep what it signed.
func (l *Log) Checkpoint(ctx context.Context) error {
	l.sign.Lock()
	defer l.sign.Unlock()
	if why := l.Refused(); why != "" {
		return nil
	}
	signed, mark, err := openMark(l.c.Mark, l.vkey)
	if err != nil || mark == nil {
		l.refuse("the mark went missing or was changed while the log was open")
		return fmt.Errorf("mark: %w", errors.Join(err, errors.New("it has to be restored")))
	}
	if l.c.Shared {
		mine, err := l.c.DB.Lease(ctx, "audit.sign", l.c.Instance, signLease)
		if err != nil {
			return err
		}
		if !mine {
			return l.keepOther(ctx, signed, mark)
		}
	}
	h, err := stored.ReadHead(ctx, l.c.DB.Read(), l.log)
	if err != nil {
		return err
	}
	if h.Size == mark.Size && h.Root == mark.Root {
		l.signedAt.Store(l.c.DB.Now().UnixMicro())
		return nil
	}
	return l.signHead(ctx, signed)
}

// signHead extends the verified tree by the stored hashes up to the head row, and signs it if that gives the head's root.
// Order: sign, mark, table. A crash after the mark leaves it ahead of the table; the next start copies it.
func (l *Log) signHead(ctx context.Context, oldMark string) error {
	h, err := stored.ReadHead(ctx, l.c.DB.Read(), l.log)
	if err != nil {
		return err
	}
	if err := l.extend(ctx, h.Size); err != nil {
		return err
	}
	if l.verified.Root() != h.Root {
		l.refuse("the stored hashes do not give the root of the head row for %d entries", h.Size)
		return errors.New(l.Refused())
	}
	if err := l.fail("sign.before"); err != nil {
		return err
	}
	signed, err := bundle.Checkpoint{Origin: l.origin, Size: h.Size, Root: h.Root}.Sign(l.signer)
	if err != nil {
		return err
	}
	if err := l.fail("mark.before"); err != nil {
		return err
	}
	if err := swapMark(l.c.Mark, oldMark, signed); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	if err := l.fail("mark.after"); err != nil {
		return err
	}
	if err := l.fail("checkpoint.before"); err != nil {
		return err
	}
	if err := l.storeCheckpoint(ctx, h.Size, signed); err != nil {
		return err
	}
	l.signedAt.Store(l.c.DB.Now().UnixMicro())
	return l.fail("checkpoint.after")
}

// extend takes the hashes of the entries after the verified tree, up to size: those that this process committed as it
// committed them, others from the database. A smaller tree makes the log refuse.
func (l *Log) extend(ctx context.Context, size uint64) error {
	if size < l.verified.Size {
		l.refuse("the database has %d entries, %d were there before", size, l.verified.Size)
		return errors.New(l.Refused())
	}
	const step = 4096
	for l.verified.Size < size {
		if fresh := l.takeFresh(l.verified.Size, size); len(fresh) > 0 {
			for _, h := range fresh {
				l.verified.Add(h)
			}
			continue
		}
		to := min(l.verified.Size+step, size)
		hs, err := stored.LeafHashes(ctx, l.c.DB.Read(), l.log, l.verified.Size, to)
		if err != nil {
			return err
		}
		for _, h := range hs {
			l.verified.Add(h)
		}
	}
	return nil
}

// keepOther checks the newest checkpoint that another node signed, and keeps it as this node's mark.
func (l *Log) keepOther(ctx context.Context, oldMark string, mark *bundle.Checkpoint) error {
	var signed string
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT note FROM audit_checkpoints WHERE log = $1 ORDER BY size DESC LIMIT 1`, l.log).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(l.vkey)
	if err != nil {
		return err
	}
	cp, err := bundle.OpenCheckpoint(signed, note.VerifierList(v))
	if err != nil {
		l.refuse("the newest checkpoint in the database: %v", err)
		return err
	}
	if cp.Size <= mark.Size {
		return nil
	}
	if cp.Size < l.verified.Size { // seen already as part of a larger tree; the next one will be compared
		return nil
	}
	if err := l.extend(ctx, cp.Size); err != nil {
		return err
	}
	if l.verified.Root() != cp.Root {
		l.refuse("a checkpoint for %d entries was signed for another root than the entries give", cp.Size)
		return errors.New(l.Refused())
	}
	return swapMark(l.c.Mark, oldMark, signed)
}

// storeCheckpoint files a signed note. The same size is never filed with another root.
func (l *Log) storeCheckpoint(ctx context.Context, size uint64, signed string) error {
	_, err := l.c.DB.Exec(ctx, `INSERT INTO audit_checkpoints (log, size, note) VALUES ($1, $2, $3) ON CONFLICT (log, size) DO NOTHING`, l.log, int64(size), signed)
	if err != nil {
		return err
	}
	var stored string
	err = l.c.DB.Read().QueryRowContext(ctx, `SELECT note FROM audit_checkpoints WHERE log = $1 AND size = $2`, l.log, int64(size)).Scan(&stored)
	if err == nil && stored != signed {
		l.refuse("a second root was signed for %d entries", size)
		err = errors.New(l.Refused())
	}
	return err
}

// lastCheckpoint is the newest stored checkpoint whose signature holds.
func (l *Log) lastCheckpoint(ctx context.Context) (bundle.Checkpoint, bool) {
	v, err := note.NewVerifier(l.vkey)
	if err != nil {
		return bundle.Checkpoint{}, false
	}
	rows, err := l.c.DB.Read().QueryContext(ctx, `SELECT note FROM audit_checkpoints WHERE log = $1 ORDER BY size DESC LIMIT 100`, l.log)
	if err != nil {
		return bundle.Checkpoint{}, false
	}
	defer rows.Close()
	for rows.Next() {
		var signed string
		if rows.Scan(&signed) != nil {
			continue
		}
		if cp, err := bundle.OpenCheckpoint(signed, note.VerifierList(v)); err == nil {
			return cp, true
		}
	}
	if err := rows.Err(); err != nil {
		l.c.Log.Warn("checkpoints could not be read", "error", err)
	}
	return bundle.Checkpoint{}, false
}

func metaJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // only strings and numbers are passed
		panic(err)
	}
	return b
}
