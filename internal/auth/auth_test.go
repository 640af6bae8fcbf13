package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/audit/audittest"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// site is a Store with its log and a clock that the test moves.
type site struct {
	*Store
	log   *audit.Log
	clock atomic.Int64 // ns since start
	start time.Time
}

func (s *site) now() time.Time           { return s.start.Add(time.Duration(s.clock.Load())) }
func (s *site) wait(d time.Duration)     { s.clock.Add(int64(d)) }
func (s *site) at(d time.Duration)       { s.clock.Store(int64(d)) }
func (s *site) entries(t *testing.T) int { t.Helper(); return len(s.leaves(t)) }

func newSite(t *testing.T, kind db.Kind) *site {
	s := &site{start: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	c := audittest.Config(t, kind, s.now)
	s.log = audittest.Open(t, c)
	s.Store = NewStore(c.DB, s.log)
	return s
}

// leaves returns the raw leaves of the entries that change accounts.
func (s *site) leaves(t *testing.T) (list [][]byte) {
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
		if leaf.Type == bundle.ChangeRole {
			list = append(list, e.Leaf)
		}
	}
	return list
}

const password = "korrekt Pferd Batterie"

// member adds an account with that login and sets its password.
func (s *site) member(t *testing.T, login string, roles ...Role) (session string, u *User) {
	t.Helper()
	if roles == nil {
		roles = []Role{Staff}
	}
	token, err := s.Add(t.Context(), Shell("root"), User{Login: login, Name: "Person " + login, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	session, u, err = s.SetPassword(t.Context(), token, password)
	if err != nil {
		t.Fatal(err)
	}
	return session, u
}

// wants fails the test unless err is the problem with that key; "" = no error.
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

func TestPasswordHash(t *testing.T) {
	h := newHasher()
	stored, err := h.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.hash(t.Context(), password)
	if err != nil || stored == again {
		t.Errorf("two hashes of one password are equal, or %v", err)
	}
	if !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored %q", stored)
	}
	for _, c := range []struct {
		name, stored, password string
		want                   bool
	}{
		{"right", stored, password, true},
		{"right, other salt", again, password, true},
		{"wrong", stored, password + " ", false},
		{"no password", stored, "", false},
		{"nothing stored", "", "", false},
		{"nothing stored, a password", "", password, false},
		{"foreign", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", password, false},
		{"other parameters", strings.Replace(stored, "t=2", "t=1", 1), password, false},
		{"cut", stored[:len(stored)-2], password, false},
		{"key of zeroes", strings.Join(strings.Split(stored, "$")[:5], "$") + "$" + strings.Repeat("A", 43), password, false},
	} {
		if ok, err := h.verify(t.Context(), c.stored, c.password); ok != c.want || err != nil {
			t.Errorf("%s: %v %v", c.name, ok, err)
		}
	}
}

// TestUnknownAccount: a wrong password and an unknown account get the same answer for roughly the same work.
func TestUnknownAccount(t *testing.T) {
	s := newSite(t, db.SQLite)
	s.member(t, "known")
	if _, err := s.Add(t.Context(), Shell("root"), User{Login: "notready", Name: "x", Roles: []Role{Staff}}); err != nil {
		t.Fatal(err)
	}
	took := map[string]time.Duration{}
	answers := map[string]string{}
	for i := range 12 {
		for _, login := range []string{"known", "unknown", "notready"} {
			at := time.Now()
			_, _, err := s.SignIn(t.Context(), login, "a wrong password", fmt.Sprintf("10.0.0.%d", i))
			if d := time.Since(at); took[login] == 0 || d < took[login] {
				took[login] = d
			}
			answers[login] = fmt.Sprint(problem.Of(err).Kind, err)
		}
		s.wait(10 * time.Minute)
	}
	if answers["known"] != answers["unknown"] || answers["known"] != answers["notready"] || !strings.Contains(answers["known"], problem.SignInWrong) {
		t.Errorf("answers differ: %v", answers)
	}
	for _, login := range []string{"unknown", "notready"} {
		if r := float64(took[login]) / float64(took["known"]); r < 0.5 || r > 2 {
			t.Errorf("%s takes %.2f times as long as a known account", login, r)
		}
	}
	t.Logf("shortest of 12: %v", took)
}

func TestLink(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		add := func(login string) string {
			token, err := s.Add(ctx, Shell("root"), User{Login: login, Name: "N", Roles: []Role{Staff}})
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		token := add("  Anna ")
		if u, err := s.LinkUser(ctx, token); err != nil || u.Login != "anna" || u.Ready {
			t.Errorf("%+v %v", u, err)
		}
		_, _, err := s.SetPassword(ctx, token, "zu kurz")
		wants(t, "short password", err, problem.PasswordShort)
		_, _, err = s.SetPassword(ctx, token, strings.Repeat("x", maxPassword+1))
		wants(t, "long password", err, "password_long")
		_, _, err = s.SetPassword(ctx, token+"x", password)
		wants(t, "other token", err, problem.LinkUsed)
		_, _, err = s.SignIn(ctx, "anna", "", "a")
		wants(t, "no password yet", err, problem.SignInWrong)

		// Sixteen at once: one wins.
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				_, _, err := s.SetPassword(ctx, token, password)
				if err == nil {
					won.Add(1)
				} else if problem.Of(err).Key != problem.LinkUsed {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("the link worked %d times", won.Load())
		}
		_, err = s.LinkUser(ctx, token)
		wants(t, "used link", err, problem.LinkUsed)
		_, _, err = s.SignIn(ctx, " ANNA", password, "a")
		wants(t, "sign-in", err, "")

		late := add("late")
		s.wait(LinkLife - time.Microsecond)
		_, err = s.LinkUser(ctx, late)
		wants(t, "just in time", err, "")
		s.wait(time.Microsecond)
		_, err = s.LinkUser(ctx, late)
		wants(t, "expired link", err, problem.LinkUsed)
		_, _, err = s.SetPassword(ctx, late, password)
		wants(t, "expired link sets a password", err, problem.LinkUsed)
	})
}

func TestSessions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		s.member(t, "anna")
		begin := func() string {
			t.Helper()
			session, _, err := s.SignIn(ctx, "anna", password, "a")
			if err != nil {
				t.Fatal(err)
			}
			return session
		}
		check := func(what, session, key string) {
			t.Helper()
			u, err := s.Session(ctx, session)
			wants(t, what, err, key)
			if err == nil && u.Login != "anna" {
				t.Errorf("%s: session of %s", what, u.Login)
			}
		}
		a := begin()
		check("new session", a, "")
		check("no session", "", "session_ended")
		check("foreign session", a+"x", "session_ended")
		s.wait(SessionIdle - time.Second)
		check("idle for less than 30 min", a, "")
		s.wait(SessionIdle - time.Second) // counts from the last use
		check("used meanwhile", a, "")
		s.wait(SessionIdle)
		check("idle for 30 min", a, "session_ended")

		a = begin()
		first := time.Duration(s.clock.Load())
		for range 35 { // 11 h 40 min, in use all the time
			s.wait(20 * time.Minute)
			check("in use", a, "")
		}
		s.at(first + SessionMax - time.Second)
		check("just under 12 h", a, "")
		s.at(first + SessionMax)
		check("after 12 h", a, "session_ended")

		a, b := begin(), begin()
		if err := s.SignOut(ctx, a); err != nil {
			t.Fatal(err)
		}
		check("signed out", a, "session_ended")
		check("the other session", b, "")
		token, err := s.Reset(ctx, Shell("root"), "Anna")
		if err != nil {
			t.Fatal(err)
		}
		check("after a reset", b, "session_ended")
		_, _, err = s.SignIn(ctx, "anna", password, "a")
		wants(t, "old password after a reset", err, problem.SignInWrong)
		again, err := s.Reset(ctx, Shell("root"), "anna")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.LinkUser(ctx, token)
		wants(t, "link of the earlier reset", err, problem.LinkUsed)
		c, _, err := s.SetPassword(ctx, again, password+"!")
		wants(t, "new password", err, "")
		check("session of the new password", c, "")
		_, err = s.Reset(ctx, Shell("root"), "nobody")
		wants(t, "reset of nobody", err, "user_unknown")
	})
}

func TestAccountEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		ends := s.now().Add(time.Hour)
		token, err := s.Add(ctx, Shell("root"), User{Login: "eve", Name: "Eve", Roles: []Role{Auditor}, Ends: ends})
		if err != nil {
			t.Fatal(err)
		}
		session, _, err := s.SetPassword(ctx, token, password)
		wants(t, "password", err, "")
		for range 3 {
			s.wait(19 * time.Minute)
			_, err = s.Session(ctx, session)
			wants(t, "before the end", err, "")
		}
		s.wait(3 * time.Minute)
		_, err = s.Session(ctx, session)
		wants(t, "session after the end", err, "session_ended")
		_, _, err = s.SignIn(ctx, "eve", password, "a")
		wants(t, "sign-in after the end", err, problem.AccountEnded)
		_, _, err = s.SignIn(ctx, "eve", password+"x", "a")
		wants(t, "wrong password after the end", err, problem.SignInWrong)
	})
}

func TestPause(t *testing.T) {
	s := newSite(t, db.SQLite)
	ctx := t.Context()
	s.member(t, "anna")
	s.member(t, "bernd")
	try := func(login, pw, address, key string) {
		t.Helper()
		_, _, err := s.SignIn(ctx, login, pw, address)
		wants(t, login+" from "+address, err, key)
	}
	for i := range freeTries {
		try("anna", "wrong", fmt.Sprint("10.0.0.", i), problem.SignInWrong)
	}
	try("anna", password, "10.0.0.99", problem.SignInPaused) // the account rests, from everywhere
	try("bernd", password, "10.0.0.1", "")                   // others do not
	pause := time.Second
	for i := range 12 { // 1 s, 2 s, 4 s … and never more than five minutes
		s.wait(pause - time.Microsecond)
		try("anna", password, "10.0.0.99", problem.SignInPaused)
		s.wait(time.Microsecond)
		try("anna", "wrong", fmt.Sprint("10.0.1.", i), problem.SignInWrong)
		pause = min(2*pause, maxPause)
	}
	s.wait(pause)
	try("anna", password, "10.0.0.99", "")
	try("anna", "wrong", "10.0.0.99", problem.SignInWrong) // counts from the beginning again
	try("anna", password, "10.0.0.99", "")

	for i := range freeTries { // one address that tries many accounts
		try(fmt.Sprint("nobody", i), "wrong", "10.9.9.9", problem.SignInWrong)
	}
	try("bernd", password, "10.9.9.9", problem.SignInPaused)
	try("bernd", password, "10.9.9.8", "")
	s.wait(2*time.Hour + maxPause) // a day's mistakes of a whole office do not add up
	try("nobody", "wrong", "10.9.9.9", problem.SignInWrong)
	try("bernd", password, "10.9.9.9", "")
}

