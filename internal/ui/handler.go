package ui

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/provider"
	"github.com/leitplanke/leitplanke/internal/release"
	"github.com/leitplanke/leitplanke/internal/web"
)

// Config is what the pages are filled from.
type Config struct {
	Log     *audit.Log
	Users   *auth.Store
	Release *release.Holder

	Org     string         // the firm
	Contact string         // whom people may ask, shown in public; may be empty
	Version string         // of the program
	Zone    *time.Location // of all times that people read
	Secure  bool           // the site is reached by HTTPS

	Now     func() time.Time
	Program *slog.Logger
	Health  func() LogHealth // the last full check of the log, with Newest as the newest entry that it read; nil: none is known

	// Of the demo. Without DemoLinks there is no way in but a password.
	DemoLinks map[auth.Role]string // secret token of each role's sign-in link
	Demo      *provider.Demo       // the built-in model, which keeps what it received
	Curl      string               // a line that makes a first call, shown while there is none
}

// UI serves the pages. It is safe for concurrent use.
type UI struct {
	c     Config
	views *web.Views
}

// NewHandler returns the handler of all pages, with security headers and the guard against cross-site requests. Whoever
// mounts it at "/" checks the Host header before and sets RemoteAddr to the client's address.
func NewHandler(c Config) (http.Handler, error) {
	switch {
	case c.Log == nil || c.Users == nil || c.Release == nil:
		return nil, errors.New("ui: log, users and release are required")
	case c.Now == nil || c.Program == nil || c.Zone == nil:
		return nil, errors.New("ui: clock, program log and time zone are required")
	}
	views, err := New(web.Config{Zone: c.Zone, Secure: c.Secure, Log: c.Program})
	if err != nil {
		return nil, err
	}
	u := &UI{c: c, views: views}
	mux := http.NewServeMux()
	for _, rt := range Routes() {
		if rt.Class == Demo && len(c.DemoLinks) == 0 {
			continue
		}
		mux.Handle(rt.Method+" "+rt.Pattern, u.serve(rt))
	}
	mux.Handle("GET "+web.StaticPath, views.Assets())
	mux.Handle("/", u.serve(Route{Class: Public, handle: (*UI).nothing}))
	refuse := u.serve(Route{Class: Public, handle: (*UI).crossSite})
	return web.Headers(c.Secure, web.SameOrigin(mux, refuse)), nil
}

// Class is how a route knows who asks.
type Class string

// The classes of authentication.
const (
	Public  Class = "public"  // anybody
	Session Class = "session" // whoever is signed in and has one of the route's roles
	Demo    Class = "demo"    // whoever has the secret link of a role; mounted in a demo only
)

// Route is one page or action.
type Route struct {
	Method, Pattern string
	Class           Class
	Roles           []auth.Role // of class Session: who may; nobody else

	// who is signed in; nil except on routes of class Session.
	handle func(u *UI, w http.ResponseWriter, r *http.Request, who *auth.User) error
}

// Routes is the one table of everything that the pages serve, static files apart. Reading the openly recorded part of
// entries and checking it is for every role: what protects people is the rule about content, see openOwn.
func Routes() []Route {
	all := auth.Roles()
	return []Route{
		{"GET", "/{$}", Public, nil, (*UI).home},
		{"GET", PathTransparency, Public, nil, (*UI).transparency},
		{"POST", web.PrefsPath, Public, nil, (*UI).prefs},
		{"GET", PathSignIn, Public, nil, (*UI).signIn},
		{"POST", PathSignIn, Public, nil, (*UI).doSignIn},
		{"POST", PathSignOut, Public, nil, (*UI).doSignOut},
		{"GET", PathSetup + "{token}", Public, nil, (*UI).setup},
		{"POST", PathSetup + "{token}", Public, nil, (*UI).doSetup},
		{"GET", PathDemo + "{token}", Demo, nil, (*UI).demoSignIn},
		{"POST", PathDemo + "{token}", Demo, nil, (*UI).doDemoSignIn},
		{"GET", PathEvidence, Session, all, (*UI).list},
		{"GET", PathEvidence + "/{id}", Session, all, (*UI).entry},
		{"POST", PathEvidence + "/{id}/pruefen", Session, all, (*UI).verify},
	}
}

