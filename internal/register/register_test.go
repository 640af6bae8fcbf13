package register

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/audit/audittest"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
	"github.com/leitplanke/leitplanke/internal/problem"
)

type site struct {
	*Store
	log *audit.Log
}

func newSite(t *testing.T, kind db.Kind) *site {
	c := audittest.Config(t, kind, nil)
	l := audittest.Open(t, c)
	return &site{NewStore(c.DB, l), l}
}

var (
	by     = auth.Shell("canaryroot")
	pepper = []byte("pepper")
)

// entry is one entry of a change, with its raw leaf.
type entry struct {
	*bundle.Leaf
	raw []byte
}

func (s *site) entries(t *testing.T) (list []entry) {
	t.Helper()
	all, err := s.log.Since(t.Context(), 1, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		leaf, err := bundle.DecodeLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Type != bundle.LogStart {
			list = append(list, entry{leaf, e.Leaf})
		}
	}
	return list
}

// new entries since there were n, as "type object code".
func (s *site) since(t *testing.T, n int) (list []string) {
	t.Helper()
	for _, e := range s.entries(t)[n:] {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Type, e.Object, e.Code)))
	}
	return list
}

func (s *site) load(t *testing.T) *State {
	t.Helper()
	st, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Normal()
	return st
}

func wants(t *testing.T, what string, err error, key string) {
	t.Helper()
	if key == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if err == nil || problem.Of(err).Key != key {
		t.Errorf("%s: %v, want %s", what, err, key)
	}
}

func example() *State {
	return &State{
		Providers: []Provider{{ID: "p1", Kind: KindDemo, Region: RegionLocal, Operator: "Eigenbetrieb"}, {ID: "p2", Kind: KindOpenAI, BaseURL: "https://api.example.eu/v1?a=1&b=<2>", Region: "eu", Operator: "Ü", Key: "env:K"}},
		Models:    []Model{{ID: "m1", Provider: "p1", Upstream: "demo"}, {ID: "m2", Provider: "p2", Upstream: "large"}},
		Systems: []System{
			{ID: "s1", Name: "Eins", Purpose: "Briefe", Models: []string{"m1", "m2"}, Aliases: map[string]string{"z": "m1", "a": "m2"}, Mask: []string{"IBAN"}, Regions: []string{"local", "eu"}, HighRisk: true, KeepDays: 200},
			{ID: "s2", Name: "Zwei", Purpose: "Mails", Models: []string{"m1"}},
		},
		Access: []Access{
			{ID: "a1", System: "s1", Kind: Person, Owner: "canaryowner", Hash: HashKey(pepper, "lp-1"), Key: "file:a1.key"},
			{ID: "a2", System: "s2", Kind: Service, Hash: HashKey(pepper, "lp-2")},
		},
	}
}

func (s *site) apply(t *testing.T, want *State, prune bool) []string {
	t.Helper()
	n := len(s.entries(t))
	changes, err := s.Apply(t.Context(), by, want, prune)
	if err != nil {
		t.Fatal(err)
	}
	got := s.since(t, n)
	if len(got) != len(changes) {
		t.Errorf("%d changes, entries %v", len(changes), got)
	}
	return got
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestApply(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		epoch := s.log.Epoch()
		same(t, "first", s.apply(t, example(), false),
			"change.register provider/p1 new", "change.register provider/p2 new", "change.register model/m1 new", "change.register model/m2 new",
			"change.register system/s1 new", "change.register system/s2 new", "change.access access new", "change.access access new")
		same(t, "the same again", s.apply(t, example(), true))
		if e, err := s.log.RefreshEpoch(t.Context()); err != nil || e != epoch+8 {
			t.Errorf("epoch %d after %d and 8 changes: %v", e, epoch, err)
		}
		s.opens(t)

		want := example()
		want.Systems[0].Name = "Eins neu"
		want.Access[1].Kind, want.Access[1].Owner = Person, "canaryowner"
		want.Models = want.Models[:1] // left out, not removed
		same(t, "changed", s.apply(t, want, false), "change.register system/s1 changed", "change.access access changed")
		s.opens(t)
		if st := s.load(t); len(st.Models) != 2 || st.Systems[0].Name != "Eins neu" || st.Access[1].Owner != "canaryowner" || !bytes.Equal(st.Access[1].Hash, want.Access[1].Hash) {
			t.Errorf("%+v", st)
		}

		want = &State{Providers: example().Providers[:1], Models: example().Models[:1], Systems: example().Systems[1:]}
		same(t, "pruned", s.apply(t, want, true),
			"change.access access removed", "change.access access removed", "change.register system/s1 removed",
			"change.register model/m2 removed", "change.register provider/p2 removed")
		st := s.load(t)
		if len(st.Providers) != 1 || len(st.Models) != 1 || len(st.Systems) != 1 || st.Systems[0].ID != "s2" {
			t.Errorf("after prune: %+v", st)
		}
		if len(st.Access) != 1 || st.Access[0].ID != "a2" || st.Access[0].Revoked == 0 {
			t.Errorf("the Zugang of a system that stays is kept, revoked: %+v", st.Access)
		}
		same(t, "pruned again", s.apply(t, want, true))

		for _, e := range s.entries(t) {
			for _, marker := range []string{"canary", "a1", "lp-", "Briefe", "example.eu"} {
				if bytes.Contains(e.raw, []byte(marker)) {
					t.Errorf("%q stands in a leaf: %s", marker, e.raw)
				}
			}
			if e.Code != "removed" && e.CRow == nil {
				t.Errorf("no commitment to the row: %s", e.raw)
			}
		}
	})
}

