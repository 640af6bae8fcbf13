package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/audit/audittest"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/register"
)

var now = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

func state() *register.State {
	return &register.State{
		Providers: []register.Provider{{ID: "here", Region: "local"}, {ID: "us", Region: "us"}},
		Models:    []register.Model{{ID: "small", Provider: "here"}, {ID: "large", Provider: "us"}, {ID: "foreign", Provider: "here"}, {ID: "orphan", Provider: "gone"}},
		Systems: []register.System{
			{ID: "s1", Name: "Eins", Models: []string{"small", "large", "orphan"}, Aliases: map[string]string{"gpt": "small", "big": "large", "leak": "foreign", "large": "small"}},
			{ID: "s2", Name: "Zwei", Models: []string{"small", "large"}, Regions: []string{"local", "eu"}},
		},
		Access: []register.Access{
			{ID: "good", System: "s1", Hash: []byte("good")},
			{ID: "two", System: "s2", Hash: []byte("two")},
			{ID: "lost", System: "none", Hash: []byte("lost")},
			{ID: "ends", System: "s1", Hash: []byte("ends"), Expires: now.Add(time.Hour).UnixMicro()},
			{ID: "revoked", System: "s1", Hash: []byte("revoked"), Revoked: 1},
		},
	}
}

func key(err error) string {
	if err == nil {
		return ""
	}
	return problem.Of(err).Key
}