// serve admits whoever may use the route and turns errors into pages.
func (u *UI) serve(rt Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who *auth.User
		frame := func(r *http.Request) web.Frame { return u.frame(r, who, r.URL.RequestURI()) }
		u.views.Handle(frame, func(w http.ResponseWriter, r *http.Request) error {
			if rt.Class != Session {
				return rt.handle(u, w, r, nil)
			}
			var err error
			if who, err = u.session(r); err != nil {
				return err
			}
			if who == nil {
				return u.toSignIn(w, r)
			}
			if !who.Actor().Has(rt.Roles...) {
				return problem.Forbidden(problem.RoleForbidden)
			}
			return rt.handle(u, w, r, who)
		}).ServeHTTP(w, r)
	})
}

// toSignIn leads a reader to the sign-in and back. An action is not repeated by itself: it says that the session ended.
func (u *UI) toSignIn(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return problem.Unauthenticated("session_ended")
	}
	http.Redirect(w, r, PathSignIn+"?"+url.Values{paramNext: {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	return nil
}

func (u *UI) home(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	http.Redirect(w, r, PathEvidence, http.StatusSeeOther)
	return nil
}

func (u *UI) prefs(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	u.views.SetPrefs(w, r)
	return nil
}

func (u *UI) nothing(http.ResponseWriter, *http.Request, *auth.User) error {
	return problem.NotFound(problem.PageNotFound)
}

func (u *UI) crossSite(http.ResponseWriter, *http.Request, *auth.User) error {
	return problem.Forbidden(problem.CrossSite)
}

// frame is what stands around a page. path is where a change of language comes back to.
func (u *UI) frame(r *http.Request, who *auth.User, path string) web.Frame {
	p := u.views.Prefs(r, web.Prefs{})
	l := u.views.Locale(p)
	s := Site{Org: u.c.Org, Version: u.c.Version, Demo: u.demo(), Log: u.health()}
	if who == nil {
		return s.Frame(l, p, path, nil)
	}
	if u.demo() {
		s.Others = u.others(r, l, who)
	}
	v := &Viewer{Name: who.Name}
	for _, role := range who.Roles {
		v.Roles = append(v.Roles, string(role))
	}
	return s.Frame(l, p, path, v)
}

func (u *UI) demo() bool { return len(u.c.DemoLinks) > 0 }

// health is the state of the log: what it says itself now, and what the last full check said.
func (u *UI) health() LogHealth {
	var h LogHealth
	if u.c.Health != nil {
		h = u.c.Health()
	}
	h.Checked = h.Newest
	h.Entries = u.c.Log.Size()
	h.Newest = max(h.Entries, 1) - 1
	h.Refuses = u.c.Log.Refused() != ""
	if at := u.c.Log.SignedAt(); at.UnixMicro() > 0 {
		h.Checkpoint = at
	}
	return h
}

// show writes a page, with the message that the last one left.
func (u *UI) show(w http.ResponseWriter, r *http.Request, status int, page web.Page) error {
	f := page.Base()
	if f.Toast == "" {
		f.Toast = u.views.TakeToast(w, r, u.views.Locale(f.Prefs))
	}
	return u.views.Render(w, status, page)
}

const maxForm = 16 << 10 // bytes of a form

// readForm parses the body of a POST.
func readForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.TooLarge(problem.BodyTooLarge, "limit", lang.Bytes(maxForm))
	}
	if err != nil {
		return problem.Invalid(inputUnreadable).Because(fmt.Errorf("form: %w", err))
	}
	return nil
}

// inputUnreadable is the key of the sentence for an address or a form that cannot be read.
const inputUnreadable = "input_unreadable"

// contacts are the people who answer for a role, for a page that says whom to ask.
func (u *UI) contacts(r *http.Request, roles ...auth.Role) ([]Contact, error) {
	users, err := u.c.Users.List(r.Context())
	if err != nil {
		return nil, err
	}
	var out []Contact
	for _, role := range roles {
		found := false
		for _, x := range users {
			if slices.Contains(x.Roles, role) && (x.Ends.IsZero() || u.c.Now().Before(x.Ends)) {
				out, found = append(out, Contact{Name: x.Name, Role: string(role)}), true
			}
		}
		if !found {
			out = append(out, Contact{Role: string(role)})
		}
	}
	return out, nil
}
