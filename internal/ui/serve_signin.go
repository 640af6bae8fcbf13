package ui

import (
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/web"
)

const (
	cookieSession = "lp_session"
	paramNext     = "next"
)

// session is who is signed in; nil where nobody is, or where the session has ended.
func (u *UI) session(r *http.Request) (*auth.User, error) {
	token := u.views.Get(r, cookieSession)
	if token == "" {
		return nil, nil
	}
	who, err := u.c.Users.Session(r.Context(), token)
	if err != nil && problem.Of(err).Kind == problem.KindUnauthenticated {
		return nil, nil
	}
	return who, err
}

// begin gives the browser its new session. One that it had before ends.
func (u *UI) begin(w http.ResponseWriter, r *http.Request, session string) error {
	if old := u.views.Get(r, cookieSession); old != "" {
		if err := u.c.Users.SignOut(r.Context(), old); err != nil {
			return err
		}
	}
	u.views.Set(w, cookieSession, session, 0)
	return nil
}

// next is where a sign-in leads: a path of this site.
func next(s string) string {
	if s = web.LocalPath(s, PathEvidence); s == "/" {
		return PathEvidence
	}
	return s
}

func (u *UI) signIn(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	who, err := u.session(r)
	if err != nil {
		return err
	}
	to := next(r.URL.Query().Get(paramNext))
	if who != nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return u.showSignIn(w, r, http.StatusOK, &SignInPage{Next: to})
}

func (u *UI) showSignIn(w http.ResponseWriter, r *http.Request, status int, p *SignInPage) error {
	p.Frame, p.Org = u.frame(r, nil, PathSignIn+"?"+url.Values{paramNext: {p.Next}}.Encode()), u.c.Org
	if u.demo() && onThisMachine(r) {
		users, err := u.c.Users.List(r.Context())
		if err != nil {
			return err
		}
		for _, x := range u.demoPeople(users) {
			p.Demo = append(p.Demo, DemoPerson{Name: x.user.Name, Role: string(x.role), Href: demoPath(x.token, p.Next)})
		}
	}
	return u.show(w, r, status, p)
}

// onThisMachine reports whether the client is on the machine that the demo runs on. Others need the link of a role.
func onThisMachine(r *http.Request) bool {
	ip := net.ParseIP(address(r))
	return ip != nil && ip.IsLoopback()
}

// address is the client's, without its port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (u *UI) doSignIn(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	page := &SignInPage{Login: r.PostForm.Get("login"), Next: next(r.PostForm.Get(paramNext))}
	if !plain(page.Login) {
		return problem.Invalid(inputUnreadable).With("login")
	}
	session, who, err := u.c.Users.SignIn(r.Context(), page.Login, r.PostForm.Get("password"), address(r))
	if err != nil {
		p := problem.Of(err)
		switch p.Kind {
		case problem.KindUnauthenticated, problem.KindForbidden:
		case problem.KindTooMany:
			w.Header().Set("Retry-After", retryAfter(p))
		default:
			return err
		}
		page.Words = web.Words(u.views.Locale(u.views.Prefs(r, web.Prefs{})), p)
		return u.showSignIn(w, r, web.Status(p.Kind), page)
	}
	if err := u.begin(w, r, session); err != nil {
		return err
	}
	u.views.SetToast(w, ToastSignedIn, "name", who.Name)
	http.Redirect(w, r, page.Next, http.StatusSeeOther)
	return nil
}

// retryAfter is the header's value for a problem that says how many seconds.
func retryAfter(p *problem.Error) string {
	for i := 0; i+1 < len(p.Args); i += 2 {
		if n, ok := p.Args[i+1].(int); ok && p.Args[i] == "seconds" {
			return strconv.Itoa(n)
		}
	}
	return "1"
}

func (u *UI) doSignOut(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	if token := u.views.Get(r, cookieSession); token != "" {
		if err := u.c.Users.SignOut(r.Context(), token); err != nil {
			return err
		}
		u.views.Set(w, cookieSession, "", -1)
	}
	u.views.SetToast(w, ToastSignedOut)
	http.Redirect(w, r, PathSignIn, http.StatusSeeOther)
	return nil
}
