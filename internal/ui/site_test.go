package ui

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/guard/pii"
	"github.com/leitplanke/leitplanke/internal/guard/secret"
	"github.com/leitplanke/leitplanke/internal/provider"
	"github.com/leitplanke/leitplanke/internal/record"
	"github.com/leitplanke/leitplanke/internal/register"
	"github.com/leitplanke/leitplanke/internal/release"
	"github.com/leitplanke/leitplanke/internal/wire/openai"
)

// site is a real installation in a folder of the test: databases, log, accounts, register.
type site struct {
	t       testing.TB
	db      *db.DB
	log     *audit.Log
	audit   audit.Config // what the log was opened with
	users   *auth.Store
	release *release.Holder
	demo    *provider.Demo
	engine  *guard.Engine
	program *output
	config  Config
	handler http.Handler
	people  map[auth.Role]*auth.User
	links   map[auth.Role]string // setup links that nobody has used
}

// output is the program log.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// login is the sign-in name of a role's account in tests.
func login(role auth.Role) string { return "login-" + string(role) + "@alpenwerk.example" }

func personName(role auth.Role) string { return "Name von " + string(role) }

const curlLine = "curl http://localhost:8088/v1/chat/completions"

func newSite(t testing.TB) *site { return newSiteOn(t, db.SQLite) }

// eachSite runs f over a site on SQLite and, where a server is given, over one on PostgreSQL.
func eachSite(t *testing.T, f func(t *testing.T, s *site)) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) { f(t, newSiteOn(t, kind)) })
}

