package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// site is a place where a log lives, that can be opened again.
type site struct {
	dir  string
	main db.Config
	keys db.Config
}

func newSite(tb testing.TB, kind db.Kind) site {
	dir := tb.TempDir()
	return site{dir: dir, main: dbtest.New(tb, kind, filepath.Join(dir, "leitplanke.db")), keys: dbtest.New(tb, kind, filepath.Join(dir, "keys.db"))}
}

var testKey = ed25519.NewKeyFromSeed([]byte("a seed for tests of 32 bytes len"))

// config opens the databases of the site and returns what a log is made of.
func (s site) config(tb testing.TB, instance string) Config {
	ctx := tb.Context()
	d, err := db.Open(ctx, s.main)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	k, err := db.Open(ctx, s.keys)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { k.Close() })
	if err := errors.Join(d.Migrate(ctx, db.Main), k.Migrate(ctx, db.Keys)); err != nil {
		tb.Fatal(err)
	}
	ks, err := OpenKeyStore(k, make([]byte, KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return Config{
		DB: d, Keys: ks, Key: testKey, Name: "leitplanke.test", Mark: filepath.Join(s.dir, "mark"), Instance: instance,
		Shared: s.main.URL != "", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Fatal: func(err error) { tb.Error("fatal:", err) },
	}
}

// open opens the log of the site; at the end of the test the whole log is verified again, unless the test broke it.
func (s site) open(tb testing.TB, instance string) *Log {
	l, err := Open(tb.Context(), s.config(tb, instance))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func mustVerify(tb testing.TB, l *Log) *bundle.Report {
	tb.Helper()
	rep, err := l.Verify(context.WithoutCancel(tb.Context()))
	if err != nil {
		tb.Fatal(err)
	}
	if !rep.OK {
		tb.Fatalf("the log does not verify: entry %v: %s", deref(rep.FirstBad.Entry), rep.FirstBad.What)
	}
	return rep
}

func deref(n *uint64) any {
	if n == nil {
		return "none"
	}
	return *n
}

func openCall(l *Log, body string) Record {
	return Record{
		Leaf: bundle.Leaf{
			Type: bundle.CallOpen, Epoch: l.Epoch(), Kind: "user", System: "KI-2026-001", Model: "standard", Provider: "demo", Verdict: "redact",
			Findings: []bundle.Count{{Type: "IBAN", N: 1}, {Type: "PERSON", N: 2}}, Class: "standard", Policy: "mask/1", Rules: []string{"mask"},
		},
		Content: []Content{
			{Name: bundle.FieldRequest, Value: []byte(body), Commit: true},
			{Name: bundle.FieldOutbound, Value: []byte(body), Commit: true},
			{Name: bundle.FieldMeta, Value: []byte(`{"person":"p-1"}`), Commit: true},
		},
	}
}

func closeCall(n uint64, answer string) Record {
	return Record{
		Leaf: bundle.Leaf{
			Type: bundle.CallClose, Ref: &n, Kind: "user", System: "KI-2026-001", Model: "standard", Provider: "demo", Code: "complete",
			TokensIn: 100, TokensOut: 50, Class: "standard", Coverage: []bundle.Ran{{Detector: "iban", Ran: 3}},
		},
		Content: []Content{{Name: bundle.FieldResponse, Value: []byte(answer), Commit: true}},
	}
}

func TestAppendAndReopen(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		l := s.open(t, "a")
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 40 {
					body := fmt.Sprintf("call %d of writer %d", i, w)
					r, err := l.Append(t.Context(), openCall(l, body))
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := l.Append(t.Context(), closeCall(r.N, "answer to "+body)); err != nil {
						t.Error(err)
						return
					}
					part, err := l.Unseal(t.Context(), r.Log, r.N)
					if err != nil || string(part.Get(bundle.FieldRequest)) != body {
						t.Errorf("entry %s holds %q, %v", r.ID(), part.Get(bundle.FieldRequest), err)
					}
				}
			})
		}
		wg.Wait()
		rep := mustVerify(t, l)
		if want := uint64(1 + 16*40*2); rep.Size != want || rep.Open != 0 || rep.Sealed != want-1 {
			t.Errorf("report %+v, want %d entries", rep, want)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = s.open(t, "b")
		if why := l.Refused(); why != "" {
			t.Fatal(why)
		}
		if rep := mustVerify(t, l); rep.Covered < rep.Size-1 {
			t.Errorf("the closed log was not signed: %+v", rep)
		}
		l.Close(t.Context())
	})
}

func TestOneEnd(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		l := newSite(t, kind).open(t, "a")
		r, err := l.Append(t.Context(), openCall(l, "x"))
		if err != nil {
			t.Fatal(err)
		}
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = l.Append(t.Context(), closeCall(r.N, "y")) })
		}
		wg.Wait()
		ok := 0
		for _, err := range errs {
			if err == nil {
				ok++
			} else if !errors.Is(err, ErrEnded) {
				t.Error(err)
			}
		}
		if ok != 1 {
			t.Errorf("%d closings were written", ok)
		}
		mustVerify(t, l)
		l.Close(t.Context())
	})
}

