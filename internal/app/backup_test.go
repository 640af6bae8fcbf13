package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/config"
)

// TestBackupAndRestore: a data backup and a key backup, restored into an empty folder, open the content of the calls that
// were not erased; neither alone does. What was erased before the backup is in no byte of it. Sessions do not come back.
func TestBackupAndRestore(t *testing.T) {
	h := openHouse(t, nil)
	call := func(text string) (string, uint64) {
		id := h.post(t, h.key, chatBody("demo-echo", text)).header.Get("X-Leitplanke-Call")
		_, n, err := bundle.ParseCallID(id)
		if err != nil {
			t.Fatal(err)
		}
		return id, n
	}
	_, kept := call("marker-kept")
	gone, goneN := call("marker-gone")
	var cipher []byte
	if err := h.db.Read().QueryRow(`SELECT sealed FROM audit_entries WHERE log = 1 AND n = $1`, int64(goneN)).Scan(&cipher); err != nil {
		t.Fatal(err)
	}
	if _, err := runErase(t.Context(), h.App, ShellActor(), EraseArgs{ID: gone, Ground: "Art. 17"}); err != nil {
		t.Fatal(err)
	}
	if _, err := runErase(t.Context(), h.App, ShellActor(), EraseArgs{ID: gone, Ground: "again"}); !errors.Is(err, audit.ErrErased) {
		t.Errorf("erased twice: %v", err)
	}
	user, err := h.Users.ByLogin(t.Context(), "clerk")
	if err != nil {
		t.Fatal(err)
	}
	session, err := h.Users.Begin(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var data, keys bytes.Buffer
	if err := errors.Join(runBackup(t.Context(), h.App, ShellActor(), None{}, &data), runKeysBackup(t.Context(), h.App, ShellActor(), KeysArgs{To: id.Recipient().String()}, &keys)); err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(h.Config.Keys, rootFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(keys.Bytes(), seed[:32]) || bytes.Contains(data.Bytes(), seed[:32]) {
		t.Error("the root key stands in a backup")
	}

	dir := t.TempDir()
	files := map[string][]byte{"data.zip": data.Bytes(), "keys.age": keys.Bytes(), "id.txt": []byte(id.String() + "\n")}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A place with other keys: the data restores, and nothing opens.
	other, err := MakeDemo(filepath.Join(dir, "house"), "127.0.0.1:8088")
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(c *config.Server) Options {
		return Options{Config: c, Demo: true, Program: io.Discard, Fatal: func(err error) { t.Error(err) }}
	}
	if _, err := RestoreKeys(other, filepath.Join(dir, "keys.age"), filepath.Join(dir, "id.txt")); err != nil {
		t.Fatal(err)
	}
	note, forked, err := Restore(t.Context(), quiet(other), filepath.Join(dir, "data.zip"))
	if err != nil || note.Size == 0 {
		t.Fatalf("%+v %v", note, err)
	}
	if !forked { // no mark came with the data: whether it is the newest nobody knows, and the log says so
		t.Error("a restore without a mark went on as if nothing were unknown")
	}
	a, err := Open(t.Context(), quiet(other))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.WithoutCancel(t.Context()))
	if part, err := a.Log.Unseal(t.Context(), 1, kept); err != nil || !bytes.Contains(part.Get(bundle.FieldRequest), []byte("marker-kept")) {
		t.Errorf("the kept call does not open: %v", err)
	}
	if _, err := a.Log.Unseal(t.Context(), 1, goneN); !errors.Is(err, audit.ErrKeyDestroyed) {
		t.Errorf("the erased call opens: %v", err)
	}
	if _, err := a.Users.Session(t.Context(), session); err == nil {
		t.Error("a session came back with the backup")
	}
	restored, err := os.ReadFile(filepath.Join(other.Data, "leitplanke.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(restored, cipher[:64]) {
		t.Error("the backup holds the erased content")
	}
	reports, err := audit.VerifyAll(t.Context(), a.db, other.Name, a.PublicKey(), other.Mark, bundle.Trust{})
	if err != nil || len(reports) != 2 || !reports[0].OK || !reports[1].OK {
		t.Errorf("%d logs, %v", len(reports), err)
	}
	foreign := *other
	foreign.Name = "another.installation"
	a.Close(context.WithoutCancel(t.Context()))
	if _, _, err := Restore(t.Context(), quiet(&foreign), filepath.Join(dir, "data.zip")); !IsBadInput(err) {
		t.Errorf("the backup of another installation: %v", err)
	}
}
