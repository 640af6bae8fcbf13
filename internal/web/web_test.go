package web

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
)

func get(t *testing.T, h http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStaticFiles(t *testing.T) {
	a, err := NewAssets()
	if err != nil {
		t.Fatal(err)
	}
	css, err := a.URL("app.css")
	if err != nil {
		t.Fatal(err)
	}
	plain := get(t, a, css)
	text := body(t, plain)
	if plain.StatusCode != 200 || !strings.Contains(plain.Header.Get("Cache-Control"), "immutable") || plain.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style sheet: %s %v", plain.Status, plain.Header)
	}
	zipped := get(t, a, css, "Accept-Encoding", "br, gzip;q=0.8")
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || string(b) != text {
		t.Errorf("gzip: differs (%v)", err)
	}
	if r := get(t, a, css, "Accept-Encoding", "gzip;q=0"); r.Header.Get("Content-Encoding") != "" {
		t.Error("gzip was refused and came")
	}
	if r := get(t, a, css, "If-None-Match", plain.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("ETag: %s", r.Status)
	}
	for _, gone := range []string{"/static/000000000000/app.css", "/static/", strings.Replace(css, "app.css", "../web.go", 1), strings.Replace(css, "app.css", "nothing.css", 1)} {
		if r := get(t, a, gone); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", gone, r.Status)
		}
	}
	if _, err := a.URL("nothing.css"); err == nil {
		t.Error("an unknown file has an address")
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, css, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}

	// everything that the style sheet names is there, and its licence beside it
	n := 0
	for _, m := range regexp.MustCompile(`url\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		n++
		if r := get(t, a, strings.Replace(css, "app.css", m[1], 1)); r.StatusCode != 200 || r.Header.Get("Content-Type") != "font/woff2" {
			t.Errorf("%s: %s", m[1], r.Status)
		}
	}
	if n == 0 {
		t.Error("the style sheet names no font")
	}
	if r := get(t, a, strings.Replace(css, "app.css", "fonts/OFL.txt", 1)); r.StatusCode != 200 {
		t.Error("the licence of the fonts is not served")
	}
	if len(text) >= 40<<10 {
		t.Errorf("the style sheet has %d bytes", len(text))
	}
	if regexp.MustCompile(`url\(["']?(?:data|http|//)|@import`).MatchString(text) {
		t.Error("the style sheet names something outside")
	}
}

func TestHeaders(t *testing.T) {
	h := Headers(true, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	got := get(t, h, "/").Header
	for name, want := range map[string]string{
		"Content-Security-Policy":   "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":    "nosniff",
		"Referrer-Policy":           "same-origin",
		"Strict-Transport-Security": "max-age=31536000",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q", name, got.Get(name))
		}
	}
	if get(t, Headers(false, h), "/").Header.Get("Strict-Transport-Security") == "" {
		t.Error("inner header lost")
	}
}

func TestSameOrigin(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	h := SameOrigin(ok, refuse)
	for _, c := range []struct {
		method, site string
		want         int
	}{
		{http.MethodPost, "cross-site", 403},
		{http.MethodPost, "same-site", 403},
		{http.MethodPost, "same-origin", 204},
		{http.MethodPost, "none", 204},
		{http.MethodGet, "cross-site", 204},
		{http.MethodPost, "", 204},
	} {
		r := httptest.NewRequest(c.method, "/x", nil)
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s from %q: %d", c.method, c.site, w.Code)
		}
	}
}

func TestPrefs(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := Cookies{Secure: secure}
		form := url.Values{"lang": {"en"}, "theme": {"dark"}, "dense": {"1"}, "back": {"/nachweise?q=3"}}
		r := httptest.NewRequest(http.MethodPost, PrefsPath, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		c.SetPrefs(w, r)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/nachweise?q=3" {
			t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
		}
		next := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, k := range w.Result().Cookies() {
			if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Secure != secure || strings.HasPrefix(k.Name, "__Host-") != secure {
				t.Errorf("cookie %v", k)
			}
			next.AddCookie(k)
		}
		if got := c.Prefs(next, Prefs{Lang: lang.German, Theme: "light"}); got != (Prefs{Lang: lang.English, Theme: "dark", Dense: true}) {
			t.Errorf("cookie: %+v", got)
		}
		plain := httptest.NewRequest(http.MethodGet, "/", nil)
		plain.Header.Set("Accept-Language", "en-GB")
		if got := c.Prefs(plain, Prefs{Lang: lang.German, Theme: "dark"}); got != (Prefs{Lang: lang.German, Theme: "dark"}) {
			t.Errorf("profile: %+v", got)
		}
		if got := c.Prefs(plain, Prefs{}); got.Lang != lang.English {
			t.Errorf("browser: %+v", got)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for p, want := range map[string]string{
		"/nachweise?q=1": "/nachweise?q=1", "": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/",
		"nachweise": "/", "/a\\b": "/", "/a\nb": "/", "/\t/evil.example": "/", "javascript:alert(1)": "/",
	} {
		if got := LocalPath(p, "/"); got != want {
			t.Errorf("LocalPath(%q) = %q", p, got)
		}
	}
}

func TestToast(t *testing.T) {
	c, l := Cookies{}, lang.Locale{Lang: lang.German, Zone: time.UTC}
	w := httptest.NewRecorder()
	c.SetToast(w, "toast.signed_in", "name", "Lukas <b>")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(w.Result().Cookies()[0])
	after := httptest.NewRecorder()
	if got := c.TakeToast(after, r, l); got != "Angemeldet als Lukas <b>." {
		t.Errorf("toast: %q", got)
	}
	if k := after.Result().Cookies(); len(k) != 1 || k[0].MaxAge >= 0 {
		t.Errorf("the toast stays: %v", k)
	}
	for _, key := range []string{"problem.internal", "toast.unknown", "x"} {
		w := httptest.NewRecorder()
		c.SetToast(w, key)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		if got := c.TakeToast(httptest.NewRecorder(), r, l); got != "" {
			t.Errorf("%s: %q", key, got)
		}
	}
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "lp_toast", Value: "%%%"})
	if got := c.TakeToast(httptest.NewRecorder(), r, l); got != "" {
		t.Errorf("broken cookie: %q", got)
	}
}

