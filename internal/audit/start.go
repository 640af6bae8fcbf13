package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// start checks the log against its mark (audit.md section 6). What does not agree makes the log refuse to write; only
// errors of reading are returned.
func (l *Log) start(ctx context.Context) error {
	h, err := stored.ReadHead(ctx, l.c.DB.Read(), l.log)
	if errors.Is(err, sql.ErrNoRows) {
		return l.create(ctx)
	}
	if err != nil {
		l.refuse("the head row cannot be read: %v", err)
		return nil
	}
	l.size.Store(h.Size)
	l.epoch.Store(h.Epoch)
	signed, mark, err := openMark(l.c.Mark, l.vkey)
	if unsigned, err := l.neverSigned(ctx, h, signed); err != nil || unsigned {
		return errors.Join(err, l.signHead(ctx, ""))
	}
	if why := l.disagrees(h, signed, mark, err); why != "" {
		l.refuse("%s", why)
		return nil
	}
	if err := l.checkTail(ctx, h, mark); err != nil {
		l.refuse("%v", err)
		return nil
	}
	l.verified = bundle.Peaks{Size: h.Size, Hashes: append([]bundle.Hash(nil), h.Peaks.Hashes...)}
	// A crash between mark and checkpoint table left the mark ahead.
	if err := l.storeCheckpoint(ctx, mark.Size, signed); err != nil {
		return err
	}
	if _, err := os.Stat(l.restartMarker()); err == nil {
		return l.restarted(ctx)
	}
	return l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := l.AppendTx(ctx, tx, Record{Leaf: bundle.Leaf{Type: bundle.LogStart, Epoch: h.Epoch}})
		return err
	})
}

// create begins the first log of an installation. A mark beside a database without a log means that the log was lost.
func (l *Log) create(ctx context.Context) error {
	if signed, err := stored.ReadMark(l.c.Mark); err != nil || signed != "" {
		l.refuse("the database holds no log, but there is a mark of one")
		return nil
	}
	return l.begin(ctx, 1, bundle.Leaf{Type: bundle.LogStart}, nil, "")
}

// neverSigned reports whether the process died between the first entry of a new log and its first signature.
func (l *Log) neverSigned(ctx context.Context, h stored.Head, signed string) (bool, error) {
	if signed != "" || h.Size != 1 {
		return false, nil
	}
	var n int
	err := l.c.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM audit_checkpoints WHERE log = $1`, l.log).Scan(&n)
	return n == 0, err
}

// begin writes the head row of a new log and its first entry, and signs its first checkpoint in place of the old mark.
func (l *Log) begin(ctx context.Context, epoch uint64, first bundle.Leaf, content []Content, oldMark string) error {
	first.Epoch = epoch
	err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		root := bundle.EmptyRoot()
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_head (log, origin, size, epoch, root, peaks) VALUES ($1, $2, 0, $3, $4, $5)`,
			l.log, l.origin, int64(epoch), root[:], []byte{})
		if err != nil {
			return err
		}
		_, err = l.AppendTx(ctx, tx, Record{Leaf: first, Content: content})
		return err
	})
	if db.IsDuplicate(err) {
		return errors.New("another process began the log at the same time; start again")
	}
	if err != nil {
		return err
	}
	l.verified = bundle.Peaks{}
	l.epoch.Store(epoch)
	return l.signHead(ctx, oldMark)
}

// disagrees says what is wrong between head row and mark, empty where nothing is.
func (l *Log) disagrees(h stored.Head, signed string, mark *bundle.Checkpoint, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("the mark cannot be used: %v", err)
	case signed == "":
		return fmt.Sprintf("the mark %s is missing, but the log has %d entries", l.c.Mark, h.Size)
	case h.Origin != l.origin || mark.Origin != l.origin:
		return fmt.Sprintf("the mark is of the log %q, the database holds %q, the configuration says %q", mark.Origin, h.Origin, l.origin)
	case mark.Size > h.Size:
		return fmt.Sprintf("the mark was signed for %d entries, the database has %d: it is an older copy, or entries were deleted", mark.Size, h.Size)
	case h.Root != h.Peaks.Root():
		return "the head row does not agree with itself"
	}
	return ""
}

