package app

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/db"
)

// A data backup is a zip file with a consistent copy of the database and a note of what it is. It holds no key. A key
// backup holds the key files and the key store, encrypted to an age recipient. Only both together open content.

const (
	backupFormat = "leitplanke.backup/v1"
	keysFormat   = "leitplanke.keys/v1"
	maxBackup    = 1 << 40 // bytes of one unpacked file
	maxKeyFile   = 1 << 30
)

// BackupNote says what a backup is.
type BackupNote struct {
	Format string    `json:"format"`
	Origin string    `json:"origin,omitempty"`
	Size   uint64    `json:"size,omitempty"` // entries of the log
	At     time.Time `json:"at"`
}

func runBackup(ctx context.Context, a *App, _ auth.Actor, _ None, w io.Writer) error {
	note := BackupNote{backupFormat, a.Log.Origin(), a.Log.Size(), a.now().UTC()}
	return a.zipCopies(ctx, w, note, map[string]*db.DB{"leitplanke.db": a.db}, nil)
}

// zipCopies writes a zip file with a note, copies of databases, and files.
func (a *App) zipCopies(ctx context.Context, w io.Writer, note BackupNote, copies map[string]*db.DB, files []string) error {
	z := zip.NewWriter(w)
	text, err := json.MarshalIndent(note, "", "  ")
	if err != nil {
		return err
	}
	f, err := z.Create("backup.json")
	if err == nil {
		_, err = f.Write(text)
	}
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := zipFile(z, filepath.Base(path), path); err != nil {
			return err
		}
	}
	for name, d := range copies {
		dir, err := os.MkdirTemp(a.Config.Data, ".backup-")
		if err != nil {
			return err
		}
		tmp := filepath.Join(dir, name)
		err = d.VacuumInto(ctx, tmp)
		if err == nil {
			err = zipFile(z, name, tmp)
		}
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return err
		}
	}
	return z.Close()
}

func zipFile(z *zip.Writer, name, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}

// KeysArgs name who can open a key backup.
type KeysArgs struct{ To string } // an age recipient, age1…

func runKeysBackup(ctx context.Context, a *App, _ auth.Actor, args KeysArgs, w io.Writer) error {
	to, err := age.ParseX25519Recipient(args.To)
	if err != nil {
		return badInput("%q is not an age recipient (age1…); make one with age-keygen: %v", args.To, err)
	}
	enc, err := age.Encrypt(w, to)
	if err != nil {
		return err
	}
	var files []string
	for _, name := range KeyFiles() {
		files = append(files, filepath.Join(a.Config.Keys, name))
	}
	if err := a.zipCopies(ctx, enc, BackupNote{Format: keysFormat, At: a.now().UTC()}, map[string]*db.DB{"keys.db": a.keysDB}, files); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	// doctor asks how old the newest one is
	return os.WriteFile(filepath.Join(a.Config.Data, keysBackupStamp), []byte(a.now().UTC().Format(time.RFC3339)+"\n"), 0o600)
}

const keysBackupStamp = "keys-backup.time"

// Restore puts a data backup into the data folder of an installation on which no server runs, and opens it. Where the mark
// knows a larger tree than the backup has, the log goes on under a new origin, with an entry that says why. It returns the
// note of the backup and whether the log was forked.
func Restore(ctx context.Context, o Options, file string) (note BackupNote, forked bool, err error) {
	c := o.Config
	if c.Database.Reveal() != "" {
		return note, false, errors.New("on PostgreSQL restore with pg_restore, then start; if the log refuses, use leitplanke log fork")
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return note, false, err
	}
	unlock, err := db.LockFile(filepath.Join(c.Data, "lock"), false)
	if err != nil {
		return note, false, err
	}
	if note, err = readNote(file, backupFormat); err == nil {
		if name := note.Origin[:max(strings.LastIndexByte(note.Origin, '/'), 0)]; name != c.Name {
			err = badInput("the backup is of the installation %q, %s says name: %s. Write name: %s there first; the name is part of the log's key and of every sealed part", name, c.File, c.Name, name)
		}
	}
	if err != nil {
		unlock()
		return note, false, err
	}
	note, err = unpack(file, backupFormat, map[string]string{"leitplanke.db": filepath.Join(c.Data, "leitplanke.db")}, maxBackup)
	unlock()
	if err != nil {
		return note, false, err
	}
	a, err := Open(ctx, o)
	if err != nil {
		return note, false, err
	}
	why := a.Log.Refused()
	// What ended after the backup must not live again with it.
	if err := errors.Join(a.Users.EndAll(ctx), a.Close(ctx)); err != nil || why == "" {
		return note, false, err
	}
	o.Fork = fmt.Sprintf("restored from a backup of %s with %d entries: %s", note.At.Format(time.RFC3339), note.Size, why)
	a, err = Open(ctx, o)
	if err != nil {
		return note, false, err
	}
	return note, true, a.Close(ctx)
}

