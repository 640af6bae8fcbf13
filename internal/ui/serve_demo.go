package ui

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/web"
)

// demoPerson is the account that a role's link of the demo signs in.
type demoPerson struct {
	user  auth.User
	role  auth.Role
	token string
}

// demoPeople are the accounts of the demo's links, in the order of roles: the first account with the role.
func (u *UI) demoPeople(users []auth.User) []demoPerson {
	var out []demoPerson
	for _, role := range auth.Roles() {
		token := u.c.DemoLinks[role]
		i := slices.IndexFunc(users, func(x auth.User) bool { return slices.Contains(x.Roles, role) })
		if token != "" && i >= 0 {
			out = append(out, demoPerson{users[i], role, token})
		}
	}
	return out
}

// others are the people whom the demo lets one act as.
func (u *UI) others(r *http.Request, l lang.Locale, who *auth.User) []web.Other {
	users, err := u.c.Users.List(r.Context())
	if err != nil {
		u.c.Program.Error("the demo's people could not be read", "error", err)
		return nil
	}
	var out []web.Other
	for _, x := range u.demoPeople(users) {
		if x.user.ID != who.ID {
			out = append(out, web.Other{Name: x.user.Name, Role: Role(l, string(x.role)), Href: demoPath(x.token, "")})
		}
	}
	return out
}

func demoPath(token, next string) string {
	if next == "" || next == PathEvidence {
		return PathDemo + token
	}
	return PathDemo + token + "?" + url.Values{paramNext: {next}}.Encode()
}

// demoLink finds whom the link of the request signs in.
func (u *UI) demoLink(r *http.Request) (*demoPerson, error) {
	users, err := u.c.Users.List(r.Context())
	if err != nil {
		return nil, err
	}
	var found *demoPerson
	for _, x := range u.demoPeople(users) {
		if subtle.ConstantTimeCompare([]byte(x.token), []byte(r.PathValue("token"))) == 1 {
			found = &x
		}
	}
	if found == nil {
		return nil, problem.NotFound(problem.PageNotFound)
	}
	return found, nil
}

// demoSignIn asks before it signs in, because opening a link changes nothing.
func (u *UI) demoSignIn(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	x, err := u.demoLink(r)
	if err != nil {
		return err
	}
	to := next(r.URL.Query().Get(paramNext))
	return u.show(w, r, http.StatusOK, &DemoSignInPage{
		Frame: u.frame(r, nil, demoPath(x.token, to)), Org: u.c.Org, Name: x.user.Name, Role: string(x.role), Action: PathDemo + x.token, Next: to,
	})
}

func (u *UI) doDemoSignIn(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	x, err := u.demoLink(r)
	if err != nil {
		return err
	}
	if err := readForm(w, r); err != nil {
		return err
	}
	session, err := u.c.Users.Begin(r.Context(), &x.user)
	if err != nil {
		return err
	}
	if err := u.begin(w, r, session); err != nil {
		return err
	}
	u.views.SetToast(w, ToastSignedIn, "name", x.user.Name)
	http.Redirect(w, r, next(r.PostForm.Get(paramNext)), http.StatusSeeOther)
	return nil
}
