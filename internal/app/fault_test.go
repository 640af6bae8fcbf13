package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/gateway"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/guard/pii"
	"github.com/leitplanke/leitplanke/internal/guard/secret"
)

// faults injects an error at chosen durable steps and counts how often each step was reached.
type faults struct {
	mu   sync.Mutex
	hits map[string]int
	at   string        // the step that fails; "" = none
	hang chan struct{} // instead of failing, wait until it is closed
}

var errInjected = errors.New("injected")

func (f *faults) hook(step string) error {
	f.mu.Lock()
	f.hits[step]++
	at, hang := f.at, f.hang
	f.mu.Unlock()
	if step != at {
		return nil
	}
	if hang != nil {
		<-hang
		return nil
	}
	return errInjected
}

func (f *faults) set(step string, hang chan struct{}) {
	f.mu.Lock()
	f.at, f.hang = step, hang
	f.mu.Unlock()
}

// TestFailpoints makes every durable step of a call fail. Whatever fails: nothing reaches the provider without a durable
// opening, no answer reaches the caller without a durable closing, and the log verifies.
func TestFailpoints(t *testing.T) {
	f := &faults{hits: map[string]int{}}
	var clock atomic.Int64
	h := openHouse(t, func(o *Options) {
		o.Fail = f.hook
		o.Now = func() time.Time { return time.Now().Add(time.Duration(clock.Load())) }
	})
	steps := append(audit.Steps(), gateway.Failpoints()...)
	for _, step := range steps {
		f.set(step, nil)
		body := chatBody("demo-echo", "marker for "+step)
		if strings.HasPrefix(step, "refuse.") {
			body = chatBody("no-such-model", "x")
		}
		before := h.received()
		a := h.post(t, h.key, body)
		ckErr := h.Log.Checkpoint(t.Context())
		f.set("", nil)
		switch {
		case step == "append.begin", step == "append.commit.before", step == "open.before", step == "close.before", step == "refuse.before",
			step == "open.after", step == "close.after", step == "refuse.after":
			if code, _, _, _ := refusal(t, a); a.status != 503 || code != "record_unavailable" {
				t.Errorf("%s: %d %s", step, a.status, a.body)
			}
		case step == "append.commit.after": // the entries are found in the log, and the call goes on
			if a.status != 200 {
				t.Errorf("%s: %d %s", step, a.status, a.body)
			}
		case step == "append.settle": // reached only behind an unknown commit, see TestUnknownCommit
		case strings.HasPrefix(step, "key."):
		default: // signing is off the path of the call: it fails by itself and is tried again
			if a.status != 200 || !errors.Is(ckErr, errInjected) {
				t.Errorf("%s: %d, checkpoint %v", step, a.status, ckErr)
			}
		}
		opened := step == "append.commit.after" || step == "append.settle" || step == "close.before" || step == "close.after" || strings.HasPrefix(step, "sign") || strings.HasPrefix(step, "mark") || strings.HasPrefix(step, "checkpoint") || strings.HasPrefix(step, "key.")
		if left := h.received() > before; left != opened {
			t.Errorf("%s: the call left the house: %v", step, left)
		}
		if err := h.Log.Checkpoint(t.Context()); err != nil {
			t.Errorf("%s: afterwards the log cannot be signed: %v", step, err)
		}
		if a := h.post(t, h.key, chatBody("demo-echo", "afterwards")); a.status != 200 {
			t.Errorf("%s: afterwards a call is refused: %s", step, a.body)
		}
		h.verify(t)
	}
	clock.Add(int64(100 * 24 * time.Hour)) // past the term of the contents: their key goes
	if err := h.Log.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"key.destroy.before", "key.destroy.after"} {
		f.set(step, nil)
		if _, err := h.Log.Retain(t.Context(), h.terms()); !errors.Is(err, errInjected) {
			t.Errorf("%s: %v", step, err)
		}
		f.set("", nil)
		h.verify(t)
	}
	var report []string
	for _, step := range steps {
		report = append(report, fmt.Sprintf("%s hit %d times", step, f.hits[step]))
		if f.hits[step] == 0 {
			t.Errorf("%s was never reached", step)
		}
	}
	t.Log("failpoints:\n" + strings.Join(report, "\n"))
}

func (h *house) received() int {
	n := 0
	size := h.Log.Size()
	for i := range size {
		if _, ok := h.Demo.Received(bundle.CallID(1, i)); ok {
			n++
		}
	}
	return n
}

