package oracle

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/db"
)

// exported writes a log of n entries and exports it into a folder.
func exported(t *testing.T, n uint64) (dir string, v note.Verifier, origin string) {
	t.Helper()
	ctx := t.Context()
	home := t.TempDir()
	open := func(name string, set db.Set) *db.DB {
		d, err := db.Open(ctx, db.Config{Path: filepath.Join(home, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if err := d.Migrate(ctx, set); err != nil {
			t.Fatal(err)
		}
		return d
	}
	main, keys := open("leitplanke.db", db.Main), open("keys.db", db.Keys)
	store, err := audit.OpenKeyStore(keys, make([]byte, audit.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(ctx, audit.Config{
		DB: main, Keys: store, Key: ed25519.NewKeyFromSeed([]byte("a seed for tests of 32 bytes len")), Name: "leitplanke.test",
		Mark: filepath.Join(home, "mark"), Instance: "oracle", Log: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	var begun atomic.Uint64
	begun.Store(l.Size()) // the start is an entry
	for range 64 {
		writers.Go(func() {
			for begun.Add(1) <= n {
				r := audit.Record{Leaf: bundle.Leaf{Type: bundle.CallOpen, Epoch: l.Epoch(), Kind: "user", System: "KI-2026-001"}}
				if _, err := l.Append(ctx, r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	dir = filepath.Join(home, "bundle")
	x, err := l.ExportFolder(ctx, audit.ExportOptions{Version: "oracle"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if x.Size != n {
		t.Fatalf("%d entries, want %d", x.Size, n)
	}
	v, err = note.NewVerifier(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	origin = l.Origin()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return dir, v, origin
}

// errGaveUp: the oracle did not answer in time.
var errGaveUp = errors.New("no answer in time")

// tessera runs Tessera's fsck over a folder.
func tessera(ctx context.Context, dir, origin string, v note.Verifier) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- fmt.Errorf("panic: %v", p)
			}
		}()
		hasher := func(b []byte) ([][]byte, error) {
			var bundle api.EntryBundle
			if err := bundle.UnmarshalText(b); err != nil {
				return nil, err
			}
			var hs [][]byte
			for _, e := range bundle.Entries {
				h := tlog.RecordHash(e)
				hs = append(hs, h[:])
			}
			return hs, nil
		}
		answer <- fsck.New(origin, v, client.FileFetcher{Root: dir}, hasher, fsck.Opts{N: 16}).Check(ctx)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errGaveUp
	}
}

// wood reads every entry with torchwood, and proves some of them under a policy that asks for the log's signature.
func wood(ctx context.Context, dir, origin string, v note.Verifier) (entries int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return 0, err
	}
	policy := torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(v))
	cp, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return 0, err
	}
	tiles, err := torchwood.NewTileFS(os.DirFS(dir))
	if err != nil {
		return 0, err
	}
	c, err := torchwood.NewClient(tiles)
	if err != nil {
		return 0, err
	}
	for i, e := range c.AllEntries(ctx, cp.Tree, 0) {
		if i != entries {
			return entries, fmt.Errorf("entry %d after %d", i, entries-1)
		}
		if _, err := bundle.DecodeLeaf(e); err != nil {
			return entries, err
		}
		entries++
	}
	if err := c.Err(); err != nil {
		return entries, err
	}
	if entries != cp.N {
		return entries, fmt.Errorf("%d entries of %d", entries, cp.N)
	}
	for i := int64(0); i < cp.N; i += 1 + cp.N/50 {
		e, proof, err := c.Entry(ctx, cp.Tree, i)
		if err != nil {
			return entries, err
		}
		if err := torchwood.VerifyProof(policy, tlog.RecordHash(e), torchwood.FormatProof(i, proof, signed)); err != nil {
			return entries, fmt.Errorf("proof of entry %d: %w", i, err)
		}
	}
	return entries, nil
}

func TestForeignReaders(t *testing.T) {
	for _, n := range []uint64{1, 256, 1500, 70_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dir, v, origin := exported(t, n)
			if err := tessera(t.Context(), dir, origin, v); err != nil {
				t.Errorf("Tessera: %v", err)
			}
			if _, err := wood(t.Context(), dir, origin, v); err != nil {
				t.Errorf("torchwood: %v", err)
			}
		})
	}
}

// TestForeignReadersRefuse is the negative control: what we call spoiled, they call spoiled.
func TestForeignReadersRefuse(t *testing.T) {
	dir, v, origin := exported(t, 1500)
	for _, file := range []string{"checkpoint", "tile/entries/002", "tile/entries/005.p/220", "tile/0/003", "tile/1/000.p/5"} {
		path := filepath.Join(dir, filepath.FromSlash(file))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(good)
		b[len(b)/2] ^= 4
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		rep, err := bundle.Verify(t.Context(), dir, bundle.Trust{})
		if err != nil || rep.OK {
			t.Errorf("%s: we accept it: %v", file, err)
		}
		if err := tessera(t.Context(), dir, origin, v); err == nil {
			t.Errorf("%s: Tessera accepts it", file)
		} else if errors.Is(err, errGaveUp) {
			t.Logf("%s: Tessera gave no answer", file)
		}
		if _, err := wood(t.Context(), dir, origin, v); err == nil && file != "tile/1/000.p/5" { // it reads what it needs
			t.Errorf("%s: torchwood accepts it", file)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := tessera(t.Context(), dir, origin, v); err != nil {
		t.Errorf("as it was: %v", err)
	}
}