func TestEpoch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		l := newSite(t, kind).open(t, "a")
		old := openCall(l, "judged before the stop")
		if _, err := l.Append(t.Context(), openCall(l, "fine")); err != nil {
			t.Fatal(err)
		}
		err := l.c.DB.Tx(t.Context(), func(tx *db.Tx) error {
			_, err := l.AppendTx(t.Context(), tx, Record{Leaf: bundle.Leaf{Type: bundle.StopOn, Object: "system/KI-2026-001"}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), old); !errors.Is(err, ErrStale) {
			t.Errorf("an opening judged before the stop: %v", err)
		}
		if _, err := l.RefreshEpoch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), openCall(l, "judged after")); err != nil {
			t.Error(err)
		}
		if rep := mustVerify(t, l); rep.Stops != 1 || rep.Open != 2 {
			t.Errorf("report %+v", rep)
		}
		l.Close(t.Context())
	})
}

func TestRecover(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		l := s.open(t, "a")
		for range 3 {
			if _, err := l.Append(t.Context(), openCall(l, "never closed")); err != nil {
				t.Fatal(err)
			}
		}
		l.Close(t.Context())
		l = s.open(t, "b")
		if n, err := l.Recover(t.Context()); n != 3 || err != nil {
			t.Errorf("%d calls ended, %v", n, err)
		}
		if n, err := l.Recover(t.Context()); n != 0 || err != nil {
			t.Errorf("%d calls ended twice, %v", n, err)
		}
		if rep := mustVerify(t, l); rep.Open != 0 {
			t.Errorf("%d calls are open", rep.Open)
		}
		l.Close(t.Context())
	})
}

func TestRollbackIsRefused(t *testing.T) {
	s := newSite(t, db.SQLite)
	fill := func(l *Log, n int) {
		for range n {
			if _, err := l.Append(t.Context(), openCall(l, "x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := s.open(t, "a")
	fill(l, 20)
	older := filepath.Join(t.TempDir(), "older.db")
	if err := l.c.DB.VacuumInto(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	fill(l, 20)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.c.DB.Close()
	oldMark, _ := os.ReadFile(l.c.Mark)
	refused := func(what string) *Log {
		t.Helper()
		l := s.open(t, "b")
		if l.Refused() == "" {
			t.Errorf("%s: not refused", what)
		}
		if _, err := l.Append(t.Context(), openCall(l, "x")); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: append answers %v", what, err)
		}
		rep, err := l.Verify(t.Context())
		if err != nil || rep.OK {
			t.Errorf("%s: verify says %+v, %v", what, rep, err)
		}
		l.Close(t.Context())
		l.c.DB.Close()
		return l
	}
	os.Remove(l.c.Mark)
	refused("deleted mark")
	os.WriteFile(l.c.Mark, oldMark, 0o600)
	older2, _ := os.ReadFile(older)
	os.WriteFile(s.main.Path, older2, 0o600)
	os.Remove(s.main.Path + "-wal")
	os.Remove(s.main.Path + "-shm")
	refused("older copy")

	f, err := Fork(t.Context(), s.config(t, "c"), "older copy restored by mistake", "root")
	if err != nil {
		t.Fatal(err)
	}
	fill(f, 3)
	if rep := mustVerify(t, f); rep.Origin != "leitplanke.test/2" || rep.Size != 4 {
		t.Errorf("forked log: %+v", rep)
	}
	v, err := f.Get(t.Context(), 2, 0)
	if err != nil || v.Leaf.Type != bundle.LogFork || v.Leaf.PriorSize < 41 || v.Leaf.FoundSize != 21 {
		t.Errorf("fork entry %+v, %v", v, err)
	}
	f.Close(t.Context())
	again := s.open(t, "d")
	if why := again.Refused(); why != "" || again.Ordinal() != 2 {
		t.Errorf("after the fork: log %d, %s", again.Ordinal(), why)
	}
	again.Close(t.Context())
}

func TestAbandonedOpeningIsEnded(t *testing.T) {
	s := newSite(t, db.SQLite)
	c := s.config(t, "a")
	slow := make(chan struct{})
	hang := false
	c.Fail = func(step string) error {
		if step == "append.commit.before" && hang {
			<-slow
		}
		return nil
	}
	l, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Append(ctx, openCall(l, "x")); !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	close(slow)
	deadline := time.Now().Add(10 * time.Second)
	for {
		if rep := mustVerify(t, l); rep.Size == 3 && rep.Open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the late opening has no end")
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.Close(t.Context())
}

// TestYoungProcessLives: a process whose first heartbeat is its opening of the log is not taken for dead.
func TestYoungProcessLives(t *testing.T) {
	dbtest.Need(t)
	s := newSite(t, db.Postgres)
	a, b := s.open(t, "a"), s.open(t, "b")
	if _, err := b.RefreshEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := b.Append(t.Context(), openCall(b, "under way"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := a.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("%d calls of a living process were ended, %v", n, err)
	}
	if _, err := b.Append(t.Context(), closeCall(r.N, "done")); err != nil {
		t.Error(err)
	}
	mustVerify(t, a)
}
