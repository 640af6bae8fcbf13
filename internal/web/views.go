package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
)

//go:embed all:templates
var ownTemplates embed.FS

// Views holds every page's template in every language, parsed once at start.
type Views struct {
	Cookies
	cfg    Config
	assets *Assets
	sets   map[lang.Lang]map[string]*template.Template
}

// NewViews parses the toolkit's templates and those of pages, whose files (NAME.html, and parts in _*.html) lie at the
// root of files.
func NewViews(cfg Config, files fs.FS, pages []Page) (*Views, error) {
	assets, err := NewAssets()
	if err != nil {
		return nil, err
	}
	symbols, err := icons()
	if err != nil {
		return nil, err
	}
	v := &Views{Cookies: Cookies{Secure: cfg.Secure}, cfg: cfg, assets: assets, sets: map[lang.Lang]map[string]*template.Template{}}
	for _, l := range lang.All() {
		base := template.New("").Funcs(funcs(lang.Locale{Lang: l, Zone: cfg.Zone}, assets, symbols)).Option("missingkey=error")
		if base, err = base.ParseFS(ownTemplates, "templates/_*.html"); err != nil {
			return nil, err
		}
		v.sets[l] = map[string]*template.Template{}
		if err := v.add(l, base, ownTemplates, "templates/", &ErrorPage{}); err != nil {
			return nil, err
		}
		if parts, err := fs.Glob(files, "_*.html"); err != nil {
			return nil, err
		} else if len(parts) > 0 {
			if base, err = base.ParseFS(files, parts...); err != nil {
				return nil, err
			}
		}
		for _, p := range pages {
			if err := v.add(l, base, files, "", p); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (v *Views) add(l lang.Lang, base *template.Template, files fs.FS, dir string, p Page) error {
	t, err := base.Clone()
	if err != nil {
		return err
	}
	name := p.Template()
	if t, err = t.ParseFS(files, dir+name+".html"); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	v.sets[l][name] = t.Lookup(name + ".html")
	return nil
}

// Lookup returns a page's template, for tests that check it against its struct.
func (v *Views) Lookup(l lang.Lang, name string) *template.Template { return v.sets[l][name] }

// Assets returns the static files; mount them at "GET " + [StaticPath].
func (v *Views) Assets() http.Handler { return v.assets }

// Render writes a page. The page is complete in memory before its first byte leaves: a mistake in a template becomes
// an error of its own, never half a page.
func (v *Views) Render(w http.ResponseWriter, status int, p Page) error {
	body, err := v.Bytes(p)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(p.Base().Prefs.Lang))
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have left; nobody could be told
	return nil
}

// Bytes returns a page as HTML.
func (v *Views) Bytes(p Page) ([]byte, error) {
	t := v.sets[p.Base().Prefs.Lang][p.Template()]
	if t == nil {
		return nil, fmt.Errorf("no template %q in language %q", p.Template(), p.Base().Prefs.Lang)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("page %s: %w", p.Template(), err)
	}
	return b.Bytes(), nil
}

// Handler answers a request or returns why it could not. It must not have written anything when it returns an error.
type Handler func(http.ResponseWriter, *http.Request) error

// Handle makes a handler whose errors and panics become error pages. frame returns the frame of an error page.
func (v *Views) Handle(frame func(*http.Request) Frame, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(cause)
				}
				v.cfg.Log.Error("panic in a page", "page", r.Pattern, "stack", string(debug.Stack()))
				v.Fail(w, r, frame(r), fmt.Errorf("panic: %v", cause))
			}
		}()
		if err := h(w, r); err != nil {
			v.Fail(w, r, frame(r), err)
		}
	})
}

// Fail answers with the error page of err. What we could not foresee is logged under an id that the page shows.
func (v *Views) Fail(w http.ResponseWriter, r *http.Request, f Frame, err error) {
	p := problem.Of(err)
	page := &ErrorPage{Frame: f, Kind: p.Kind.String(), Words: Words(v.Locale(f.Prefs), p)}
	if p.Kind == problem.KindInternal || p.Kind == problem.KindUnavailable {
		page.ID = rand.Text()[:10]
		v.cfg.Log.Error("page failed", "id", page.ID, "method", r.Method, "page", r.Pattern, "error", p.Error())
	}
	if err := v.Render(w, Status(p.Kind), page); err != nil {
		v.cfg.Log.Error("error page failed", "error", err.Error())
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}
