// Package release says what may run now. It builds an immutable Snapshot of everything that gates a call and holds the
// newest one; the gateway asks it in memory, and the log proves afterwards that no call opened under an older one.
package release

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/register"
)

// Snapshot is what governs, as of one epoch of the log. It never changes.
type Snapshot struct {
	Epoch uint64

	state   *register.State
	access  map[string]*register.Access // by HMAC of the key
	systems map[string]*register.System
	routes  map[string]*Route // by model id
	stops   map[string]bool   // by scope
}

// Route is where a model is asked.
type Route struct {
	Model    register.Model
	Provider register.Provider
}

// Grant is what a key opens.
type Grant struct {
	Access *register.Access
	System *register.System
}

// NewSnapshot indexes the register for questions.
func NewSnapshot(epoch uint64, st *register.State) *Snapshot {
	s := &Snapshot{Epoch: epoch, state: st, access: map[string]*register.Access{}, systems: map[string]*register.System{}, routes: map[string]*Route{}, stops: map[string]bool{}}
	for i := range st.Access {
		s.access[string(st.Access[i].Hash)] = &st.Access[i]
	}
	for i := range st.Systems {
		s.systems[st.Systems[i].ID] = &st.Systems[i]
	}
	for _, m := range st.Models {
		for _, p := range st.Providers {
			if p.ID == m.Provider {
				s.routes[m.ID] = &Route{Model: m, Provider: p}
			}
		}
	}
	for _, p := range st.Stops {
		s.stops[p.Scope] = true
	}
	return s
}

// State is the register behind the snapshot; it must not be changed.
func (s *Snapshot) State() *register.State { return s.state }

// Admit says what the key with that HMAC opens at that time: first the key, then its system, then the stops.
// A grant comes with every refusal except that of an unknown key, so that the refusal can be recorded.
func (s *Snapshot) Admit(keyHash []byte, now time.Time) (*Grant, error) {
	a := s.access[string(keyHash)]
	if a == nil || !a.Good(now) {
		return nil, problem.Unauthenticated(problem.InvalidAPIKey)
	}
	g := &Grant{Access: a, System: s.systems[a.System]}
	if g.System == nil {
		g.System = &register.System{ID: a.System}
		return g, problem.Blocked(problem.SystemUnknown, "system", a.System).With(a.System)
	}
	if p := s.Stopped(g); p != nil {
		return g, p
	}
	return g, nil
}

// Stopped says which stop covers the grant, nil where none does.
func (s *Snapshot) Stopped(g *Grant) *problem.Error {
	switch {
	case s.stops[register.ScopeAll]:
		return problem.Blocked("system_stopped.all")
	case s.stops["system/"+g.System.ID]:
		return problem.Blocked(problem.SystemStopped, "system", g.System.Name).With(g.System.ID)
	case s.stops["access/"+g.Access.ID]:
		return problem.Blocked("system_stopped.access")
	}
	return nil
}

// Route finds where a name that the caller used leads: an alias of the system, or one of its models.
func (s *Snapshot) Route(y *register.System, name string) (*Route, error) {
	id := name
	if to, ok := y.Aliases[name]; ok {
		id = to
	}
	r := s.routes[id]
	if r == nil || !slices.Contains(y.Models, id) {
		return nil, problem.NotFound(problem.ModelNotFound, "model", name, "system", y.Name).With(name)
	}
	if len(y.Regions) > 0 && !slices.Contains(y.Regions, r.Provider.Region) {
		return nil, problem.Blocked(problem.RegionNotAllowed, "model", name, "region", r.Provider.Region).With(r.Provider.Region)
	}
	return r, nil
}

// Names lists the model names that callers of the system may use: models and aliases, sorted.
func (s *Snapshot) Names(y *register.System) []string {
	var names []string
	for _, m := range y.Models {
		if s.routes[m] != nil {
			names = append(names, m)
		}
	}
	for a, m := range y.Aliases {
		if s.routes[m] != nil && slices.Contains(y.Models, m) {
			names = append(names, a)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Holder holds the newest Snapshot. It is safe for concurrent use.
type Holder struct {
	db      *db.DB
	log     *audit.Log
	program *slog.Logger
	now     atomic.Pointer[Snapshot]
	reload  sync.Mutex
	stop    atomic.Pointer[func(*Snapshot)]
}

// NewHolder builds the first Snapshot.
func NewHolder(ctx context.Context, d *db.DB, l *audit.Log, program *slog.Logger) (*Holder, error) {
	h := &Holder{db: d, log: l, program: program}
	return h, h.Reload(ctx)
}

// Snapshot is the newest one that this process knows.
func (h *Holder) Snapshot() *Snapshot { return h.now.Load() }

// OnChange sets what is called with each new Snapshot: the gateway ends calls that a stop covers.
func (h *Holder) OnChange(f func(*Snapshot)) { h.stop.Store(&f) }

// Reload reads the register and its epoch in one reading transaction and puts the result in place of the old Snapshot.
// If it fails the old one stays: its epoch is stale, so no call opens under it.
func (h *Holder) Reload(ctx context.Context) error {
	h.reload.Lock()
	defer h.reload.Unlock()
	var s *Snapshot
	err := h.db.Snapshot(ctx, func(tx *db.Tx) error {
		epoch, err := h.log.EpochTx(ctx, tx)
		if err != nil {
			return err
		}
		if old := h.now.Load(); old != nil && old.Epoch == epoch {
			s = old
			return nil
		}
		st, err := register.LoadTx(ctx, tx)
		if err != nil {
			return err
		}
		s = NewSnapshot(epoch, st)
		return nil
	})
	if err != nil {
		return err
	}
	if h.now.Swap(s) != s {
		if f := h.stop.Load(); f != nil {
			(*f)(s)
		}
	}
	return nil
}

// pollEvery is how often an idle node looks for changes that another node made.
const pollEvery = 500 * time.Millisecond

// Run looks at the epoch in the head row and reloads when it moved. It returns when ctx ends.
func (h *Holder) Run(ctx context.Context) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		epoch, err := h.log.RefreshEpoch(ctx)
		if err == nil && epoch != h.now.Load().Epoch {
			err = h.Reload(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.program.Warn("the rules could not be read anew; calls are judged again when they can", "error", err)
		}
	}
}
