package audit

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// The mark is a file with the last signed checkpoint. It stands outside the database, so that a database which was rolled
// back, truncated or replaced is noticed before anything is signed on top of it.

// errMarkMoved: another process signed in between.
var errMarkMoved = errors.New("the mark is not the one that was read before: another process signs this log")

// swapMark replaces the mark if it still holds the old note. It is durable when swapMark returns: file and folder were
// synced. A crash before the rename leaves the old mark, one after it the new mark.
func swapMark(path, old, next string) (err error) {
	unlock, err := db.LockFile(path+".lock", true)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := stored.ReadMark(path)
	if err != nil {
		return err
	}
	if now != old {
		return errMarkMoved
	}
	return WriteFile(path, []byte(next))
}

// WriteFile replaces a file durably: temporary file, sync, rename, sync of the folder. Its mode is 0600.
func WriteFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// openMark reads and verifies the mark against the key of the log; a nil checkpoint means that there is no mark.
func openMark(path, vkey string) (signed string, cp *bundle.Checkpoint, err error) {
	signed, err = stored.ReadMark(path)
	if err != nil || signed == "" {
		return signed, nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return signed, nil, err
	}
	c, err := bundle.OpenCheckpoint(signed, note.VerifierList(v))
	if err != nil {
		return signed, nil, err
	}
	return signed, &c, nil
}
