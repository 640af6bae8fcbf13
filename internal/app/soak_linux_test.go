package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/register"
)

// resident is the memory that this process holds, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// descriptors counts the open files and sockets of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// callers send what good and bad clients send, until ctx ends; the results are counted by kind.
type callers struct {
	h    *house
	addr string
	pace time.Duration // between the calls of one caller; 0 = as fast as it goes
	sent sync.Map      // kind → *atomic.Int64
}

func (c *callers) count(kind string) {
	n, _ := c.sent.LoadOrStore(kind, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (c *callers) run(ctx context.Context, t *testing.T) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	large := strings.Repeat("Der Vorgang liegt in der Akte bei. ", (1<<20-1000)/35) + letter // a part has at most 1 MiB
	post := func(ctx context.Context, kind, key string, body io.Reader, want ...int) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/v1/chat/completions", body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("%s: %v", kind, err)
			}
			c.count(kind + " gone")
			return
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", kind, err)
		}
		for _, w := range want {
			if resp.StatusCode == w {
				c.count(fmt.Sprint(kind, " ", w))
				return
			}
		}
		t.Errorf("%s: %d", kind, resp.StatusCode)
	}
	raw := func(kind, text string, wait time.Duration) {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, text)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		c.count(kind)
	}
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: " + c.addr + "\r\nAuthorization: Bearer " + c.h.key + "\r\nContent-Length: 2000\r\n\r\n{\"model\":"
	all := context.WithoutCancel(ctx)
	for next := time.Now(); ctx.Err() == nil; next = next.Add(c.pace) {
		time.Sleep(time.Until(next))
		switch n := rand.IntN(100); {
		case n < 63:
			post(all, "letter", c.h.key, strings.NewReader(chatBody("up", letter)), 200)
		case n < 64:
			post(all, "1 MiB", c.h.key, strings.NewReader(chatBody("up", large)), 200)
		case n < 72:
			post(all, "broken JSON", c.h.key, strings.NewReader(`{"model":"demo","messages":[{"role":"user","content":"`+letter[:rand.IntN(100)]), 400)
		case n < 78:
			post(all, "wrong key", "lp-"+strconv.Itoa(n), strings.NewReader(chatBody("demo", "x")), 401)
		case n < 84:
			post(all, "unknown model", c.h.key, strings.NewReader(chatBody("none", "x")), 404)
		case n < 86:
			post(all, "provider cut", c.h.key, strings.NewReader(chatBody("demo-cut", "x")), 502)
		case n < 92: // leaves in the middle of the call
			short, cancel := context.WithTimeout(all, time.Duration(rand.IntN(4000))*time.Microsecond)
			post(short, "left", c.h.key, strings.NewReader(chatBody("demo-slow", letter)), 200)
			cancel()
		case n < 94:
			raw("cut in the body", head, 0)
		case n < 96:
			raw("slow body", head, 400*time.Millisecond)
		case n < 98:
			raw("slow header", "POST /v1/chat/completions HTTP/1.1\r\nHost: "+c.addr+"\r\nX-Slow: ", 400*time.Millisecond)
		default:
			raw("garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0)
		}
	}
}

func serveWhole(t *testing.T) (h *house, srv *httptest.Server) {
	h = openHouse(t, func(o *Options) { o.Idle, o.Program = 300*time.Millisecond, io.Discard })
	srv = httptest.NewUnstartedServer(nil)
	srv.Config.ReadHeaderTimeout, srv.Config.MaxHeaderBytes = 300*time.Millisecond, headerBytes
	h.Config.PublicURL = "http://" + srv.Listener.Addr().String()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // the demo model keeps what it receives
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s"}}]}`, strings.Repeat("Absatz ", int(n)/20))
	}))
	t.Cleanup(up.Close)
	st, err := h.Register.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Providers = append(st.Providers, register.Provider{ID: "up", Kind: register.KindOpenAI, BaseURL: up.URL, Region: register.RegionLocal, Operator: "x"})
	st.Models = append(st.Models, register.Model{ID: "up", Provider: "up", Upstream: "up"})
	st.Systems[0].Models = append(st.Systems[0].Models, "up")
	if _, err := h.Import(t.Context(), ShellActor(), st, false, false); err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = h.Handler(http.NotFoundHandler())
	srv.Config.ErrorLog = nil
	srv.Start()
	return h, srv
}