// opens recomputes, from what is stored, the commitment of the newest entry of each object. Entries about a Zugang do not
// name it: there it has to open exactly one of them.
func (s *site) opens(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	st := s.load(t)
	entries := s.entries(t)
	checked := map[string]int{}
	check := func(kind, id, query string, row any) {
		var salt []byte
		var revision uint64
		if err := s.db.Read().QueryRowContext(ctx, query, id).Scan(&salt, &revision); err != nil {
			t.Fatal(err)
		}
		want := bundle.Commit(salt, "row", canonical(row))
		found := 0
		for _, e := range entries {
			if e.Object == kind+"/"+id && e.Revision == revision || e.Object == kind {
				if bytes.Equal(e.CRow, want) && e.Revision == revision {
					found++
				}
			}
		}
		if found != 1 {
			t.Errorf("%s/%s as stored (%s) opens %d entries of revision %d", kind, id, canonical(row), found, revision)
		}
		checked[kind]++
	}
	for _, p := range st.Providers {
		check("provider", p.ID, `SELECT salt, revision FROM register_providers WHERE id = $1`, p)
	}
	for _, m := range st.Models {
		check("model", m.ID, `SELECT salt, revision FROM register_models WHERE id = $1`, m)
	}
	for _, y := range st.Systems {
		check("system", y.ID, `SELECT salt, revision FROM register_systems WHERE id = $1`, y)
	}
	for _, a := range live(st.Access) {
		check("access", a.ID, `SELECT salt, revision FROM register_access WHERE id = $1`, a)
	}
	for _, kind := range []string{"provider", "model", "system", "access"} {
		if checked[kind] == 0 {
			t.Errorf("no %s was checked", kind)
		}
	}
}

// TestHalfDone: a change that cannot be made takes all others with it.
func TestHalfDone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		s.apply(t, example(), false)
		before, entries := fmt.Sprintf("%+v", s.load(t)), len(s.entries(t))
		ran := 0
		for name, spoil := range map[string]func(*State){
			"model without provider": func(st *State) { st.Models = append(st.Models, Model{ID: "m9", Provider: "none"}) },
			"Zugang without system":  func(st *State) { st.Access = append(st.Access, Access{ID: "a9", System: "none", Hash: []byte("9")}) },
			"two Zugänge, one key": func(st *State) {
				st.Access = append(st.Access, Access{ID: "a9", System: "s1", Hash: HashKey(pepper, "lp-1")})
			},
			"pruned provider in use": func(st *State) { st.Providers = st.Providers[:1] },
			"pruned system in use":   func(st *State) { st.Systems = st.Systems[:1] },
		} {
			ran++
			want := example()
			want.Systems[0].Name = "changed"
			want.Providers = append([]Provider{{ID: "p0", Kind: KindDemo}}, want.Providers...)
			if strings.HasPrefix(name, "pruned provider") {
				want.Providers = want.Providers[:2]
			} else {
				spoil(want)
			}
			if _, err := s.Apply(t.Context(), by, want, true); err == nil {
				t.Errorf("%s: no error", name)
			}
			if after := fmt.Sprintf("%+v", s.load(t)); after != before {
				t.Errorf("%s: half done:\n%s\nbefore:\n%s", name, after, before)
			}
			if n := len(s.entries(t)); n != entries {
				t.Errorf("%s: %d entries", name, n-entries)
			}
		}
		if ran == 0 {
			t.Fatal("nothing was tried")
		}
		s.opens(t)
	})
}