// brokenPage fails in the middle of its template.
type brokenPage struct{ Frame }

func (*brokenPage) Template() string { return "broken" }

func (*brokenPage) Break() (string, error) { return "", errors.New("secret detail") }

func TestErrorsBecomePages(t *testing.T) {
	var log strings.Builder
	files := fstest.MapFS{"broken.html": {Data: []byte(`{{template "bare" .}}{{define "title"}}x{{end}}{{define "main"}}half a page {{.Break}}{{end}}`)}}
	v, err := NewViews(Config{Zone: time.UTC, Log: slog.New(slog.NewTextHandler(&log, nil))}, files, []Page{&brokenPage{}})
	if err != nil {
		t.Fatal(err)
	}
	frame := func(*http.Request) Frame { return Frame{Prefs: Prefs{Lang: lang.English}, Home: "/"} }
	cases := []struct {
		name   string
		h      Handler
		status int
		shows  string
		logs   string
	}{
		{"problem", func(http.ResponseWriter, *http.Request) error {
			return problem.NotFound(problem.EntryNotFound, "id", "1-7", "newest", 3).Because(errors.New("secret detail"))
		}, 404, "There is no entry 1-7.", ""},
		{"forbidden", func(http.ResponseWriter, *http.Request) error { return problem.Forbidden(problem.RoleForbidden) }, 403, "Your role may not do this.", ""},
		{"wrapped", func(http.ResponseWriter, *http.Request) error {
			return fmt.Errorf("outer: %w", problem.Unavailable(problem.LogRefuses))
		}, 503, "The log takes no entries", "page failed"},
		{"foreign", func(http.ResponseWriter, *http.Request) error { return errors.New("secret detail") }, 500, "Something went wrong", "secret detail"},
		{"panic", func(http.ResponseWriter, *http.Request) error { panic("secret detail") }, 500, "Something went wrong", "panic"},
		{"template", func(w http.ResponseWriter, _ *http.Request) error {
			return v.Render(w, 200, &brokenPage{Frame: frame(nil)})
		}, 500, "Something went wrong", "secret detail"},
	}
	for _, c := range cases {
		log.Reset()
		r := get(t, v.Handle(frame, c.h), "/x")
		text := body(t, r)
		if r.StatusCode != c.status || !strings.Contains(text, c.shows) {
			t.Errorf("%s: %s, %.300s", c.name, r.Status, text)
		}
		if strings.Contains(text, "secret detail") || strings.Contains(text, "half a page") {
			t.Errorf("%s: the page shows too much", c.name)
		}
		if c.logs == "" && log.Len() > 0 || !strings.Contains(log.String(), c.logs) {
			t.Errorf("%s: log %q", c.name, log.String())
		}
		if id := regexp.MustCompile(`id=([A-Z2-7]{10})`).FindStringSubmatch(log.String()); c.logs != "" && (id == nil || !strings.Contains(text, id[1])) {
			t.Errorf("%s: the id on the page is not that in the log", c.name)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", c.name)
		}
	}
}

func TestStatus(t *testing.T) {
	seen := 0
	for k := problem.KindInternal; k == problem.KindInternal || k.String() != problem.KindInternal.String(); k++ {
		if s := Status(k); s < 400 || (s == 500) != (k == problem.KindInternal) {
			t.Errorf("%s: %d", k, s)
		}
		if !lang.Has("web.error.title." + k.String()) {
			t.Errorf("no heading for %s", k)
		}
		seen++
	}
	if seen < 11 {
		t.Error("kinds are missing")
	}
}

func TestShortHash(t *testing.T) {
	if got := ShortHash("4be109a7" + strings.Repeat("0", 48) + "77c2e01d"); got != "4be1 09a7 … 77c2 e01d" {
		t.Errorf("%q", got)
	}
	if got := ShortHash("4be109"); got != "4be1 09" {
		t.Errorf("%q", got)
	}
}