// TestNothingLeaks: after a crowd of good and bad callers has left, as many goroutines and files are there as before.
func TestNothingLeaks(t *testing.T) {
	h, srv := serveWhole(t)
	c := &callers{h: h, addr: srv.Listener.Addr().String()}
	crowd := func(d time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() { c.run(ctx, t) })
		}
		wg.Wait()
	}
	kinds := func() (n int) {
		c.sent.Range(func(any, any) bool { n++; return true })
		return n
	}
	for range 20 { // until every kind of call was made, also on a slow machine
		if crowd(500 * time.Millisecond); kinds() >= 10 {
			break
		}
	} // pools of connections are filled, lazy things are made
	settle := func() (goroutines, files int) {
		for range 20 { // what ends on its own gets the time for it
			time.Sleep(100 * time.Millisecond)
			runtime.GC()
			g, f := runtime.NumGoroutine(), descriptors(t)
			if g == goroutines && f == files {
				break
			}
			goroutines, files = g, f
		}
		return goroutines, files
	}
	d := 3 * time.Second
	if testing.Short() {
		d = time.Second
	}
	// Pools of connections grow until they have what a crowd needs; what leaks grows with every crowd.
	time.Sleep(time.Second)
	g0, f0 := settle()
	var g1, f1 int
	for range 5 {
		crowd(d)
		for deadline := time.Now().Add(5 * time.Second); ; {
			if g1, f1 = settle(); (g1 <= g0+2 && f1 <= f0+2) || time.Now().After(deadline) {
				break
			}
		}
		if g1 <= g0+2 && f1 <= f0+2 {
			break
		}
		t.Logf("%d goroutines and %d files before a crowd, %d and %d after", g0, f0, g1, f1)
		g0, f0, g1, f1 = g1, f1, g1+3, f1+3 // grown; the next crowd tells whether it goes on
	}
	c.sent.Range(func(k, v any) bool { t.Log(k, v.(*atomic.Int64).Load()); return true })
	if kinds() < 10 {
		t.Errorf("only %d kinds of calls were made", kinds())
	}
	if g1 > g0+2 || f1 > f0+2 {
		var stacks bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines and %d files before, %d and %d after\n%s", g0, f0, g1, f1, stacks.String())
	}
	t.Logf("%d goroutines and %d files before, %d and %d after", g0, f0, g1, f1)
	srv.Close()
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
}

// TestMemoryIsFlat: under a mixed load the memory at the end is at most 1.2 times that at a fifth of the time
// (security.md section 9: minute 10 against minute 2).
func TestMemoryIsFlat(t *testing.T) {
	if os.Getenv("LEITPLANKE_SOAK") == "" {
		t.Skip("takes ten minutes: set LEITPLANKE_SOAK=1 (make soak)")
	}
	minutes := 10.0
	if s := os.Getenv("LEITPLANKE_SOAK_MINUTES"); s != "" {
		var err error
		if minutes, err = strconv.ParseFloat(s, 64); err != nil {
			t.Fatal(err)
		}
	}
	length := time.Duration(minutes * float64(time.Minute))
	h, srv := serveWhole(t)
	defer srv.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan struct{})
	go func() { h.Run(ctx); close(ran) }()
	c := &callers{h: h, addr: srv.Listener.Addr().String(), pace: 60 * time.Millisecond} // 200 calls/s in all
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() { c.run(ctx, t) })
	}
	// Each figure is the least of a twentieth of the time, right after a collection: what the collector has not got to yet
	// is no leak, and neither is a large call that is under way. The highest is told beside it.
	const samples = 20
	var least, most [samples]int64
	begin := time.Now()
	for i := range samples {
		for n := 0; time.Since(begin) < length*time.Duration(i+1)/samples; n++ {
			most[i] = max(most[i], resident(t))
			if n%10 == 0 {
				debug.FreeOSMemory()
				if r := resident(t); least[i] == 0 || r < least[i] {
					least[i] = r
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	<-ran
	srv.Close() // returns when the calls of clients that left have ended, too
	mib := func(list [samples]int64) [samples]int64 {
		for i := range list {
			list[i] >>= 20
		}
		return list
	}
	total := int64(0)
	kinds := map[string]int64{}
	c.sent.Range(func(k, v any) bool {
		kinds[k.(string)] = v.(*atomic.Int64).Load()
		total += kinds[k.(string)]
		return true
	})
	b, err := json.Marshal(kinds)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d calls (%.0f/s): %s\nresident MiB per twentieth, least: %v\nmost: %v", length, total, float64(total)/length.Seconds(), b, mib(least), mib(most))
	// Three samples around a fifth of the time against the last three.
	mean := func(l []int64) int64 { return (l[0] + l[1] + l[2]) / 3 }
	early, late := mean(least[samples/5-1:samples/5+2]), mean(least[samples-3:])
	if float64(late) > 1.2*float64(early) {
		t.Errorf("%d MiB at 20 %% of the time, %d MiB at the end: %.2f times", early>>20, late>>20, float64(late)/float64(early))
	}
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
}