func TestSetStop(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		s.apply(t, example(), false)
		for _, c := range []struct{ scope, object, system string }{{"all", "all", ""}, {"system/s1", "system/s1", "s1"}, {"access/a2", "access", "s2"}} {
			n := len(s.entries(t))
			for _, on := range []bool{false, true, true, false, false, true} {
				wants(t, c.scope, s.SetStop(t.Context(), by, c.scope, fmt.Sprint("canaryreason ", on, n), on), "")
			}
			same(t, c.scope, s.since(t, n), "stop.on "+c.object, "stop.off "+c.object, "stop.on "+c.object)
			for _, e := range s.entries(t)[n:] {
				if e.System != c.system || bytes.Contains(e.raw, []byte("canary")) || bytes.Contains(e.raw, []byte("a2")) {
					t.Errorf("%s: leaf %s", c.scope, e.raw)
				}
			}
		}
		stops := s.load(t).Stops
		if len(stops) != 3 {
			t.Errorf("%+v", stops)
		}
		for _, p := range stops {
			if p.Actor != by.Name || !strings.HasPrefix(p.Reason, "canaryreason true") || p.Since.IsZero() {
				t.Errorf("%+v", p)
			}
		}
		n := len(s.entries(t))
		wants(t, "twice", s.SetStop(t.Context(), by, "all", "another reason", true), "")
		if i := slices.IndexFunc(s.load(t).Stops, func(p Stop) bool { return p.Scope == "all" }); s.load(t).Stops[i].Reason == "another reason" {
			t.Error("the second reason replaced the first")
		}
		for scope, key := range map[string]string{
			"system/none": problem.SystemNotFound, "access/none": problem.AccessUnknown, "system": problem.SystemNotFound, "system/": problem.SystemNotFound,
			"": problem.StopScope, "model/m1": problem.StopScope, "all/s1": problem.StopScope, "ALL": problem.StopScope,
		} {
			for _, on := range []bool{true, false} {
				wants(t, scope, s.SetStop(t.Context(), by, scope, "x", on), key)
			}
		}
		if got := s.since(t, n); len(got) != 0 || len(s.load(t).Stops) != 3 {
			t.Errorf("refused stops left %v", got)
		}
	})
}

func TestAccess(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		s.apply(t, example(), false)
		ctx := t.Context()
		n := len(s.entries(t))
		key, err := s.AddAccess(ctx, by, Access{ID: "new", System: "s1", Kind: Service, Expires: 1_900_000_000_000_000}, pepper)
		if err != nil || !ValidKey(key) {
			t.Fatalf("key %q: %v", key, err)
		}
		get := func(id string) Access {
			st := s.load(t)
			return st.Access[slices.IndexFunc(st.Access, func(a Access) bool { return a.ID == id })]
		}
		if a := get("new"); !bytes.Equal(a.Hash, HashKey(pepper, key)) || a.Expires != 1_900_000_000_000_000 || a.Created == 0 || a.Revoked != 0 {
			t.Errorf("%+v", a)
		}
		s.opens(t)
		_, err = s.AddAccess(ctx, by, Access{ID: "new", System: "s1", Kind: Service}, pepper)
		wants(t, "the same id", err, problem.AccessExists)
		_, err = s.AddAccess(ctx, by, Access{ID: "other", System: "none", Kind: Service}, pepper)
		wants(t, "no system", err, problem.SystemNotFound)

		// A file that changes the Zugang cannot say when it expires; that stays.
		want := example()
		want.Access = append(want.Access, Access{ID: "new", System: "s2", Kind: Service, Hash: HashKey(pepper, key)})
		same(t, "moved", s.apply(t, want, false), "change.access access changed")
		if a := get("new"); a.Expires != 1_900_000_000_000_000 || a.System != "s2" {
			t.Errorf("%+v", a)
		}
		s.opens(t)

		for range 2 {
			wants(t, "revoked", s.RevokeAccess(ctx, by, "new"), "")
		}
		wants(t, "revoke of nobody", s.RevokeAccess(ctx, by, "none"), problem.AccessUnknown)
		if a := get("new"); a.Revoked == 0 {
			t.Errorf("%+v", a)
		}
		_, err = s.Apply(ctx, by, want, false)
		wants(t, "a file that still names a revoked key", err, problem.AccessRevoked)
		same(t, "entries", s.since(t, n), "change.access access new", "change.access access changed", "change.access access removed")
		last := s.entries(t)[n+2]
		if last.System != "s2" || last.Revision != 3 {
			t.Errorf("leaf of the revocation %s", last.raw)
		}

		// The id can be used again with another key; its count goes on.
		again, err := s.AddAccess(ctx, by, Access{ID: "new", System: "s1", Kind: Service}, pepper)
		if err != nil || again == key {
			t.Fatal(err)
		}
		if a := get("new"); a.Revoked != 0 || a.Expires != 0 || !bytes.Equal(a.Hash, HashKey(pepper, again)) {
			t.Errorf("%+v", a)
		}
		if e := s.entries(t)[n+3]; e.Revision != 4 || e.Code != "new" {
			t.Errorf("leaf %s", e.raw)
		}
		s.opens(t)
	})
}

func TestKeys(t *testing.T) {
	key := NewKey()
	if !ValidKey(key) || key == NewKey() {
		t.Errorf("key %q", key)
	}
	for _, bad := range []string{"", "lp-", key[3:], key + "A", key[:len(key)-1], "lp_" + key[3:], key + "\n", strings.ToUpper(key)} {
		if ValidKey(bad) {
			t.Errorf("%q is a key", bad)
		}
	}
	if bytes.Equal(HashKey(pepper, key), HashKey([]byte("other"), key)) {
		t.Error("the pepper does not matter")
	}
}
