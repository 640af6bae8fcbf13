package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// The kill harness: a child process writes calls and prints the number of every entry after it got its receipt; the
// parent kills it with SIGKILL at a random moment, again and again on the same log. After each kill the log has to verify
// and hold every printed entry with its content. The next child ends what its predecessor left open.

const childEnv = "LEITPLANKE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		killChild(dir)
	}
	os.Exit(m.Run())
}

// killChild never returns: it writes until it is killed.
func killChild(dir string) {
	tb := &childTB{}
	s := site{dir: dir, main: db.Config{Path: dir + "/leitplanke.db"}, keys: db.Config{Path: dir + "/keys.db"}}
	if url := os.Getenv("LEITPLANKE_TEST_CHILD_PG"); url != "" {
		s.main, s.keys = db.Config{URL: url}, db.Config{URL: os.Getenv("LEITPLANKE_TEST_CHILD_PGKEYS")}
	}
	c := s.config(tb, "child-"+strconv.Itoa(os.Getpid()))
	c.Shared = false // its predecessor is dead for certain
	l, err := Open(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	if why := l.Refused(); why != "" {
		tb.Fatal("refused: ", why)
	}
	if _, err := l.Recover(context.Background()); err != nil {
		tb.Fatal(err)
	}
	l.early = os.Getenv("LEITPLANKE_TEST_EARLY") != ""
	go l.Run(context.Background())
	fmt.Println("ready")
	for range 16 {
		go func() {
			for {
				body := strconv.FormatUint(rand.Uint64(), 36)
				r, err := l.Append(context.Background(), openCall(l, body))
				if err != nil {
					tb.Fatal(err)
				}
				fmt.Printf("%d %s\n", r.N, body)
				if l.early { // the numbers of the negative control are guesses
					continue
				}
				if r, err = l.Append(context.Background(), closeCall(r.N, body)); err != nil {
					tb.Fatal(err)
				}
				fmt.Printf("%d %s\n", r.N, body)
			}
		}()
	}
	go func() { // signs more often than in production, so that kills hit the mark and the checkpoint table
		for {
			if err := l.Checkpoint(context.Background()); err != nil {
				tb.Fatal(err)
			}
			time.Sleep(3 * time.Millisecond)
		}
	}()
	select {}
}

// childTB is as much of a testing.TB as the child needs.
type childTB struct{ testing.TB }

func (*childTB) Helper()                  {}
func (*childTB) Context() context.Context { return context.Background() }
func (*childTB) Cleanup(func())           {}
func (*childTB) Error(args ...any)        { fmt.Fprintln(os.Stderr, args...); os.Exit(1) }
func (c *childTB) Fatal(args ...any)      { c.Error(args...) }

// killCycles runs the harness and returns how many acknowledged entries were checked and how many were lost.
func killCycles(t *testing.T, kind db.Kind, cycles int, early bool) (acked, lost int) {
	s := newSite(t, kind)
	for cycle := range cycles {
		acks := killOnce(t, s, early)
		func() { // a reader of its own each time, closed before the next child starts
			c := s.config(t, "parent")
			defer c.DB.Close()
			defer c.Keys.db.Close()
			l, err := newLog(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if rep := mustVerify(t, l); rep.Checkpoints == 0 && cycle > 3 {
				t.Fatalf("no checkpoint was verified: %+v", rep)
			}
			for _, a := range acks {
				part, err := l.Unseal(t.Context(), 1, a.n)
				if err != nil && !early {
					t.Errorf("cycle %d: entry %d: %v", cycle, a.n, err)
				}
				if err != nil || (string(part.Get(bundle.FieldRequest)) != a.body && string(part.Get(bundle.FieldResponse)) != a.body) {
					lost++
				}
			}
		}()
		acked += len(acks)
	}
	l := s.open(t, "last")
	if _, err := l.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rep := mustVerify(t, l); rep.Open != 0 {
		t.Errorf("%d openings have no end after the restart", rep.Open)
	}
	l.Close(t.Context())
	return acked, lost
}

type ack struct {
	n    uint64
	body string
}

func killOnce(t *testing.T, s site, early bool) (acks []ack) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+s.dir)
	if s.main.URL != "" {
		cmd.Env = append(cmd.Env, "LEITPLANKE_TEST_CHILD_PG="+s.main.URL, "LEITPLANKE_TEST_CHILD_PGKEYS="+s.keys.URL)
	}
	if early {
		cmd.Env = append(cmd.Env, "LEITPLANKE_TEST_EARLY=1")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); err != nil || line != "ready\n" {
		cmd.Wait()
		t.Fatalf("the child did not start: %q %v %s", line, err, stderr.String())
	}
	timer := time.AfterFunc(time.Duration(2+rand.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() })
	defer timer.Stop()
	for {
		line, err := r.ReadString('\n')
		if err != nil { // a torn last line was never received
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		n, body, ok := strings.Cut(strings.TrimSpace(line), " ")
		num, err := strconv.ParseUint(n, 10, 64)
		if !ok || err != nil {
			t.Fatalf("the child wrote %q", line)
		}
		acks = append(acks, ack{num, body})
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
	return acks
}

// cyclesOr returns the number of cycles that make soak asks for, or the default.
func cyclesOr(t *testing.T, name string, n int) int {
	if s := os.Getenv(name); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		n = max(n/10, 3)
	}
	return n
}

func TestKill(t *testing.T) {
	for _, c := range []struct {
		kind   db.Kind
		cycles int
	}{{db.SQLite, 30}, {db.Postgres, 10}} {
		t.Run(string(c.kind), func(t *testing.T) {
			if c.kind == db.Postgres {
				dbtest.Need(t)
			}
			cycles := cyclesOr(t, "LEITPLANKE_SOAK_KILLS_"+strings.ToUpper(string(c.kind)), c.cycles)
			acked, lost := killCycles(t, c.kind, cycles, false)
			t.Logf("%d kills: %d entries acknowledged, %d lost, 0 unverifiable logs", cycles, acked, lost)
			if lost > 0 || acked < cycles {
				t.Errorf("%d of %d acknowledged entries were lost", lost, acked)
			}
		})
	}
}

// TestKillNegativeControl shows that the harness can see a loss: with receipts before the commit it has to find one.
func TestKillNegativeControl(t *testing.T) {
	acked, lost := killCycles(t, db.SQLite, 10, true)
	t.Logf("receipts before the commit: %d of %d acknowledged entries were lost", lost, acked)
	if lost == 0 {
		t.Error("the harness did not notice receipts that were given before the commit")
	}
}