// RestoreKeys puts key files and key store in place on which no server runs. Existing key files are kept beside the new
// ones with the ending .old.
func RestoreKeys(c *config.Server, file, identityFile string) (BackupNote, error) {
	idText, err := os.Open(identityFile)
	if err != nil {
		return BackupNote{}, err
	}
	defer idText.Close()
	ids, err := age.ParseIdentities(idText)
	if err != nil {
		return BackupNote{}, badInput("%s is not an age identity file: %v", identityFile, err)
	}
	if err := errors.Join(os.MkdirAll(c.Data, 0o700), os.MkdirAll(c.Keys, 0o700)); err != nil {
		return BackupNote{}, err
	}
	unlock, err := db.LockFile(filepath.Join(c.Data, "lock"), false)
	if err != nil {
		return BackupNote{}, err
	}
	defer unlock()
	in, err := os.Open(file)
	if err != nil {
		return BackupNote{}, err
	}
	defer in.Close()
	plain, err := age.Decrypt(in, ids...)
	if err != nil {
		return BackupNote{}, badInput("the key backup cannot be opened with this identity: %v", err)
	}
	tmp, err := os.CreateTemp(c.Data, ".keys-")
	if err != nil {
		return BackupNote{}, err
	}
	defer os.Remove(tmp.Name())
	if _, err := io.Copy(tmp, io.LimitReader(plain, maxKeyFile)); err != nil {
		return BackupNote{}, errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return BackupNote{}, err
	}
	to := map[string]string{"keys.db": filepath.Join(c.Data, "keys.db")}
	for _, name := range KeyFiles() {
		to[name] = filepath.Join(c.Keys, name)
	}
	return unpack(tmp.Name(), keysFormat, to, maxKeyFile)
}

// readNote reads what a backup says of itself.
func readNote(file, format string) (note BackupNote, err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return note, badInput("%s is not a backup: %v", file, err)
	}
	defer z.Close()
	in, err := z.Open("backup.json")
	if err != nil {
		return note, badInput("%s is not a backup: %v", file, err)
	}
	defer in.Close()
	if err := json.NewDecoder(io.LimitReader(in, 1<<16)).Decode(&note); err != nil {
		return note, badInput("%s is not a backup: %v", file, err)
	}
	if note.Format != format {
		return note, badInput("%s is a %q, not a %q", file, note.Format, format)
	}
	return note, nil
}

// unpack checks a backup's note and puts its files in place. What was there before stays beside them, ending in .old.
func unpack(file, format string, to map[string]string, limit int64) (note BackupNote, err error) {
	if note, err = readNote(file, format); err != nil {
		return note, err
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return note, err
	}
	defer z.Close()
	for name, path := range to {
		if err := unpackFile(&z.Reader, name, path+".new", limit); err != nil {
			return note, err
		}
	}
	for name, path := range to {
		if strings.HasSuffix(name, ".db") { // of the replaced database
			for _, end := range []string{"-wal", "-shm"} {
				if err := os.Remove(path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
					return note, err
				}
			}
		}
		if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return note, err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return note, err
		}
	}
	return note, nil
}

func unpackFile(z *zip.Reader, name, path string, limit int64) error {
	in, err := z.Open(name)
	if err != nil {
		return fmt.Errorf("the backup lacks %s: %w", name, err)
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%s is too large", name)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