// TestPauseAtOnce: many tries at the same time are no way around the pause, not even with the right one among them.
func TestPauseAtOnce(t *testing.T) {
	s := newSite(t, db.SQLite)
	s.member(t, "anna")
	var wrong, paused, in atomic.Int64
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			_, _, err := s.SignIn(t.Context(), "anna", "wrong", "10.0.0.1")
			switch {
			case err == nil:
				in.Add(1)
			case problem.Of(err).Key == problem.SignInWrong:
				wrong.Add(1)
			case problem.Of(err).Key == problem.SignInPaused:
				paused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wrong.Load() > freeTries+2 || wrong.Load()+paused.Load() != 60 {
		t.Errorf("%d tries were judged, %d paused, %d let in", wrong.Load(), paused.Load(), in.Load())
	}
}

func TestTriesAreBounded(t *testing.T) {
	s := newSite(t, db.SQLite)
	for i := range 3 * maxTries { // all of them rest: nothing can be forgotten for its age
		for range freeTries {
			s.wrong(s.now(), fmt.Sprint("login ", i), fmt.Sprint("address ", i))
		}
		if len(s.tries) > maxTries {
			t.Fatalf("%d are remembered", len(s.tries))
		}
	}
	if len(s.tries) < maxTries/2 {
		t.Errorf("only %d are remembered", len(s.tries))
	}
}

func TestGranters(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		ran := 0
		for _, r := range Roles() {
			ran++
			want := problem.RoleForbidden
			if r == AIOfficer {
				want = ""
			}
			_, err := s.Add(ctx, Actor{User: "u-1", Name: "X", Roles: []Role{r}}, User{Login: "by-" + string(r), Name: "N", Roles: []Role{Staff}})
			wants(t, "granted by "+string(r), err, want)
		}
		if ran == 0 {
			t.Fatal("no role was tried")
		}
		_, err := s.Add(ctx, Actor{User: "u-1", Name: "X"}, User{Login: "by-nobody", Name: "N", Roles: []Role{Staff}})
		wants(t, "granted by an account without a role", err, problem.RoleForbidden)
		end := s.now().Add(time.Hour)
		for _, c := range []struct {
			name string
			u    User
			key  string
		}{
			{"no login", User{Name: "N", Roles: []Role{Staff}}, "user_incomplete"},
			{"no name", User{Login: "x", Roles: []Role{Staff}}, "user_incomplete"},
			{"no role", User{Login: "x", Name: "N"}, "user_incomplete"},
			{"long login", User{Login: strings.Repeat("x", 201), Name: "N", Roles: []Role{Staff}}, "user_incomplete"},
			{"unknown role", User{Login: "x", Name: "N", Roles: []Role{"root"}}, "role_unknown"},
			{"auditor without end", User{Login: "x", Name: "N", Roles: []Role{Auditor}}, "role_needs_end"},
			{"guest without end", User{Login: "x", Name: "N", Roles: []Role{Staff, Guest}}, "role_needs_end"},
			{"auditor", User{Login: "aud", Name: "N", Roles: []Role{Auditor}, Ends: end}, ""},
			{"guest", User{Login: "gue", Name: "N", Roles: []Role{Guest}, Ends: end}, ""},
			{"the same login", User{Login: "AUD ", Name: "N", Roles: []Role{Staff}}, "user_exists"},
		} {
			before := s.entries(t)
			_, err := s.Add(ctx, Shell("root"), c.u)
			wants(t, c.name, err, c.key)
			if got := s.entries(t) - before; (c.key == "") != (got == 1) || got > 1 {
				t.Errorf("%s: %d entries", c.name, got)
			}
		}
		list, err := s.List(ctx)
		if err != nil || len(list) != 3 { // by the officer, auditor, guest
			t.Errorf("%d accounts: %v", len(list), err)
		}
	})
}