// TestHungDisk: a commit that does not end refuses the call in time, and what became durable late is ended.
func TestHungDisk(t *testing.T) {
	f := &faults{hits: map[string]int{}}
	h := openHouse(t, func(o *Options) { o.Fail = f.hook; o.RecordBy = 200 * time.Millisecond })
	hang := make(chan struct{})
	f.set("append.commit.before", hang)
	at := time.Now()
	a := h.post(t, h.key, chatBody("demo-echo", "x"))
	if code, _, _, _ := refusal(t, a); a.status != 503 || code != "record_unavailable" || time.Since(at) > 5*time.Second {
		t.Errorf("%d %s after %s", a.status, a.body, time.Since(at))
	}
	f.set("", nil)
	close(hang)
	deadline := time.Now().Add(10 * time.Second)
	for h.verify(t).Open > 0 || h.Log.Size() < 2 {
		if time.Now().After(deadline) {
			t.Fatal("the late opening has no end")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if a := h.post(t, h.key, chatBody("demo-echo", "afterwards")); a.status != 200 {
		t.Errorf("afterwards: %s", a.body)
	}
}

// TestLowDisk: below the floor of free space new calls are refused.
func TestLowDisk(t *testing.T) {
	h := openHouse(t, nil)
	h.Log.SetFree(1)
	if a := h.post(t, h.key, chatBody("demo-echo", "x")); a.status != 503 {
		t.Errorf("%d %s", a.status, a.body)
	}
	h.Log.SetFree(1 << 50)
	if a := h.post(t, h.key, chatBody("demo-echo", "x")); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// broken is a detector that cannot look.
type broken struct{ panics bool }

func (broken) Name() string { return "iban" }

func (b broken) Detect(*guard.View, []guard.Finding) ([]guard.Finding, error) {
	if b.panics {
		panic("broken")
	}
	return nil, errors.New("broken")
}

// TestGuardsFailClosed: a detector that is missing, fails or panics refuses the call where its type is masked.
func TestGuardsFailClosed(t *testing.T) {
	all := append(pii.Detectors(), secret.Detectors()...)
	for _, c := range []struct {
		name string
		with []guard.Registered
	}{
		{"removed", nil},
		{"failing", []guard.Registered{{Detector: broken{}, Types: []string{"IBAN"}}}},
		{"panicking", []guard.Registered{{Detector: broken{panics: true}, Types: []string{"IBAN"}}}},
	} {
		list := slices.DeleteFunc(slices.Clone(all), func(r guard.Registered) bool { return slices.Contains(r.Types, "IBAN") })
		engine, err := guard.New(guard.Limits{}, append(list, c.with...)...)
		if err != nil {
			t.Fatal(err)
		}
		h := openHouse(t, func(o *Options) { o.Guard = engine })
		a := h.post(t, h.key, chatBody("demo-echo", letter))
		if code, _, _, _ := refusal(t, a); a.status != 403 || code != "policy_blocked" {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if h.received() != 0 {
			t.Errorf("%s: the call left the house", c.name)
		}
		h.verify(t)
	}
}

// TestPanicClosesTheEntry: a panic while a call is under way ends in a closing entry.
func TestPanicClosesTheEntry(t *testing.T) {
	for _, step := range []string{"open.before", "open.after", "close.after"} {
		armed := false
		h := openHouse(t, func(o *Options) {
			o.Fail = func(s string) error {
				if armed && s == step {
					armed = false
					panic("injected")
				}
				return nil
			}
		})
		armed = true
		if a := h.post(t, h.key, chatBody("demo-echo", "x")); a.status != 500 {
			t.Errorf("%s: %d %s", step, a.status, a.body)
		}
		if rep := h.verify(t); rep.Open != 0 {
			t.Errorf("%s: %d calls are open", step, rep.Open)
		}
	}
}

// TestStopEndsCallsInFlight: a stop ends a slow call within a second, with a closing entry that says so.
func TestStopEndsCallsInFlight(t *testing.T) {
	h := openHouse(t, nil)
	done := make(chan answer, 1)
	go func() { done <- h.post(t, h.key, chatBody("demo-slow", "x")) }()
	for h.received() == 0 {
		time.Sleep(time.Millisecond)
	}
	at := time.Now()
	if _, err := runStop(t.Context(), h.App, ShellActor(), StopArgs{On: true, Scope: "system/KI-2026-001", Reason: "drill"}); err != nil {
		t.Fatal(err)
	}
	a := <-done
	if code, _, _, _ := refusal(t, a); code != "system_stopped" || time.Since(at) > time.Second {
		t.Errorf("after %s: %d %s", time.Since(at), a.status, a.body)
	}
	if a := h.post(t, h.key, chatBody("demo", "x")); a.status != 403 {
		t.Errorf("a call after the stop: %d", a.status)
	}
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
	if _, err := runStop(t.Context(), h.App, ShellActor(), StopArgs{Scope: "system/KI-2026-001", Reason: "drill over"}); err != nil {
		t.Fatal(err)
	}
	if a := h.post(t, h.key, chatBody("demo", "x")); a.status != 200 {
		t.Errorf("a call after the stop was lifted: %d", a.status)
	}
}

// TestClientLeaves: the upstream call ends within a second, and the closing entry says why.
func TestClientLeaves(t *testing.T) {
	h := openHouse(t, nil)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(chatBody("demo-slow", "x")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.key)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			t.Error("an answer after leaving")
		}
	}()
	for h.received() == 0 {
		time.Sleep(time.Millisecond)
	}
	at := time.Now()
	leave()
	<-gone
	for {
		list, err := h.Log.Since(t.Context(), 1, h.Log.Size()-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if leaf, err := bundle.DecodeLeaf(list[0].Leaf); err != nil {
			t.Fatal(err)
		} else if leaf.Type == bundle.CallClose {
			if leaf.Code != "client_left" {
				t.Errorf("the call ended with %q", leaf.Code)
			}
			break
		}
		if time.Since(at) > time.Second {
			t.Fatal("the call has no end a second after the client left")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestUnknownCommit: the commit's answer is lost and the database cannot be asked. The caller learns that nothing is
// recorded, nothing leaves, and the opening, which is in the log after all, is ended once the database answers.
func TestUnknownCommit(t *testing.T) {
	var lost, away atomic.Bool
	h := openHouse(t, func(o *Options) {
		o.Fail = func(step string) error {
			if (step == "append.commit.after" && lost.Load()) || (step == "append.settle" && away.Load()) {
				return errInjected
			}
			return nil
		}
	})
	before := h.received()
	lost.Store(true)
	away.Store(true)
	a := h.post(t, h.key, chatBody("demo-echo", "x"))
	if a.status != 503 || h.received() != before {
		t.Errorf("%d %s", a.status, a.body)
	}
	lost.Store(false)
	away.Store(false)
	for at := time.Now(); h.verify(t).Open > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(at) > 10*time.Second {
			t.Fatal("the lost opening has no end")
		}
	}
	if a := h.post(t, h.key, chatBody("demo-echo", "x")); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
	h.verify(t)
}