// checkTail derives the tree anew from the last full tile below the mark to the head: leaves give the stored hashes, the
// hashes give the mark's root at its size and the head's root at the end.
func (l *Log) checkTail(ctx context.Context, h stored.Head, mark *bundle.Checkpoint) error {
	return l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		from := mark.Size / bundle.TileWidth * bundle.TileWidth
		peaks, err := stored.NewTree(ctx, tx.Tx, l.log, h.Size).PeaksAt(from)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `SELECT n, leaf_hash, leaf FROM audit_entries WHERE log = $1 AND n >= $2 ORDER BY n`, l.log, int64(from))
		if err != nil {
			return err
		}
		defer rows.Close()
		for done := false; ; {
			if peaks.Size == mark.Size {
				if peaks.Root() != mark.Root {
					return fmt.Errorf("the first %d entries give another root than the mark was signed for", mark.Size)
				}
				done = true
			}
			if !rows.Next() {
				if err := rows.Err(); err != nil {
					return err
				}
				if !done || peaks.Size != h.Size {
					return fmt.Errorf("entry %d is missing", peaks.Size)
				}
				if peaks.Root() != h.Root {
					return fmt.Errorf("the entries after %d do not give the root of the head row", mark.Size)
				}
				return nil
			}
			var n uint64
			var hash, leaf []byte
			if err := rows.Scan(&n, &hash, &leaf); err != nil {
				return err
			}
			switch {
			case n >= h.Size: // written by another node since the head row was read
				continue
			case n != peaks.Size:
				return fmt.Errorf("entry %d is missing", peaks.Size)
			case len(hash) != len(bundle.Hash{}) || (leaf != nil && bundle.LeafHash(leaf) != bundle.Hash(hash)):
				return fmt.Errorf("entry %d does not have the hash that is stored for it", n)
			}
			peaks.Add(bundle.Hash(hash))
		}
	})
}

func (l *Log) restartMarker() string { return l.c.Mark + ".io-error" }

// MarkIOError notes that the storage failed, so that the next start verifies the whole log. The caller then ends the
// process.
func MarkIOError(mark string) error { return WriteFile(mark+".io-error", []byte("storage error\n")) }

// restarted is the first start after a storage error: the whole log is verified before anything is written.
func (l *Log) restarted(ctx context.Context) error {
	rep, err := l.Verify(ctx)
	if err != nil {
		return err
	}
	if !rep.OK {
		l.refuse("after a storage error: %s", rep.FirstBad.What)
		return nil
	}
	err = l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		_, err := l.AppendTx(ctx, tx, Record{Leaf: bundle.Leaf{Type: bundle.LogRestart}})
		return err
	})
	if err != nil {
		return err
	}
	return os.Remove(l.restartMarker())
}

// Fork begins the next log of the installation after a refused start, with a reason. Its first entry commits to the last
// known checkpoint of the old log and to the size that was found. The old log stays readable.
func Fork(ctx context.Context, c Config, reason, actor string) (*Log, error) {
	l, err := newLog(ctx, c)
	if err != nil {
		return nil, err
	}
	h, err := stored.ReadHead(ctx, c.DB.Read(), l.log)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		// A head row that cannot be read is one of the breaks that a fork is for.
		h = stored.Head{}
		if err := c.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM audit_entries WHERE log = $1`, l.log).Scan(&h.Size); err != nil {
			return nil, err
		}
	}
	signed, mark, err := openMark(c.Mark, l.vkey)
	first := bundle.Leaf{Type: bundle.LogFork, PriorLog: l.origin, FoundSize: h.Size}
	if err == nil && mark != nil {
		first.PriorSize, first.PriorRoot = mark.Size, mark.Root[:]
	} else if cp, ok := l.lastCheckpoint(ctx); ok {
		first.PriorSize, first.PriorRoot = cp.Size, cp.Root[:]
	}
	if err := l.use(l.log + 1); err != nil {
		return nil, err
	}
	meta := metaJSON(map[string]string{"reason": reason, "actor": actor})
	if err := l.begin(ctx, h.Epoch+1, first, []Content{{Name: bundle.FieldMeta, Value: meta, Commit: true}}, signed); err != nil {
		return nil, err
	}
	l.done.Add(1)
	go l.commitLoop()
	return l, nil
}