// TestEntries: each change of an account is one entry, its leaf names nobody, and its commitment opens with the stored row.
func TestEntries(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		ctx := t.Context()
		token, err := s.Add(ctx, Shell("canaryroot"), User{Login: "canarylogin", Name: "Canaryname Müller", Roles: []Role{Staff, CaseWorker}})
		if err != nil {
			t.Fatal(err)
		}
		if n := s.entries(t); n != 1 {
			t.Fatalf("%d entries after one account", n)
		}
		session, u, err := s.SetPassword(ctx, token, password)
		wants(t, "password", err, "")
		wants(t, "sign-out", s.SignOut(ctx, session), "")
		_, _, err = s.SignIn(ctx, "canarylogin", password, "a")
		wants(t, "sign-in", err, "")
		if n := s.entries(t); n != 1 {
			t.Errorf("signing in wrote %d entries", n-1)
		}
		if _, err := s.Reset(ctx, Actor{User: u.ID, Name: u.Name}, "canarylogin"); err != nil {
			t.Fatal(err)
		}
		leaves := s.leaves(t)
		if len(leaves) != 2 {
			t.Fatalf("%d entries after an account and a reset", len(leaves))
		}
		for _, b := range leaves {
			for _, marker := range []string{"canary", "Canary", "Müller", u.ID, "staff"} {
				if bytes.Contains(b, []byte(marker)) {
					t.Errorf("%q stands in a leaf: %s", marker, b)
				}
			}
		}
		var salt []byte
		if err := s.db.Read().QueryRowContext(ctx, `SELECT salt FROM auth_users WHERE id = $1`, u.ID).Scan(&salt); err != nil {
			t.Fatal(err)
		}
		leaf, err := bundle.DecodeLeaf(leaves[0])
		if err != nil {
			t.Fatal(err)
		}
		row := fmt.Appendf(nil, `{"id":%q,"login":"canarylogin","name":"Canaryname Müller","roles":["staff","case_worker"]}`, u.ID)
		if want := bundle.Commit(salt, "row", row); !bytes.Equal(leaf.CRow, want) {
			t.Errorf("the stored row does not open the commitment: %x, want %x", leaf.CRow, want)
		}
		rep, err := s.log.Verify(ctx)
		if err != nil || !rep.OK {
			t.Errorf("%+v %v", rep, err)
		}
	})
}

// TestNoEntryNoChange: where the entry cannot be written, the account is not made.
func TestNoEntryNoChange(t *testing.T) {
	s := newSite(t, db.SQLite)
	ctx := t.Context()
	s.member(t, "anna")
	rename := func(from, to string) {
		if _, err := s.db.Exec(ctx, `ALTER TABLE `+from+` RENAME TO `+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("audit_head", "audit_away")
	defer rename("audit_away", "audit_head")
	if _, err := s.Add(ctx, Shell("root"), User{Login: "new", Name: "N", Roles: []Role{Staff}}); err == nil {
		t.Error("an account without an entry")
	}
	if _, err := s.Reset(ctx, Shell("root"), "anna"); err == nil {
		t.Error("a reset without an entry")
	}
	if _, err := s.ByLogin(ctx, "new"); !errors.Is(err, problem.NotFound("user_unknown")) {
		t.Errorf("%v", err)
	}
	if _, _, err := s.SignIn(ctx, "anna", password, "a"); err != nil {
		t.Errorf("the password is gone: %v", err)
	}
}