// TestAdmit: first the key, then its system, then the stops; a refusal that can be recorded comes with its grant.
func TestAdmit(t *testing.T) {
	for _, c := range []struct {
		name, key string
		at        time.Duration
		stops     []string
		want      string
		grant     bool
	}{
		{"good", "good", 0, nil, "", true},
		{"no key", "", 0, nil, problem.InvalidAPIKey, false},
		{"unknown", "unknown", 0, nil, problem.InvalidAPIKey, false},
		{"a microsecond before its end", "ends", time.Hour - time.Microsecond, nil, "", true},
		{"at its end", "ends", time.Hour, nil, problem.InvalidAPIKey, false},
		{"revoked", "revoked", 0, nil, problem.InvalidAPIKey, false},
		{"revoked and stopped", "revoked", 0, []string{"all"}, problem.InvalidAPIKey, false},
		{"no system", "lost", 0, nil, problem.SystemUnknown, true},
		{"no system, all stopped", "lost", 0, []string{"all"}, problem.SystemUnknown, true},
		{"all stopped", "good", 0, []string{"all"}, "system_stopped.all", true},
		{"system stopped", "good", 0, []string{"system/s1"}, problem.SystemStopped, true},
		{"Zugang stopped", "good", 0, []string{"access/good"}, "system_stopped.access", true},
		{"another system stopped", "good", 0, []string{"system/s2", "system/", "system/s"}, "", true},
		{"another Zugang stopped", "good", 0, []string{"access/two", "access/", "access/goo"}, "", true},
	} {
		st := state()
		for _, scope := range c.stops {
			st.Stops = append(st.Stops, register.Stop{Scope: scope})
		}
		g, err := NewSnapshot(7, st).Admit([]byte(c.key), now.Add(c.at))
		if key(err) != c.want || (g != nil) != c.grant {
			t.Errorf("%s: %v %v, want %q", c.name, g, err, c.want)
		}
		if g != nil && (g.Access == nil || g.System == nil || g.System.ID != g.Access.System) {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

func TestRoute(t *testing.T) {
	s := NewSnapshot(1, state())
	for _, c := range []struct {
		system     int
		name, want string
		model      string
	}{
		{0, "small", "", "small"},
		{0, "gpt", "", "small"},
		{0, "large", "", "small"}, // an alias wins over the model of that name
		{0, "big", "", "large"},
		{0, "foreign", problem.ModelNotFound, ""},
		{0, "leak", problem.ModelNotFound, ""}, // an alias does not open a model that the system has not
		{0, "orphan", problem.ModelNotFound, ""},
		{0, "", problem.ModelNotFound, ""},
		{0, "none", problem.ModelNotFound, ""},
		{1, "small", "", "small"},
		{1, "gpt", problem.ModelNotFound, ""}, // of another system
		{1, "large", problem.RegionNotAllowed, ""},
	} {
		r, err := s.Route(&s.State().Systems[c.system], c.name)
		if key(err) != c.want || (err == nil) != (c.model != "") || (err == nil && r.Model.ID != c.model) {
			t.Errorf("%d %q: %+v %v", c.system, c.name, r, err)
		}
	}
	if names := s.Names(&s.State().Systems[0]); !slices.Equal(names, []string{"big", "gpt", "large", "small"}) {
		t.Errorf("names %v", names)
	}
}

type site struct {
	*Holder
	db  *db.DB
	reg *register.Store
}

func newSite(t *testing.T, kind db.Kind) *site {
	c := audittest.Config(t, kind, nil)
	l := audittest.Open(t, c)
	s := &site{db: c.DB, reg: register.NewStore(c.DB, l)}
	var err error
	if s.Holder, err = NewHolder(t.Context(), c.DB, l, c.Log); err != nil {
		t.Fatal(err)
	}
	return s
}

// generation is a state in which every row says which generation it is of, so that a mixture would be seen.
func generation(n int) *register.State {
	st := &register.State{Providers: []register.Provider{{ID: "p", Kind: register.KindDemo, Operator: fmt.Sprint(n)}}}
	for i := range 5 {
		st.Models = append(st.Models, register.Model{ID: fmt.Sprint("m", i), Provider: "p", Upstream: fmt.Sprint(n)})
	}
	st.Systems = []register.System{{ID: "s", Name: fmt.Sprint(n)}}
	st.Access = []register.Access{{ID: "a", System: "s", Kind: register.Service, Hash: fmt.Appendf(nil, "key %d", n)}}
	return st
}

// mixed says what of the Snapshot is not of its generation.
func mixed(s *Snapshot) string {
	st := s.State()
	if len(st.Systems) == 0 {
		return ""
	}
	n := st.Systems[0].Name
	for _, m := range st.Models {
		if m.Upstream != n {
			return fmt.Sprintf("a model of %s in generation %s", m.Upstream, n)
		}
	}
	if st.Providers[0].Operator != n {
		return fmt.Sprintf("a provider of %s in generation %s", st.Providers[0].Operator, n)
	}
	if g, err := s.Admit([]byte("key "+n), now); err != nil || g.System.Name != n {
		return fmt.Sprintf("the key of generation %s: %v", n, err)
	}
	return ""
}

// TestReload: readers see whole generations only, epochs never go back, and OnChange hears of each Snapshot once.
func TestReload(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var heard sync.Map
		s.OnChange(func(n *Snapshot) {
			if _, twice := heard.LoadOrStore(n.Epoch, true); twice {
				t.Errorf("epoch %d was told twice", n.Epoch)
			}
		})
		var reads atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				last := uint64(0)
				for ctx.Err() == nil {
					n := s.Snapshot()
					if why := mixed(n); why != "" || n.Epoch < last {
						t.Errorf("epoch %d after %d: %s", n.Epoch, last, why)
						return
					}
					last = n.Epoch
					reads.Add(1)
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := s.Reload(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range 30 {
			if _, err := s.reg.Apply(ctx, auth.Shell("root"), generation(n), false); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.Snapshot().State().Systems[0].Name; got != "29" {
			t.Errorf("after Reload the Snapshot is of generation %s", got)
		}
		cancel()
		wg.Wait()
		if reads.Load() == 0 {
			t.Error("nothing was read")
		}
	})
}

// TestReloadFails: a Reload that cannot read leaves the old Snapshot in place, and tells nobody of a new one.
func TestReloadFails(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		if _, err := s.reg.Apply(ctx, auth.Shell("root"), generation(1), false); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		old, told := s.Snapshot(), 0
		s.OnChange(func(*Snapshot) { told++ })
		if err := s.reg.SetStop(ctx, auth.Shell("root"), register.ScopeAll, "drill", true); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.Reload(gone); !errors.Is(err, context.Canceled) || s.Snapshot() != old {
			t.Errorf("cancelled: %v", err)
		}
		if _, err := s.db.Exec(ctx, `ALTER TABLE register_stops RENAME TO away`); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(ctx); err == nil || s.Snapshot() != old || told != 0 {
			t.Errorf("half of the register cannot be read: %v, told %d times", err, told)
		}
		if _, err := s.db.Exec(ctx, `ALTER TABLE away RENAME TO register_stops`); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(ctx); err != nil || s.Snapshot() == old || told != 1 || s.Snapshot().Epoch != old.Epoch+1 {
			t.Errorf("afterwards: %v, told %d times", err, told)
		}
		if _, err := s.Snapshot().Admit([]byte("key 1"), now); key(err) != "system_stopped.all" {
			t.Errorf("%v", err)
		}
		same := s.Snapshot()
		if err := s.Reload(ctx); err != nil || s.Snapshot() != same || told != 1 {
			t.Errorf("nothing changed: %v, told %d times", err, told)
		}
	})
}

// TestRun: an idle node finds a change that another made.
func TestRun(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Run(ctx); close(done) }()
		if _, err := s.reg.Apply(ctx, auth.Shell("root"), generation(1), false); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); len(s.Snapshot().State().Systems) == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the change was not found")
			}
		}
		cancel()
		<-done
	})
}
