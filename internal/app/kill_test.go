package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// The kill test of the whole gate: a child process serves calls over HTTP, the parent calls it with 16 clients and kills it
// with SIGKILL at a random moment. Every entry number that a client received has to be in the log with its content, the
// log has to verify, and after the restart no call is open.

const killEnv = "LEITPLANKE_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		if err := killChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func killConfig(dir string) (*config.Server, error) {
	c, err := MakeDemo(dir, "127.0.0.1:8088")
	if err == nil && os.Getenv("LEITPLANKE_TEST_KILL_PG") != "" {
		c.Database, c.KeysDB = config.NewSecret(os.Getenv("LEITPLANKE_TEST_KILL_PG")), config.NewSecret(os.Getenv("LEITPLANKE_TEST_KILL_PGKEYS"))
	}
	return c, err
}

func killChild(dir string) error {
	c, err := killConfig(dir)
	if err != nil {
		return err
	}
	a, err := Open(context.Background(), Options{Config: c, Demo: true, Program: os.Stderr})
	if err != nil {
		return err
	}
	if why := a.Log.Refused(); why != "" {
		return errors.New(why)
	}
	_, key, err := a.FillDemo(context.Background())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go a.Run(context.Background())
	go func() { // signs more often than in production, so that kills hit mark and checkpoint table
		for a.Log.Checkpoint(context.Background()) == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	fmt.Printf("http://%s %s\n", l.Addr(), key)
	return http.Serve(l, http.HandlerFunc(a.Gateway.Chat))
}

type received struct {
	id, body string
}

func TestKill(t *testing.T) {
	for _, c := range []struct {
		kind   db.Kind
		cycles int
	}{{db.SQLite, 100}, {db.Postgres, 20}} {
		t.Run(string(c.kind), func(t *testing.T) {
			cycles := c.cycles
			if s := os.Getenv("LEITPLANKE_SOAK_KILLS_" + strings.ToUpper(string(c.kind))); s != "" {
				var err error
				if cycles, err = strconv.Atoi(s); err != nil {
					t.Fatal(err)
				}
			} else if testing.Short() {
				cycles = 5
			}
			dir := t.TempDir()
			if c.kind == db.Postgres {
				dbtest.Need(t)
				t.Setenv("LEITPLANKE_TEST_KILL_PG", dbtest.New(t, c.kind, "").URL)
				t.Setenv("LEITPLANKE_TEST_KILL_PGKEYS", dbtest.New(t, c.kind, "").URL)
			}
			total, aborted := 0, 0
			for range cycles {
				got := killOnce(t, dir)
				n := killCheck(t, dir, got)
				total, aborted = total+len(got), aborted+n
			}
			t.Logf("%d kills: %d answers received, all in the log with their content; %d calls ended by an abort", cycles, total, aborted)
			if total < cycles {
				t.Errorf("only %d answers were received", total)
			}
		})
	}
}

func killOnce(t *testing.T, dir string) (got []received) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	url, key, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		cmd.Wait()
		t.Fatalf("the child did not start: %v %s", err, stderr.String())
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				body := strconv.FormatUint(rand.Uint64(), 36)
				req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(chatBody("demo-echo", body)))
				if err != nil {
					return
				}
				req.Header.Set("Authorization", "Bearer "+key)
				resp, err := client.Do(req)
				if err != nil {
					return // killed
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(body)) {
					return
				}
				mu.Lock()
				got = append(got, received{resp.Header.Get("X-Leitplanke-Call"), body})
				mu.Unlock()
			}
		})
	}
	time.Sleep(time.Duration(10+rand.IntN(80)) * time.Millisecond)
	cmd.Process.Kill()
	wg.Wait()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("the child ended by itself: %v %s", err, stderr.String())
	}
	return got
}

// killCheck opens the installation again, which ends what was open, and looks for everything that clients received. It
// returns how many calls were ended by an abort so far in this opening.
func killCheck(t *testing.T, dir string, got []received) int {
	c, err := killConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), Options{Config: c, Demo: true, Program: io.Discard, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.WithoutCancel(t.Context()))
	if a.db.Kind() == db.Postgres { // its heartbeat is still young, but we know that it is dead
		if _, err := a.db.Exec(t.Context(), `DELETE FROM audit_instances`); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Log.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := a.Log.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !rep.OK || rep.Open != 0 {
		t.Fatalf("the log after a kill: %+v %+v", rep, rep.FirstBad)
	}
	for _, g := range got {
		log, n, err := bundle.ParseCallID(g.id)
		if err != nil {
			t.Fatal(err)
		}
		v, err := a.Log.Get(t.Context(), log, n)
		if err != nil || v.End == nil {
			t.Fatalf("%s was received and is not in the log with its end: %v", g.id, err)
		}
		for _, at := range []uint64{n, *v.End} {
			part, err := a.Log.Unseal(t.Context(), log, at)
			if err != nil {
				t.Fatalf("%s: %v", g.id, err)
			}
			if content := append(part.Get(bundle.FieldRequest), part.Get(bundle.FieldResponse)...); !bytes.Contains(content, []byte(g.body)) {
				t.Fatalf("%s does not hold what was sent and received", g.id)
			}
		}
	}
	aborts := 0
	list, err := a.Log.Since(t.Context(), 1, rep.Size-min(rep.Size, 64), 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		leaf, err := bundle.DecodeLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Type == bundle.CallAbort {
			aborts++
		}
	}
	return aborts
}