func newSiteOn(t testing.TB, kind db.Kind) *site {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	s := &site{t: t, program: new(output), people: map[auth.Role]*auth.User{}, links: map[auth.Role]string{}}
	open := func(name string, schema db.Set) *db.DB {
		d, err := db.Open(ctx, dbtest.New(t, kind, filepath.Join(dir, name)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if err := d.Migrate(ctx, schema); err != nil {
			t.Fatal(err)
		}
		return d
	}
	s.db = open("leitplanke.db", db.Main)
	keys, err := audit.OpenKeyStore(open("keys.db", db.Keys), make([]byte, audit.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	program := slog.New(slog.NewTextHandler(s.program, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.audit = audit.Config{
		DB: s.db, Keys: keys, Key: ed25519.NewKeyFromSeed([]byte("a seed for tests of 32 bytes len")), Name: "leitplanke.test", Mark: filepath.Join(dir, "mark"),
		Instance: "n-1", Log: program, Fatal: func(err error) { t.Error("fatal:", err) },
	}
	if s.log, err = audit.Open(ctx, s.audit); err != nil {
		t.Fatal(err)
	}
	opened := s.log
	t.Cleanup(func() {
		if s.log == opened { // the test has not closed it
			opened.Close(context.WithoutCancel(ctx))
		}
	})
	s.users = auth.NewStore(s.db, s.log)
	for _, role := range auth.Roles() {
		if s.links[role], err = s.users.Add(ctx, auth.Shell("test"), auth.User{Login: login(role), Name: personName(role), Roles: []auth.Role{role}, Ends: time.Now().Add(24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if s.people[role], err = s.users.ByLogin(ctx, login(role)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = register.NewStore(s.db, s.log).Apply(ctx, auth.Shell("test"), &register.State{
		Providers: []register.Provider{{ID: "demo", Kind: register.KindDemo, Region: register.RegionLocal, Operator: "Leitplanke"}},
		Models:    []register.Model{{ID: "demo", Provider: "demo", Upstream: "demo"}},
		Systems: []register.System{
			{ID: "KI-2026-001", Name: "Briefassistent", Purpose: "Briefe zusammenfassen", Models: []string{"demo"}, Mask: []string{"PERSON", "IBAN", "EMAIL", "PHONE"}},
			{ID: "KI-2026-002", Name: "Recherche", Purpose: "Fragen beantworten", Models: []string{"demo"}},
		},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	if s.release, err = release.NewHolder(ctx, s.db, s.log, program); err != nil {
		t.Fatal(err)
	}
	if s.engine, err = guard.New(guard.Limits{}, append(pii.Detectors(), secret.Detectors()...)...); err != nil {
		t.Fatal(err)
	}
	s.demo = provider.NewDemo(time.Now)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s.config = Config{
		Log: s.log, Users: s.users, Release: s.release, Org: "Alpenwerk Maschinenbau GmbH", Version: "0.1.0", Zone: zone, Now: time.Now, Program: program,
		DemoLinks: map[auth.Role]string{}, Demo: s.demo, Curl: curlLine,
	}
	for _, role := range auth.Roles() {
		s.config.DemoLinks[role] = "token-" + string(role)
	}
	s.mount()
	return s
}

// mount builds the handler from the configuration as it is now.
func (s *site) mount() {
	s.t.Helper()
	var err error
	if s.handler, err = NewHandler(s.config); err != nil {
		s.t.Fatal(err)
	}
}

// call makes a call as the gateway does: the opening, the demo model, the closing. It returns the entry's id.
func (s *site) call(person, text, caseID string) string {
	s.t.Helper()
	r, outbound, tokens := s.opening(person, text, caseID)
	ctx := s.t.Context()
	reply, err := s.demo.Complete(ctx, provider.Call{ID: r.ID(), Body: outbound, Model: "demo"})
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := openai.DecodeAnswer(reply.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, notes, err := tokens.Restore(a.Raw, a.Parts)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf := bundle.Leaf{
		Type: bundle.CallClose, Ref: &r.N, Kind: "user", System: "KI-2026-001", Class: "standard", Policy: "builtin/1", Model: "demo", Provider: "demo", Code: "complete",
		TokensIn: uint64(a.Usage.Input), TokensOut: uint64(a.Usage.Output), Coverage: []bundle.Ran{{Detector: "restore", Ran: uint64(notes.Restored), Skipped: uint64(notes.Unknown)}},
	}
	content := []audit.Content{
		{Name: bundle.FieldResponse, Value: answer, Commit: true},
		{Name: record.FieldDetail, Value: record.Bytes(record.Detail{At: time.Now().UnixMicro(), Steps: []record.Step{{Name: "open", Took: 900}, {Name: "forward", Took: 1500}, {Name: "restore", Took: 40}}, Notes: &notes, Status: 200})},
	}
	if string(answer) != string(reply.Body) {
		content = append(content, audit.Content{Name: record.FieldUpstream, Value: reply.Body})
	}
	if _, err := s.log.Append(ctx, audit.Record{Leaf: leaf, Content: content}); err != nil {
		s.t.Fatal(err)
	}
	return r.ID()
}

// opening writes an opening and returns what may leave.
func (s *site) opening(person, text, caseID string) (audit.Receipt, []byte, *guard.Tokens) {
	s.t.Helper()
	leaf, content, outbound, tokens := s.judge(person, text, caseID)
	leaf.Type, leaf.Epoch = bundle.CallOpen, s.epoch()
	content = append(content, audit.Content{Name: bundle.FieldOutbound, Value: outbound, Commit: true})
	r, err := s.log.Append(s.t.Context(), audit.Record{Leaf: leaf, Content: content})
	if err != nil {
		s.t.Fatal(err)
	}
	return r, outbound, tokens
}

// refuse writes a refusal.
func (s *site) refuse(person, text, code string) string {
	s.t.Helper()
	leaf, content, _, _ := s.judge(person, text, "")
	leaf.Type, leaf.Epoch, leaf.Verdict, leaf.Code, leaf.Rules = bundle.CallRefuse, s.epoch(), "block", code, []string{"guards-ran"}
	leaf.Model, leaf.Provider = "", ""
	r, err := s.log.Append(s.t.Context(), audit.Record{Leaf: leaf, Content: content})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.ID()
}

func (s *site) judge(person, text, caseID string) (bundle.Leaf, []audit.Content, []byte, *guard.Tokens) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"model": "demo", "messages": []any{map[string]string{"role": "system", "content": "Fassen Sie zusammen."}, map[string]string{"role": "user", "content": text}}})
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := openai.DecodeChat(body)
	if err != nil {
		s.t.Fatal(err)
	}
	report := s.engine.Inspect(s.t.Context(), req.Parts)
	outbound, tokens, err := guard.Redact(req.Raw, req.Parts, report.Findings, []string{"PERSON", "IBAN", "EMAIL", "PHONE"})
	if err != nil {
		s.t.Fatal(err)
	}
	leaf := bundle.Leaf{Kind: "user", System: "KI-2026-001", Class: "standard", Policy: "builtin/1", Model: "demo", Provider: "demo", Verdict: "allow"}
	counts, ran := map[string]uint64{}, map[string]uint64{}
	d := record.Detail{At: time.Now().UnixMicro(), Findings: report.Findings, Tokens: tokens, Steps: []record.Step{
		{Name: "admit", Took: 10}, {Name: "decode", Took: 20}, {Name: "route", Took: 5}, {Name: "inspect", Took: 700}, {Name: "decide", Took: 4}, {Name: "enforce", Took: 30},
	}}
	for _, list := range report.Findings {
		for _, f := range list {
			counts[f.Type]++
		}
	}
	for _, c := range report.Coverage {
		ran[c.Detector]++
	}
	for _, p := range req.Parts {
		d.Parts = append(d.Parts, p.Name)
	}
	for _, t := range findingTypes() {
		if counts[t] > 0 {
			leaf.Findings = append(leaf.Findings, bundle.Count{Type: t, N: counts[t]})
			leaf.Verdict, leaf.Rules = "redact", []string{"personal-data-masked"}
		}
	}
	for _, c := range report.Coverage {
		if ran[c.Detector] > 0 {
			leaf.Coverage = append(leaf.Coverage, bundle.Ran{Detector: c.Detector, Ran: ran[c.Detector]})
			ran[c.Detector] = 0
		}
	}
	meta := record.Meta{Access: "zugang-1", Person: person, Case: caseID}
	if caseID != "" {
		meta.Activity = "auslesen"
	}
	return leaf, []audit.Content{
		{Name: bundle.FieldRequest, Value: body, Commit: true},
		{Name: bundle.FieldMeta, Value: record.Bytes(meta), Commit: true},
		{Name: record.FieldDetail, Value: record.Bytes(d)},
	}, outbound, tokens
}

// epoch is the newest rules.
func (s *site) epoch() uint64 {
	s.t.Helper()
	n, err := s.log.RefreshEpoch(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// index brings search index and checkpoint up to date.
func (s *site) index() {
	s.t.Helper()
	if err := errors.Join(s.log.Index(s.t.Context()), s.log.Checkpoint(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
}

// session begins a session of a role's account; the empty role is nobody.
func (s *site) session(role auth.Role) string {
	s.t.Helper()
	if role == "" {
		return ""
	}
	token, err := s.users.Begin(s.t.Context(), s.people[role])
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

// all is everything of an answer that a browser gets to know.
func (a answer) all() string {
	var b strings.Builder
	if err := a.Header.Write(&b); err != nil {
		b.WriteString(err.Error())
	}
	return b.String() + a.body
}

// ask sends a request; session may be empty, form nil.
func (s *site) ask(method, target, session string, form url.Values, header ...string) answer {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if session != "" {
		r.AddCookie(&http.Cookie{Name: cookieSession, Value: session})
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "RemoteAddr" {
			r.RemoteAddr = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	res := w.Result()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(b)}
}

// cookie is the value of a cookie that an answer sets.
func (a answer) cookie(name string) string {
	for _, c := range a.Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.StatusCode, a.Header.Get("Location")) }
