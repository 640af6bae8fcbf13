package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// twoNodes opens one installation on PostgreSQL twice. The second node gets a copy of keys and mark, as an operator does it.
func twoNodes(t *testing.T) (nodes [2]*house, key string) {
	dbtest.Need(t)
	main, keys := dbtest.New(t, db.Postgres, ""), dbtest.New(t, db.Postgres, "")
	first := t.TempDir()
	for i := range nodes {
		dir := first
		if i > 0 {
			dir = t.TempDir()
			for _, sub := range []string{"keys", "mark"} {
				if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(filepath.Join(first, sub))); err != nil {
					t.Fatal(err)
				}
			}
			copyFile(t, filepath.Join(first, demoKey), filepath.Join(dir, demoKey))
		}
		conf, err := MakeDemo(dir, "127.0.0.1:8088")
		if err != nil {
			t.Fatal(err)
		}
		conf.Database, conf.KeysDB = config.NewSecret(main.URL), config.NewSecret(keys.URL)
		h := &house{}
		if h.App, err = Open(t.Context(), Options{Config: conf, Demo: true, Program: t.Output(), Fatal: func(err error) { t.Error(err) }}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if _, h.key, err = h.FillDemo(t.Context()); err != nil {
				t.Fatal(err)
			}
			key = h.key
		} else if err := h.Release.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.HandlerFunc(h.Gateway.Chat))
		t.Cleanup(srv.Close)
		h.url, h.key = srv.URL, key
		nodes[i] = h
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		ran := make(chan struct{})
		go func() { h.Run(ctx); close(ran) }()
		t.Cleanup(func() { stop(); <-ran; h.Close(context.Background()) })
	}
	return nodes, key
}

func copyFile(t *testing.T, from, to string) {
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNoCallOpensAfterAStop: 64 callers on two nodes, a stop and its end 200 times. No opening of an older epoch stands
// behind a stop in the log, and every opening has an end.
func TestNoCallOpensAfterAStop(t *testing.T) {
	nodes, key := twoNodes(t)
	stops := 200
	if testing.Short() {
		stops = 20
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			h := nodes[i%2]
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, h.url, strings.NewReader(chatBody("demo-echo", "x")))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+key)
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					answered.Add(1)
				case http.StatusForbidden:
					refused.Add(1)
				default:
					t.Errorf("status %d", resp.StatusCode)
					return
				}
			}
		})
	}
	for i := range stops {
		h := nodes[i%2]
		for on := range 2 {
			args := StopArgs{On: on == 0, Scope: "system/" + demoSystem, Reason: "drill"}
			if _, err := runStop(ctx, h.App, ShellActor(), args); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i%5) * time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	rep := nodes[0].verify(t) // checks that every opening carries the epoch of its place
	if rep.Open != 0 {
		t.Errorf("%d openings have no end", rep.Open)
	}
	if rep.Stops < uint64(2*stops) || answered.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d changes, %d answered, %d refused", rep.Stops, answered.Load(), refused.Load())
	}
	checkOrder(t, nodes[0])
	t.Logf("%d stops, %d calls answered, %d refused, no opening behind a stop", stops, answered.Load(), refused.Load())
}

// checkOrder looks itself for an opening between a stop and its end.
func checkOrder(t *testing.T, h *house) {
	stopped, seen := false, 0
	for n := uint64(0); ; {
		list, err := h.Log.Since(t.Context(), 1, n, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			n = e.N + 1
			leaf, err := bundle.DecodeLeaf(e.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			switch leaf.Type {
			case bundle.StopOn:
				stopped = true
				seen++
			case bundle.StopOff:
				stopped = false
			case bundle.CallOpen:
				if stopped {
					t.Errorf("entry %d opens a call while the system is stopped", e.N)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no stop was seen")
	}
}
