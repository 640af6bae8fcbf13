package ui

import (
	"net/http"
	"net/url"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/web"
)

// setup is what a one-time link opens. Opening it changes nothing.
func (u *UI) setup(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	return u.showSetup(w, r, nil)
}

func (u *UI) showSetup(w http.ResponseWriter, r *http.Request, wrong *problem.Error) error {
	token := r.PathValue("token")
	owner, err := u.c.Users.LinkUser(r.Context(), token)
	if err != nil {
		return err
	}
	path := PathSetup + url.PathEscape(token)
	page := &SetupPage{Frame: u.frame(r, nil, path), Org: u.c.Org, Name: owner.Name, Login: owner.Login, Action: path, MinLength: auth.MinPassword}
	if wrong == nil {
		return u.show(w, r, http.StatusOK, page)
	}
	page.Words = web.Words(u.views.Locale(page.Prefs), wrong)
	return u.show(w, r, web.Status(wrong.Kind), page)
}

func (u *UI) doSetup(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	if err := readForm(w, r); err != nil {
		return err
	}
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		return u.showSetup(w, r, problem.Invalid(problem.PasswordDiffers))
	}
	session, _, err := u.c.Users.SetPassword(r.Context(), r.PathValue("token"), password)
	if err != nil {
		if p := problem.Of(err); p.Kind == problem.KindInvalid {
			return u.showSetup(w, r, p)
		}
		return err
	}
	if err := u.begin(w, r, session); err != nil {
		return err
	}
	u.views.SetToast(w, ToastPasswordSet)
	http.Redirect(w, r, PathEvidence, http.StatusSeeOther)
	return nil
}
