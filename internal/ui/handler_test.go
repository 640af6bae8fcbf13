package ui

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/guard/pii"
	"github.com/leitplanke/leitplanke/internal/guard/secret"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

// object is one entry of the installation that the routes are walked with.
type object struct {
	name   string
	id     string
	owner  auth.Role // who may see the content; empty: nobody
	marker string    // a word of the content
	hidden []string  // further words that nobody but the owner may see
}

// objects fills the log with an entry of each kind.
func objects(s *site) []object {
	clerk, staff := login(auth.CaseWorker), login(auth.Staff)
	text := func(marker string) string {
		return "Schreiben an Frau Katharina Brenner, IBAN DE89 3704 0044 0532 0130 00: " + marker
	}
	var out []object
	add := func(name, id string, owner auth.Role, marker string, hidden ...string) {
		out = append(out, object{name, id, owner, marker, append(hidden, "Katharina", "DE89")})
	}
	add("call of case_worker", s.call(clerk, text("Zaunkönig"), "Vorgang-Zilpzalp"), auth.CaseWorker, "Zaunkönig", "Vorgang-Zilpzalp", "zugang-1")
	add("call of staff", s.call(staff, text("Rotkehlchen"), ""), auth.Staff, "Rotkehlchen", "zugang-1")
	add("call of a service", s.call("", text("Goldammer"), ""), "", "Goldammer", "zugang-1")
	add("refusal of case_worker", s.refuse(clerk, text("Neuntöter"), problem.PolicyBlocked), auth.CaseWorker, "Neuntöter", "zugang-1")
	open, _, _ := s.opening(clerk, text("Wiedehopf"), "")
	add("open call of case_worker", open.ID(), auth.CaseWorker, "Wiedehopf", "zugang-1")
	erased := s.call(clerk, text("Eisvogel"), "")
	_, n, err := bundle.ParseCallID(erased)
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := s.log.Erase(s.t.Context(), n, "Art. 17 DSGVO Grund-Pirol", "shell:Pirol")
	if err != nil {
		s.t.Fatal(err)
	}
	add("erased call of case_worker", erased, "", "Eisvogel", "zugang-1")
	add("entry of the erasure", e.Receipt.ID(), "", "Pirol")
	add("entry of an account", "1-1", "", "login-")
	add("no entry", "1-99999", "", "login-")
	s.index()
	return out
}

// roles are all roles and nobody.
func roles() []auth.Role { return append([]auth.Role{""}, auth.Roles()...) }

func target(rt Route, o object) string {
	path := strings.NewReplacer("{id}", o.id, "{$}", "").Replace(rt.Pattern)
	switch {
	case rt.Class == Demo:
		return strings.Replace(path, "{token}", "token-auditor", 1)
	case strings.Contains(path, "{token}"):
		return strings.Replace(path, "{token}", "unknown", 1)
	}
	return path
}

// TestRoutesByRole walks every route as every role and as nobody, over entries of its own and of others, and compares
// status and visible content with testdata/routes.golden. Whatever the file says, content is on a page of its owner only:
// not in the HTML, not in a header, not in the program log.
func TestRoutesByRole(t *testing.T) { eachSite(t, routesByRole) }

