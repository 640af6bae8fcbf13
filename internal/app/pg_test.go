package app

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// load is a number of clients that send calls with a random word each, one after the other, until it is ended. Every
// answer is 200 with that word, or 503 record_unavailable; anything else is an error of the test.
type load struct {
	stop    func()
	mu      sync.Mutex
	got     []received
	refused atomic.Int64
}

func startLoad(t *testing.T, clients int, nodes ...*house) *load {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			h := nodes[i%len(nodes)]
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				word := strconv.FormatUint(rand.Uint64(), 36)
				req, err := http.NewRequest(http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(chatBody("demo-echo", word)))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+h.key)
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				var e struct{ Error struct{ Code string } }
				switch {
				case err != nil:
					t.Error(err)
				case resp.StatusCode == http.StatusOK && bytes.Contains(text, []byte(word)):
					l.mu.Lock()
					l.got = append(l.got, received{resp.Header.Get("X-Leitplanke-Call"), word})
					l.mu.Unlock()
				case resp.StatusCode == http.StatusServiceUnavailable && json.Unmarshal(text, &e) == nil && e.Error.Code == "record_unavailable":
					l.refused.Add(1)
				default:
					t.Errorf("neither an answer nor record_unavailable: %d %s", resp.StatusCode, text)
				}
			}
		})
	}
	l.stop = func() { cancel(); wg.Wait() }
	return l
}

func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got)
}

// moreAnswers waits until that many more calls were answered.
func (l *load) moreAnswers(t *testing.T, n int) {
	t.Helper()
	want, deadline := l.answered()+n, time.Now().Add(20*time.Second)
	for l.answered() < want {
		if time.Now().After(deadline) || t.Failed() {
			t.Fatalf("no answers any more: %d of %d, %d refused", l.answered(), want, l.refused.Load())
		}
		time.Sleep(time.Millisecond)
	}
}

// inLog fails the test unless every call that was answered is in the log, ended, with what was sent and received.
func (l *load) inLog(t *testing.T, h *house) {
	t.Helper()
	if len(l.got) == 0 {
		t.Fatal("no call was answered")
	}
	for _, g := range l.got {
		log, n, err := bundle.ParseCallID(g.id)
		if err != nil {
			t.Fatal(err)
		}
		v, err := h.Log.Get(t.Context(), log, n)
		if err != nil || v.End == nil {
			t.Fatalf("%s was answered and is not in the log with its end: %v", g.id, err)
		}
		for at, field := range map[uint64]string{n: bundle.FieldRequest, *v.End: bundle.FieldResponse} {
			part, err := h.Log.Unseal(t.Context(), log, at)
			if err != nil {
				t.Fatalf("%s: %v", g.id, err)
			}
			if !bytes.Contains(part.Get(field), []byte(g.body)) {
				t.Fatalf("%s: entry %d does not hold the %s", g.id, at, field)
			}
		}
	}
}

// unended counts the openings in the log that nothing ends. It gives the running process some seconds to end them: a
// closing entry that could not be written is made up for by an abort.
func (h *house) unended(t *testing.T) (open uint64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if open = h.verify(t).Open; open == 0 || time.Now().After(deadline) {
			return open
		}
	}
}

// recoverAll makes all processes count as dead and lets a new node end what they left open.
func recoverAll(t *testing.T, h *house) {
	t.Helper()
	if _, err := h.db.Exec(t.Context(), `DELETE FROM audit_instances`); err != nil {
		t.Fatal(err)
	}
	next, err := Open(t.Context(), Options{Config: h.Config, Demo: true, Program: t.Output(), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestConnectionsCut: the connections to PostgreSQL are cut under load again and again. Callers are answered or refused
// with record_unavailable and nothing else; what was answered is in the log with its content.
func TestConnectionsCut(t *testing.T) {
	nodes, _ := twoNodes(t)
	cuts := 30
	if testing.Short() {
		cuts = 5
	}
	if s := os.Getenv("LEITPLANKE_SOAK_CUTS"); s != "" {
		var err error
		if cuts, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	admin, err := sql.Open("pgx", os.Getenv(dbtest.Env))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var names [2]string
	for i, d := range []*db.DB{nodes[0].db, nodes[0].keysDB} {
		if err := d.Read().QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&names[i]); err != nil {
			t.Fatal(err)
		}
	}
	l := startLoad(t, 16, nodes[0], nodes[1])
	defer l.stop()
	ended := 0
	for range cuts {
		l.moreAnswers(t, 20)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		var n int
		if err := admin.QueryRowContext(t.Context(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ($1, $2)`, names[0], names[1]).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Error("a cut found no connection")
		}
		ended += n
	}
	l.moreAnswers(t, 20)
	l.stop()
	left := nodes[0].unended(t)
	if left != 0 {
		t.Errorf("%d calls are open although their processes live", left)
	}
	recoverAll(t, nodes[0])
	if n := nodes[0].unended(t); n != 0 {
		t.Errorf("%d calls are open", n)
	}
	l.inLog(t, nodes[0])
	t.Logf("%d cuts of %d connections: %d calls answered, all in the log with their content; %d refused with record_unavailable; %d open", cuts, ended, l.answered(), l.refused.Load(), left)
	if l.refused.Load() == 0 {
		t.Error("no call was refused: were the connections cut?")
	}
}

// TestDatabaseAway: the database lets nobody in for a while. Every call is refused, and afterwards calls work again
// without a restart.
func TestDatabaseAway(t *testing.T) {
	nodes, _ := twoNodes(t)
	admin, err := sql.Open("pgx", os.Getenv(dbtest.Env))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var name string
	if err := nodes[0].db.Read().QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, 8, nodes[0], nodes[1])
	defer l.stop()
	for range 3 {
		l.moreAnswers(t, 50)
		if _, err := admin.ExecContext(t.Context(), `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`); err != nil {
			t.Fatal(err)
		}
		for range 20 { // one that was just being let in, too; and what was under way has the time to end
			if _, err := admin.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, name); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		answered, refused := l.answered(), l.refused.Load()
		time.Sleep(300 * time.Millisecond)
		if n := l.answered() - answered; n != 0 || l.refused.Load() == refused {
			t.Errorf("without its database it answered %d calls and refused %d", n, l.refused.Load()-refused)
		}
		if _, err := admin.ExecContext(t.Context(), `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`); err != nil {
			t.Fatal(err)
		}
	}
	l.moreAnswers(t, 50)
	l.stop()
	left := nodes[0].unended(t)
	if left != 0 {
		t.Errorf("%d calls are open although their processes live", left)
	}
	recoverAll(t, nodes[0])
	if n := nodes[0].unended(t); n != 0 {
		t.Errorf("%d calls are open", n)
	}
	l.inLog(t, nodes[0])
	t.Logf("%d answered, %d refused, %d open", l.answered(), l.refused.Load(), left)
}
