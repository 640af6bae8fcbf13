// Package audittest opens a log for tests of packages that append to it, and verifies the whole log after each test.
package audittest

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// Config returns what a new log on new, migrated databases is made of. now is their clock; time.Now where nil. The
// databases are closed at the end of the test.
func Config(tb testing.TB, kind db.Kind, now func() time.Time) audit.Config {
	tb.Helper()
	dir := tb.TempDir()
	open := func(set db.Set) *db.DB {
		c := dbtest.New(tb, kind, filepath.Join(dir, string(set)+".db"))
		c.Now = now
		d, err := db.Open(tb.Context(), c)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := d.Close(); err != nil {
				tb.Error(err)
			}
		})
		if err := d.Migrate(tb.Context(), set); err != nil {
			tb.Fatal(err)
		}
		return d
	}
	main, keysDB := open(db.Main), open(db.Keys)
	keys, err := audit.OpenKeyStore(keysDB, make([]byte, audit.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return audit.Config{
		DB: main, Keys: keys, Key: ed25519.NewKeyFromSeed([]byte("a seed for tests of 32 bytes len")), Name: "leitplanke.test", Mark: filepath.Join(dir, "mark"),
		Instance: "a", Shared: kind == db.Postgres, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Fatal: func(err error) { tb.Error("fatal:", err) },
	}
}

// Open opens a log with that configuration; at the end of the test it has to verify.
func Open(tb testing.TB, c audit.Config) *audit.Log {
	tb.Helper()
	l, err := audit.Open(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		if rep, err := l.Verify(ctx); err != nil || !rep.OK {
			tb.Errorf("the log does not verify: %+v, %v", rep, err)
		}
		if err := l.Close(ctx); err != nil && l.Refused() == "" {
			tb.Error(err)
		}
	})
	return l
}