func routesByRole(t *testing.T, s *site) {
	list := objects(s)
	var lines []string
	seen := 0
	for _, rt := range Routes() {
		walk := list
		if !strings.Contains(rt.Pattern, "{id}") {
			walk = []object{{name: "-"}}
		}
		for _, o := range walk {
			for i, role := range roles() {
				var form url.Values
				if rt.Method == http.MethodPost {
					form = url.Values{"next": {"/nachweise"}, "login": {"x-" + string(role)}, "password": {"y"}, "again": {"y"}}
				}
				a := s.ask(rt.Method, target(rt, o), s.session(role), form, "RemoteAddr", fmt.Sprintf("127.0.0.%d:1", i+1))
				if a.StatusCode >= 500 {
					t.Errorf("%s %s as %q: %s", rt.Method, target(rt, o), role, a)
				}
				content := "-"
				if o.marker != "" && strings.Contains(a.all(), o.marker) {
					content = "content"
				}
				if owner := o.owner != "" && o.owner == role; (content == "content") != (owner && a.StatusCode == 200) {
					t.Errorf("%s of %s as %q: %s", rt.Pattern, o.name, role, content)
				}
				for _, other := range list { // nothing of any call but one's own
					for _, word := range append(other.hidden, other.marker) {
						mine := o.owner != "" && o.owner == role
						if strings.Contains(a.all(), word) && !mine {
							t.Errorf("%s of %s as %q shows %q", rt.Pattern, o.name, role, word)
						}
					}
				}
				name := string(role)
				if name == "" {
					name = "nobody"
				}
				lines = append(lines, fmt.Sprintf("%-4s %-24s %-28s %-16s %d %s", rt.Method, rt.Pattern, o.name, name, a.StatusCode, content))
				if content == "content" {
					seen++
				}
			}
		}
	}
	if seen != 8 { // three calls of the clerk's and one of staff's, each read and checked
		t.Errorf("%d pages show content", seen)
	}
	for _, o := range list {
		for _, word := range append(o.hidden, o.marker) {
			if strings.Contains(s.program.String(), word) {
				t.Errorf("the program log holds %q", word)
			}
		}
	}
	golden(t, "routes.golden", strings.Join(lines, "\n")+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	shown := 0
	for i := range max(len(a), len(b)) {
		x, y := at(a, i), at(b, i)
		if x != y && shown < 20 {
			shown++
			t.Errorf("%s line %d:\nwant %s\ngot  %s", name, i+1, x, y)
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// TestRouteTable holds the table to its rules.
func TestRouteTable(t *testing.T) {
	n := 0
	for _, rt := range Routes() {
		n++
		if (rt.Class == Session) != (len(rt.Roles) > 0) {
			t.Errorf("%s %s: class %s with roles %v", rt.Method, rt.Pattern, rt.Class, rt.Roles)
		}
		if rt.Method != http.MethodGet && rt.Method != http.MethodPost || rt.handle == nil {
			t.Errorf("%s %s", rt.Method, rt.Pattern)
		}
	}
	if n < 13 {
		t.Fatalf("%d routes", n)
	}
}

// TestRoleWithoutRight uses a route that only the auditor may use.
func TestRoleWithoutRight(t *testing.T) {
	s := newSite(t)
	u := &UI{c: s.config, views: newViews(t)}
	s.handler = u.serve(Route{Method: "GET", Pattern: "/x", Class: Session, Roles: []auth.Role{auth.Auditor}, handle: (*UI).list})
	for role, want := range map[auth.Role]int{auth.Auditor: 200, auth.Guest: 403, auth.AIOfficer: 403, "": 303} {
		if a := s.ask("GET", "/x", s.session(role), nil); a.StatusCode != want {
			t.Errorf("%q: %s", role, a)
		}
	}
	s.handler = u.serve(Route{Method: "GET", Pattern: "/x", Class: Session, handle: (*UI).list})
	if a := s.ask("GET", "/x", s.session(auth.AIOfficer), nil); a.StatusCode != 403 {
		t.Errorf("a route without roles is open: %s", a)
	}
}

// TestPeopleAreNotShown looks for login and name of the owner of calls on the pages that others see.
func TestPeopleAreNotShown(t *testing.T) {
	s := newSite(t)
	owner := &auth.User{Login: "quastenflosser@alpenwerk.example", Name: "Quirin Quastenflosser"}
	if _, err := s.users.Add(t.Context(), auth.Shell("test"), auth.User{Login: owner.Login, Name: owner.Name, Roles: []auth.Role{auth.CaseWorker}}); err != nil {
		t.Fatal(err)
	}
	id := s.call(owner.Login, "Hallo", "")
	s.index()
	n := 0
	for _, role := range auth.Roles() {
		for _, path := range []string{PathEvidence, PathEvidence + "?art=change.role", PathEvidence + "?system=KI-2026-001", EntryPath(id), EntryPath("1-11"), EntryPath("1-12"), PathTransparency} {
			n++
			a := s.ask("GET", path, s.session(role), nil)
			if a.StatusCode != 200 || strings.Contains(strings.ToLower(a.all()), "quasten") {
				t.Errorf("%s as %s: %s names the owner", path, role, a)
			}
		}
	}
	if n == 0 {
		t.Fatal("nothing was looked at")
	}
}

func TestCrossSiteIsRefused(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), "Hallo", "")
	n := 0
	for _, rt := range Routes() {
		if rt.Method != http.MethodPost {
			continue
		}
		for _, site := range []string{"cross-site", "same-site"} {
			n++
			session := s.session(auth.CaseWorker)
			a := s.ask(rt.Method, target(rt, object{id: id}), session, url.Values{}, "Sec-Fetch-Site", site)
			if a.StatusCode != 403 || len(a.Cookies()) != 0 {
				t.Errorf("%s from %s: %s %v", rt.Pattern, site, a, a.Cookies())
			}
			if a := s.ask("GET", PathEvidence, session, nil); a.StatusCode != 200 {
				t.Errorf("%s from %s ended the session", rt.Pattern, site)
			}
		}
		a := s.ask(rt.Method, target(rt, object{id: id}), "", url.Values{}, "Origin", "https://evil.example")
		if a.StatusCode != 403 {
			t.Errorf("%s from another origin: %s", rt.Pattern, a)
		}
	}
	if n < 12 {
		t.Fatalf("only %d requests", n)
	}
}

func TestSessions(t *testing.T) {
	s := newSite(t)
	password := "ein langer Satz als Kennwort"
	path := PathSetup + s.links[auth.CaseWorker]
	if a := s.ask("GET", path, "", nil); a.StatusCode != 200 || !strings.Contains(a.body, login(auth.CaseWorker)) {
		t.Fatalf("setup: %s", a)
	}
	for _, c := range []struct {
		password, again, words string
	}{{"kurz", "kurz", "zu kurz"}, {password, password + "!", "verschieden"}, {strings.Repeat("x", 2000), strings.Repeat("x", 2000), "zu lang"}} {
		if a := s.ask("POST", path, "", url.Values{"password": {c.password}, "again": {c.again}}); a.StatusCode != 400 || !strings.Contains(a.body, c.words) {
			t.Errorf("%.9q: %s", c.password, a)
		}
	}
	a := s.ask("POST", path, "", url.Values{"password": {password}, "again": {password}})
	first := a.cookie(cookieSession)
	if a.StatusCode != 303 || first == "" {
		t.Fatalf("password: %s", a)
	}
	for _, method := range []string{"GET", "POST"} {
		if a := s.ask(method, path, "", url.Values{"password": {password}, "again": {password}}); a.StatusCode != 404 {
			t.Errorf("the link works twice: %s %s", method, a)
		}
	}
	signIn := func(session, login, password, to string) answer {
		return s.ask("POST", PathSignIn, session, url.Values{"login": {login}, "password": {password}, "next": {to}})
	}
	a = signIn(first, strings.ToUpper(login(auth.CaseWorker)), password, "/nachweise?art=erase")
	second := a.cookie(cookieSession)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/nachweise?art=erase" || second == "" || second == first {
		t.Fatalf("sign-in: %s", a)
	}
	if a := s.ask("GET", PathEvidence, first, nil); a.StatusCode != 303 {
		t.Error("the session before the sign-in still works")
	}
	if a := s.ask("GET", PathEvidence, second, nil); a.StatusCode != 200 || !strings.Contains(a.body, personName(auth.CaseWorker)) {
		t.Errorf("signed in: %s", a)
	}
	if a := s.ask("GET", PathSignIn, second, nil); a.Header.Get("Location") != PathEvidence {
		t.Errorf("signed in already: %s", a)
	}
	for _, evil := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"} {
		if a := signIn("", login(auth.CaseWorker), password, evil); a.Header.Get("Location") != PathEvidence {
			t.Errorf("%s leads to %s", evil, a.Header.Get("Location"))
		}
	}
	out := s.ask("POST", PathSignOut, second, url.Values{})
	if out.StatusCode != 303 || out.Header.Get("Location") != PathSignIn {
		t.Errorf("sign-out: %s", out)
	}
	if a := s.ask("GET", PathEvidence, second, nil); a.StatusCode != 303 || a.Header.Get("Location") != "/anmelden?next=%2Fnachweise" {
		t.Errorf("a session works after its sign-out: %s", a)
	}
	if a := s.ask("POST", VerifyPath("1-1"), second, url.Values{}); a.StatusCode != 401 {
		t.Errorf("an action after sign-out: %s", a)
	}
	for i := range 6 { // unknown and wrong give the same words, then both rest
		wrong, unknown := signIn("", login(auth.CaseWorker), "falsch", ""), signIn("", "niemand", "falsch", "")
		if i == 0 && (wrong.StatusCode != 401 || strings.ReplaceAll(wrong.body, login(auth.CaseWorker), "niemand") != unknown.body) {
			t.Errorf("an unknown account can be told from a wrong password: %s %s", wrong, unknown)
		}
		if i == 5 && (wrong.StatusCode != 429 || wrong.Header.Get("Retry-After") == "") {
			t.Errorf("after %d tries: %s", i, wrong)
		}
	}
}

