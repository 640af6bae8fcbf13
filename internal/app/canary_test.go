package app

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/register"
)

// TestCanary sends unique markers as prompt, answer, key, header, case and cookie, and looks for them wherever they must
// never be (security.md section 6): program log, metrics, error bodies, leaves, database files, temporary files.
func TestCanary(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	markers := map[string]string{
		"prompt": "canaryprompt7391", "answer": "canaryanswer8402", "provider key": "canaryproviderkey5518", "header": "canaryheader2275",
		"case": "canarycase6640", "cookie": "canarycookie1193", "wrong key": "lp-canarywrongkey9021", "secret": "Zk4canarysecret77xQ",
	}
	h := openHouse(t, func(o *Options) { o.Config.Log = "debug" })
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("Cookie") != "" || strings.Contains(r.Header.Get("Authorization"), h.key) {
			t.Error("the caller's credentials reached the provider")
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Openai-Project") == "fail" {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"error":{"message":"Incorrect API key provided: `+markers["provider key"]+`","type":"invalid_request_error","code":"invalid_api_key"}}`)
			return
		}
		io.WriteString(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"`+markers["answer"]+`"}}]}`)
	}))
	defer up.Close()
	keyFile := filepath.Join(filepath.Dir(h.Config.File), "provider.key")
	if err := os.WriteFile(keyFile, []byte(markers["provider key"]), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := h.Register.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Providers = append(st.Providers, register.Provider{ID: "up", Kind: register.KindOpenAI, BaseURL: up.URL, Region: register.RegionLocal, Operator: "x", Key: "file:provider.key"})
	st.Models = append(st.Models, register.Model{ID: "up", Provider: "up", Upstream: "up"})
	st.Systems[0].Models = append(st.Systems[0].Models, "up")
	if _, err := h.Import(t.Context(), ShellActor(), st, false, false); err != nil {
		t.Fatal(err)
	}
	var errorBodies bytes.Buffer
	send := func(key, body string, header map[string]string) answer {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Cookie", "x="+markers["cookie"])
		req.Header.Set("X-Leitplanke-Case", markers["case"])
		for k, v := range header {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			errorBodies.Write(b)
			json.NewEncoder(&errorBodies).Encode(resp.Header)
		}
		return answer{resp.StatusCode, resp.Header, b}
	}
	text := markers["prompt"] + " Passwort: " + markers["secret"]
	if a := send(h.key, chatBody("up", text), nil); a.status != 200 || !bytes.Contains(a.body, []byte(markers["answer"])) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	send(h.key, chatBody("up", text), map[string]string{"Openai-Project": "fail"})
	send(h.key, chatBody("none", text), nil)
	send(h.key, `{"model":"up","messages":[{"role":"user","content":"`+markers["prompt"]+`}`, nil)
	send(h.key, chatBody("demo-cut", text), nil)
	send(h.key, chatBody("up", text), map[string]string{"X-Leitplanke-Activity": markers["header"] + "%zz"})
	send(markers["wrong key"], chatBody("up", text), nil)
	if err := h.Log.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	metrics := httptest.NewRecorder()
	h.metrics.handler().ServeHTTP(metrics, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	places := map[string][]byte{"program log": h.program.Bytes(), "metrics": metrics.Body.Bytes(), "error bodies": errorBodies.Bytes()}
	var leaves bytes.Buffer
	list, err := h.Log.Since(t.Context(), 1, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		leaves.Write(e.Leaf)
	}
	places["leaves"] = leaves.Bytes()
	for _, dir := range []string{h.Config.Data, os.Getenv("TMPDIR")} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				places[filepath.Base(path)], err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(places["leitplanke.db"])+len(places["leitplanke.db-wal"]) == 0 || len(places["error bodies"]) == 0 || len(places["metrics"]) == 0 || leaves.Len() == 0 {
		t.Fatal("a place was not looked at")
	}
	for what, marker := range markers {
		for place, b := range places {
			if bytes.Contains(b, []byte(marker)) {
				t.Errorf("the %s stands in %s", what, place)
			}
		}
	}
	if !bytes.Contains(places["metrics"], []byte(`code="model_not_found"`)) { // the search would find something
		t.Error("the metrics do not count refusals")
	}
}

// TestBadCallers: slow bodies, huge bodies, odd hosts, many parts; each gets a clear answer and nothing is lost.
func TestBadCallers(t *testing.T) {
	h := openHouse(t, func(o *Options) { o.Idle = 300 * time.Millisecond })
	pages := http.NotFoundHandler()
	srv := httptest.NewUnstartedServer(h.Handler(pages))
	srv.Config.ReadHeaderTimeout, srv.Config.MaxHeaderBytes = 300*time.Millisecond, headerBytes
	h.Config.PublicURL = "http://" + srv.Listener.Addr().String()
	srv.Config.Handler = h.Handler(pages)
	srv.Start()
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	raw := func(text string, after time.Duration) string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, text)
		time.Sleep(after)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, _ := io.ReadAll(c)
		return string(b)
	}
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + h.key + "\r\nConnection: close\r\n"
	if a := raw(head+"Content-Length: 1000\r\n\r\n{\"model\":", 500*time.Millisecond); !strings.Contains(a, "400") || !strings.Contains(a, "invalid_request") {
		t.Errorf("a body that does not arrive: %q", a)
	}
	if a := raw("POST /v1/chat/completions HTTP/1.1\r\nHost: "+addr+"\r\nX-Slow: ", 500*time.Millisecond); strings.Contains(a, "200") {
		t.Errorf("a header that does not arrive: %q", a)
	}
	for _, host := range []string{"evil.example", "127.0.0.1#@evil.example", "localhost:1"} {
		if a := raw("GET /healthz HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", 0); !strings.HasPrefix(a, "HTTP/1.1 400") {
			t.Errorf("host %s: %q", host, a)
		}
	}
	parts := make([]any, 10_000)
	for i := range parts {
		parts[i] = map[string]string{"type": "text", "text": "Teil mit Frau Katharina Brenner"}
	}
	many, _ := json.Marshal(map[string]any{"model": "demo-echo", "messages": []any{map[string]any{"role": "user", "content": parts}}})
	if a := h.post(t, h.key, string(many)); a.status != 200 {
		t.Errorf("10,000 parts: %d %.300s", a.status, a.body)
	}
	if a := h.post(t, h.key, `{"model":"demo-echo","messages":[{"role":"user","content":"x","zukunft":{"a":[1,2.50,null]}}],"neues_feld":{"b":"c"}}`); a.status != 200 {
		t.Errorf("unknown fields: %s", a.body)
	} else if got, _ := h.Demo.Received(a.header.Get("X-Leitplanke-Call")); !bytes.Contains(got.Body, []byte(`"zukunft":{"a":[1,2.50,null]}`)) || !bytes.Contains(got.Body, []byte(`"neues_feld":{"b":"c"}`)) {
		t.Errorf("unknown fields did not survive: %s", got.Body)
	}
	two, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/v1/chat/completions", strings.NewReader(chatBody("demo", "x")))
	two.Header.Set("Authorization", "Bearer "+h.key)
	two.Header.Set("X-Api-Key", "lp-other")
	resp, err := http.DefaultClient.Do(two)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("two different keys: %d", resp.StatusCode)
	}
	if rep := h.verify(t); rep.Open != 0 {
		t.Errorf("%d calls are open", rep.Open)
	}
}
