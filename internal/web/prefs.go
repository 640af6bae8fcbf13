package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/leitplanke/leitplanke/internal/lang"
)

// Prefs is how one reader wants pages to look.
type Prefs struct {
	Lang  lang.Lang
	Theme string // "light", "dark", or "" for what the system says
	Dense bool   // narrow rows in tables
}

// Names of the cookies of this package. With HTTPS they carry the prefix __Host-.
const (
	cookieLang  = "lp_lang"
	cookieTheme = "lp_theme"
	cookieDense = "lp_dense"
	cookieToast = "lp_toast"
)

const aYear = 365 * 24 * 3600

// Cookies reads and writes cookies that only this site sends.
type Cookies struct{ Secure bool }

// Name returns the name under which a cookie travels.
func (c Cookies) Name(name string) string {
	if c.Secure {
		return "__Host-" + name
	}
	return name
}

// Get returns a cookie's value, or "".
func (c Cookies) Get(r *http.Request, name string) string {
	k, err := r.Cookie(c.Name(name))
	if err != nil {
		return ""
	}
	return k.Value
}

// Set writes a cookie. maxAge is in seconds; 0 lasts until the browser closes, a negative value deletes.
func (c Cookies) Set(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: c.Name(name), Value: value, Path: "/", MaxAge: maxAge,
		Secure: c.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// Prefs returns the reader's preferences: the cookie's, else the profile's, else what the browser asks for. profile may
// be empty.
func (c Cookies) Prefs(r *http.Request, profile Prefs) Prefs {
	p := profile
	if l, ok := lang.Parse(c.Get(r, cookieLang)); ok {
		p.Lang = l
	} else if p.Lang == "" {
		p.Lang = lang.Accept(r.Header.Get("Accept-Language"))
	}
	switch v := c.Get(r, cookieTheme); v {
	case "light", "dark":
		p.Theme = v
	case "auto":
		p.Theme = ""
	}
	switch c.Get(r, cookieDense) {
	case "1":
		p.Dense = true
	case "0":
		p.Dense = false
	}
	return p
}

// PrefsPath is where the forms for language and appearance go; mount [Cookies.SetPrefs] there for POST.
const PrefsPath = "/darstellung"

// SetPrefs stores what the form says (lang, theme, dense) and goes back to the page it came from (back).
func (c Cookies) SetPrefs(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if l, ok := lang.Parse(r.PostFormValue("lang")); ok {
		c.Set(w, cookieLang, string(l), aYear)
	}
	switch v := r.PostFormValue("theme"); v {
	case "light", "dark", "auto":
		c.Set(w, cookieTheme, v, aYear)
	}
	switch v := r.PostFormValue("dense"); v {
	case "0", "1":
		c.Set(w, cookieDense, v, aYear)
	}
	http.Redirect(w, r, LocalPath(r.PostFormValue("back"), "/"), http.StatusSeeOther)
}

// LocalPath returns p if it is a path on this site, else fallback. Browsers read "//host" and "/\host" as other sites.
func LocalPath(p, fallback string) string {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.HasPrefix(p, "/\\") {
		return fallback
	}
	for _, r := range p {
		if r < ' ' || r == 0x7f || r == '\\' {
			return fallback
		}
	}
	return p
}

// toast is what travels in the cookie: a key of the catalogue and its arguments, never free text from elsewhere.
type toast struct {
	Key  string   `json:"k"`
	Args []string `json:"a,omitempty"`
}

// SetToast leaves a message for the next page. key begins with "toast."; args are pairs of name and value.
func (c Cookies) SetToast(w http.ResponseWriter, key string, args ...string) {
	b, err := json.Marshal(toast{Key: key, Args: args})
	if err != nil { // strings always encode
		return
	}
	c.Set(w, cookieToast, base64.RawURLEncoding.EncodeToString(b), 60)
}

// TakeToast returns the message that the last page left, in the reader's language, and removes it.
func (c Cookies) TakeToast(w http.ResponseWriter, r *http.Request, l lang.Locale) string {
	v := c.Get(r, cookieToast)
	if v == "" {
		return ""
	}
	c.Set(w, cookieToast, "", -1)
	b, err := base64.RawURLEncoding.DecodeString(v)
	if err != nil {
		return ""
	}
	var m toast
	if json.Unmarshal(b, &m) != nil || !strings.HasPrefix(m.Key, "toast.") || !lang.Has(m.Key) {
		return ""
	}
	args := make([]any, len(m.Args))
	for i, a := range m.Args {
		args[i] = a
	}
	return l.T(m.Key, args...)
}