func TestCookies(t *testing.T) {
	s := newSite(t)
	for _, secure := range []bool{false, true} {
		s.config.Secure = secure
		s.mount()
		a := s.ask("POST", PathDemo+"token-auditor", "", url.Values{})
		n := 0
		for _, c := range a.Cookies() {
			n++
			if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || strings.HasPrefix(c.Name, "__Host-") != secure {
				t.Errorf("secure %v: %v", secure, c)
			}
		}
		if n != 2 {
			t.Errorf("secure %v: %d cookies", secure, n)
		}
		if (a.Header.Get("Strict-Transport-Security") != "") != secure || a.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("headers: %v", a.Header)
		}
	}
}

func TestDemoSignIn(t *testing.T) {
	s := newSite(t)
	a := s.ask("GET", PathDemo+"token-auditor", "", nil)
	if a.StatusCode != 200 || len(a.Cookies()) != 0 || !strings.Contains(a.body, personName(auth.Auditor)) {
		t.Errorf("opening the link: %s %v", a, a.Cookies())
	}
	for _, path := range []string{"x", "", "auditor", "token-auditor/"} {
		if a := s.ask("POST", PathDemo+path, "", url.Values{}); a.StatusCode != 404 {
			t.Errorf("%q: %s", path, a)
		}
	}
	a = s.ask("POST", PathDemo+"token-auditor", "", url.Values{"next": {EntryPath("1-1")}})
	if a.StatusCode != 303 || a.Header.Get("Location") != EntryPath("1-1") {
		t.Errorf("signing in: %s", a)
	}
	if a := s.ask("GET", PathEvidence, a.cookie(cookieSession), nil); !strings.Contains(a.body, personName(auth.Auditor)) || !strings.Contains(a.body, PathDemo+"token-it") {
		t.Errorf("the list: %s", a)
	}
	near, far := s.ask("GET", PathSignIn, "", nil, "RemoteAddr", "[::1]:7"), s.ask("GET", PathSignIn, "", nil)
	if !strings.Contains(near.body, "token-it") || strings.Contains(far.body, "token-") {
		t.Error("the links of the demo are for this machine only")
	}
	s.config.DemoLinks = nil
	s.mount()
	for _, path := range []string{PathDemo + "token-auditor", PathDemo, PathDemo + "%00"} {
		if a := s.ask("POST", path, "", url.Values{}); a.StatusCode != 404 {
			t.Errorf("outside a demo %q: %s", path, a)
		}
	}
	if a := s.ask("GET", PathSignIn, "", nil, "RemoteAddr", "127.0.0.1:7"); strings.Contains(a.body, "/demo/") {
		t.Error("the sign-in offers roles outside a demo")
	}
}

