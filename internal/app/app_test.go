package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/record"
)

const letter = "Bitte zusammenfassen: Sehr geehrte Frau Dr. Katharina Brenner, bitte überweisen Sie 1.190,00 € auf DE02 1005 0000 0024 2906 61. " +
	"Rückfragen unter +49 861 555 01 24 oder k.brenner@hydraulik-brenner.example.\nMit freundlichen Grüßen\nMax Mustermann"

var personal = []string{"Brenner", "DE02 1005 0000 0024 2906 61", "+49 861 555 01 24", "hydraulik-brenner", "Mustermann"}

// house is an open demo installation with its server in front.
type house struct {
	*App
	key     string
	url     string
	program *bytes.Buffer
}

func openHouse(t testing.TB, change func(*Options)) *house {
	t.Helper()
	conf, err := MakeDemo(t.TempDir(), "127.0.0.1:8088")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{program: new(bytes.Buffer)}
	o := Options{Config: conf, Demo: true, Program: h.program, Fatal: func(err error) { t.Error("fatal:", err) }}
	if change != nil {
		change(&o)
	}
	if h.App, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil && h.Log.Refused() == "" {
			t.Error(err)
		}
	})
	if _, h.key, err = h.FillDemo(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", h.Gateway.Chat)
	mux.HandleFunc("GET /v1/models", h.Gateway.Models)
	mux.HandleFunc("/v1/", h.Gateway.NotFound)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (h *house) post(t testing.TB, key, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

func chatBody(model, text string) string {
	b, err := json.Marshal(map[string]any{"model": model, "messages": []any{map[string]string{"role": "user", "content": text}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (h *house) verify(t testing.TB) *bundle.Report {
	t.Helper()
	rep, err := h.Log.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !rep.OK {
		t.Fatalf("the log does not verify: %+v", *rep.FirstBad)
	}
	return rep
}

func (h *house) size(t testing.TB) uint64 {
	t.Helper()
	if _, err := h.Log.RefreshEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.Log.Size()
}

// refusal reads an error in the dialect's envelope.
func refusal(t testing.TB, a answer) (code, kind, param, message string) {
	t.Helper()
	var e struct {
		Error struct{ Message, Type, Param, Code string }
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return e.Error.Code, e.Error.Type, e.Error.Param, e.Error.Message
}

func TestOneCall(t *testing.T) {
	h := openHouse(t, nil)
	for _, model := range []string{"demo", "demo-echo", "demo-tool"} {
		a := h.post(t, h.key, chatBody(model, letter))
		if a.status != 200 || a.header.Get("X-Leitplanke-Verdict") != "redact" {
			t.Fatalf("%s: %d %s", model, a.status, a.body)
		}
		id := a.header.Get("X-Leitplanke-Call")
		got, ok := h.Demo.Received(id)
		if !ok {
			t.Fatalf("the demo model has no record of %s", id)
		}
		for _, p := range personal {
			if bytes.Contains(got.Body, []byte(p)) {
				t.Errorf("%s: %q left the house: %s", model, p, got.Body)
			}
			if model == "demo-echo" && !strings.Contains(content(t, a.body), p) {
				t.Errorf("%s: %q did not come back: %s", model, p, a.body)
			}
		}
		if !bytes.Contains(got.Body, []byte("1.190,00 €")) {
			t.Errorf("the amount was masked: %s", got.Body)
		}
		if model == "demo-echo" && content(t, a.body) != letter {
			t.Errorf("the echo is not the original: %q", content(t, a.body))
		}
		log, n, err := bundle.ParseCallID(id)
		if err != nil {
			t.Fatal(err)
		}
		part, err := h.Log.Unseal(t.Context(), log, n)
		if err != nil {
			t.Fatal(err)
		}
		meta, detail, err := record.Read(part)
		if err != nil || meta.Person != "clerk" || detail.Tokens.Len() == 0 || !bytes.Equal(part.Get(bundle.FieldOutbound), got.Body) {
			t.Errorf("sealed part: %+v %v", meta, err)
		}
		v, err := h.Log.Get(t.Context(), log, n)
		if err != nil || v.End == nil || *v.End != n+1 {
			t.Errorf("the call has no end: %+v %v", v, err)
		}
	}
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
}

func content(t testing.TB, body []byte) string {
	t.Helper()
	var a struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(body, &a); err != nil || len(a.Choices) != 1 {
		t.Fatalf("%s: %v", body, err)
	}
	return a.Choices[0].Message.Content
}

func TestRefusals(t *testing.T) {
	h := openHouse(t, nil)
	long := strings.Repeat("x", 33<<20)
	for _, c := range []struct {
		name, key, body string
		status          int
		code            string
		recorded        bool
	}{
		{"wrong key", "lp-wrong", chatBody("demo", "x"), 401, "invalid_api_key", false},
		{"unknown model", h.key, chatBody("gpt-9", "x"), 404, "model_not_found", true},
		{"broken JSON", h.key, `{"model":"demo",`, 400, "invalid_request", true},
		{"invalid UTF-8", h.key, "{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", 400, "invalid_request", true},
		{"duplicate keys", h.key, `{"model":"demo","model":"demo-echo","messages":[{"role":"user","content":"x"}]}`, 400, "invalid_request", true},
		{"no messages", h.key, `{"model":"demo"}`, 400, "invalid_request", true},
		{"stream", h.key, `{"model":"demo","stream":true,"messages":[{"role":"user","content":"x"}]}`, 400, "invalid_request", true},
		{"image", h.key, `{"model":"demo","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}`, 400, "part_not_inspectable", true},
		{"too large", h.key, long, 413, "body_too_large", true},
		{"upstream 429", h.key, chatBody("demo-429", "x"), 429, "rate_limit_exceeded", false},
		{"upstream cut", h.key, chatBody("demo-cut", "x"), 502, "upstream_unavailable", false},
	} {
		before := h.size(t)
		a := h.post(t, c.key, c.body)
		code, _, _, message := refusal(t, a)
		if a.status != c.status || code != c.code {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if c.recorded && (h.size(t) != before+1 || a.header.Get("X-Leitplanke-Call") == "" || a.header.Get("X-Should-Retry") != "false") {
			t.Errorf("%s: not recorded as one entry: %d entries more, %v", c.name, h.size(t)-before, a.header)
		}
		if c.recorded && (!strings.Contains(message, " / ") || !strings.Contains(message, "http://")) {
			t.Errorf("%s: the message is not in two languages with a link: %s", c.name, message)
		}
	}
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
}

func TestSecretsNeverLeave(t *testing.T) {
	h := openHouse(t, nil)
	const secret = "Zyl63!2026xQ"
	a := h.post(t, h.key, chatBody("demo-echo", "Portalzugang Passwort: "+secret+" und Frau Katharina Brenner"))
	got, _ := h.Demo.Received(a.header.Get("X-Leitplanke-Call"))
	if bytes.Contains(got.Body, []byte(secret)) || strings.Contains(content(t, a.body), secret) {
		t.Errorf("the secret left or came back: %s %s", got.Body, a.body)
	}
	if !strings.Contains(content(t, a.body), "[SECRET]") || !strings.Contains(content(t, a.body), "Brenner") {
		t.Errorf("answer %s", a.body)
	}
}

func TestModels(t *testing.T) {
	h := openHouse(t, nil)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/v1/models", nil)
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	for _, name := range []string{`"demo"`, `"gpt-4o-mini"`, `"standard"`} {
		if !bytes.Contains(b, []byte(name)) {
			t.Errorf("%s is missing: %s", name, b)
		}
	}
}

// TestEveryPlaceIsInspected: personal data leaves in no place of a body, whatever its shape.
func TestEveryPlaceIsInspected(t *testing.T) {
	h := openHouse(t, nil)
	ask := func(extra string) answer {
		return h.post(t, h.key, `{"model":"demo-echo","messages":[{"role":"user","content":"x"}],`+extra+`}`)
	}
	for _, extra := range []string{`"metadata":{"anna.m@example.de":{"DE02100500000024290661":1}}`, `"user":"anna.m@example.de"`, `"x":{"y":["DE02100500000024290661"]}`} {
		a := ask(extra)
		got, _ := h.Demo.Received(a.header.Get("X-Leitplanke-Call"))
		if a.status != 200 || bytes.Contains(got.Body, []byte("anna.m")) || bytes.Contains(got.Body, []byte("DE0210050")) || a.header.Get("X-Leitplanke-Verdict") != "redact" {
			t.Errorf("%s: %d, left the house: %s", extra, a.status, got.Body)
		}
	}
	for _, extra := range []string{`"metadata":{"cc":4111111111111111}`, `"metadata":{"t":86095742719}`} {
		before := h.received()
		a := ask(extra)
		if code, _, param, _ := refusal(t, a); code != "part_not_inspectable" || !strings.HasPrefix(param, "metadata.") || h.received() != before {
			t.Errorf("%s: %d %s", extra, a.status, a.body)
		}
	}
	if a := ask(`"seed":8314159265,"temperature":0.7,"max_tokens":100`); a.status != 200 {
		t.Errorf("protocol numbers: %s", a.body)
	}
	if a := h.post(t, h.key, chatBody("demo-echo", strings.Repeat("Ein langer Text ohne Personen. ", 60_000))); a.status != 200 {
		t.Errorf("1.8 MB of text: %.300s", a.body)
	}
	if a := h.post(t, h.key, chatBody("demo-echo", strings.Repeat("Ein langer Text ohne Personen. ", 300_000))); a.status != 413 {
		t.Errorf("9 MB in one part: %d %.300s", a.status, a.body)
	}
	h.verify(t)
}

// TestOwnHeaders: what our own headers get wrong is refused with an entry.
func TestOwnHeaders(t *testing.T) {
	h := openHouse(t, nil)
	for name, value := range map[string]string{"X-Leitplanke-Case": "%zz", "X-Leitplanke-Activity": strings.Repeat("x", 129), "X-Leitplanke-User": "jemand"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(chatBody("demo-echo", "x")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+h.key)
		req.Header.Set(name, value)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("X-Leitplanke-Call") == "" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
}

// TestExportImportsAgain: what export config writes is what import config reads, also for keys that were made on the shell.
func TestExportImportsAgain(t *testing.T) {
	h := openHouse(t, nil)
	if _, err := runAccessNew(t.Context(), h.App, ShellActor(), AccessArgs{ID: "zwei", System: demoSystem, Kind: "service"}); err != nil {
		t.Fatal(err)
	}
	text, err := runExport(t.Context(), h.App, ShellActor(), None{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := runImport(t.Context(), h.App, ShellActor(), ImportArgs{File: "x.yaml", Text: text.Text, Prune: true})
	if err != nil || len(got.Changes) != 0 {
		t.Errorf("%+v %v\n%s", got, err, text.Text)
	}
	if _, err := runAccessNew(t.Context(), h.App, ShellActor(), AccessArgs{ID: "bad id", System: demoSystem, Kind: "service"}); !IsBadInput(err) {
		t.Errorf("an odd id: %v", err)
	}
}