// TestBadInput sends what nobody types: every answer is a page, none is our failure, and none repeats it unescaped.
func TestBadInput(t *testing.T) { eachSite(t, badInput) }

func badInput(t *testing.T, s *site) {
	s.call(login(auth.CaseWorker), "Hallo", "")
	s.index()
	session := s.session(auth.CaseWorker)
	evil := []string{
		"", "0", "-1", "1-", "-", "1-1-1", "01-1", "1-01", "9-1", "1-99999999999999999999", "1-9223372036854775807", "x", "1-1 ", "\x00", "\xff", "%", "'", "\"><script>alert(1)</script>",
		"1e9", "１-１", strings.Repeat("9", 5000), "../etc/passwd", "2026-11-23T14:00", "0000-00-00", "9999-12-31T23:59", "2026-02-30", "482.113", "\u202e", "call", "' OR 1=1 --",
	}
	n := 0
	check := func(method, path string) {
		t.Helper()
		n++
		var form url.Values
		if method == http.MethodPost {
			form = url.Values{"login": {path}, "password": {path}, "again": {path}, "next": {path}}
		}
		a := s.ask(method, path, session, form)
		if a.StatusCode >= 500 || strings.Contains(a.body, "<script>alert") {
			t.Errorf("%s %.80q: %s", method, path, a)
		}
		if a.StatusCode >= 400 && !strings.Contains(a.body, "<h1>") {
			t.Errorf("%s %.80q: %s without a page", method, path, a)
		}
	}
	for _, e := range evil {
		q := url.QueryEscape(e)
		for _, p := range []string{paramQuery, paramFrom, paramTo, paramSystem, paramVerdict, paramFinding, paramEvent, paramBefore, paramAfter} {
			check("GET", PathEvidence+"?"+p+"="+q)
		}
		check("GET", PathSignIn+"?next="+q)
		for _, pattern := range []string{PathEvidence + "/", PathSetup, PathDemo} {
			check("GET", pattern+url.PathEscape(e))
			check("POST", pattern+url.PathEscape(e))
		}
		check("POST", PathEvidence+"/"+url.PathEscape(e)+"/pruefen")
		check("POST", PathSignIn)
	}
	check("GET", PathEvidence+"?vor=1-5&nach=1-2")
	check("GET", PathEvidence+"?%zz=1&;;")
	check("PUT", PathEvidence)
	check("DELETE", "/")
	if a := s.ask("POST", PathSignIn, "", url.Values{"password": {strings.Repeat("x", maxForm+1)}}); a.StatusCode != 413 {
		t.Errorf("a large form: %s", a)
	}
	if n < 300 {
		t.Fatalf("only %d requests", n)
	}
	if strings.Contains(s.program.String(), "page failed") {
		t.Errorf("program log: %s", s.program)
	}
}

// TestFindingTypes keeps the filter's choice at what the detectors find.
func TestFindingTypes(t *testing.T) {
	var want []string
	for _, d := range append(pii.Detectors(), secret.Detectors()...) {
		want = append(want, d.Types...)
		if !lang.Has("detector." + d.Detector.Name()) {
			t.Errorf("no words for the detector %s", d.Detector.Name())
		}
	}
	got := findingTypes()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("choices %v, detectors find %v", got, want)
	}
	for _, e := range eventTypes() {
		if !lang.Has("event." + e) {
			t.Errorf("no words for %s", e)
		}
	}
}

func TestPreferences(t *testing.T) {
	s := newSite(t)
	a := s.ask("POST", web.PrefsPath, "", url.Values{"lang": {"en"}, "back": {PathTransparency}})
	if a.StatusCode != 303 || a.Header.Get("Location") != PathTransparency || a.cookie("lp_lang") != "en" {
		t.Errorf("%s", a)
	}
	if a := s.ask("GET", PathTransparency, "", nil, "Cookie", "lp_lang=en"); !strings.Contains(a.body, `<html lang="en"`) || !strings.Contains(a.body, s.log.Origin()) {
		t.Errorf("%s", a)
	}
}
