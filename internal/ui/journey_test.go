package ui

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/lang"
)

// TestJourney is one way through the demo in a browser, in both languages: the clerk signs in by the link of the role,
// finds the own call in the list, reads it, verifies it and signs out; the auditor signs in and reads why the same call
// has no text.
func TestJourney(t *testing.T) {
	ctx := browser(t)
	for _, l := range lang.All() {
		t.Run(l.String(), func(t *testing.T) { journey(ctx, t, l) })
	}
}

func journey(ctx context.Context, t *testing.T, l lang.Lang) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "")
	s.index()
	srv := httptest.NewServer(s.handler)
	t.Cleanup(srv.Close)
	words := func(key string, args ...any) string { return lang.T(l, key, args...) }

	goTo := func(what, path string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.Navigate(srv.URL+path)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	page := func() string {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	// press clicks and waits for the next page, on which the selector is found.
	press := func(what, button, then string) {
		t.Helper()
		click := `(() => { document.documentElement.dataset.old = '1'; document.querySelector('` + button + `').click(); return true })()`
		if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](click)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := chromedp.Do(wait, chromedp.WaitReady(chromedp.CSS(`html:not([data-old]) `+then))); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	has := func(what string, list ...string) {
		t.Helper()
		text := page()
		for _, w := range list {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q", what, w)
			}
		}
	}

	goTo("language", PathTransparency)
	press("language", `form.lang button[value="`+l.String()+`"]`, `body`)
	has("public page", s.log.Origin(), words("public.demo"))

	goTo("the clerk's link", PathDemo+"token-case_worker")
	has("the clerk's link", words("demo.sees"), words("role.sees.case_worker"))
	press("sign in", `main form button.primary`, `table[data-keys]`)
	has("list", words(ToastSignedIn, "name", personName(auth.CaseWorker)), words("demo.label"))

	press("own call", `table[data-keys] a[href="`+EntryPath(id)+`"]`, `ol.rail`)
	has("own call", "Katharina Brenner", "[PERSON_1]", words("call.provider.same"), words("proof.unchecked"))

	press("verify", `form[action="`+VerifyPath(id)+`"] button`, `.toast`)
	has("verified", words("check.leaf.ok"), words("check.signature.ok"), words("check.commit.ok"), "Katharina Brenner")

	press("sign out", `form[action="`+PathSignOut+`"] button`, `form[action="`+PathSignIn+`"]`)
	has("signed out", words("toast.signed_out"), personName(auth.Auditor))
	goTo("after sign-out", EntryPath(id))
	if strings.Contains(page(), "Katharina") {
		t.Error("the content is shown after sign-out")
	}

	press("the auditor, from the list of roles", `a[href^="`+PathDemo+`token-auditor"]`, `form[action="`+PathDemo+`token-auditor"]`)
	press("sign in", `main form button.primary`, `ol.rail`) // the way leads back to the entry
	has("call of another", words("hidden.title"), words("hidden.why"), personName(auth.WorksCouncil))
	if text := page(); strings.Contains(text, "Katharina") || strings.Contains(text, "[PERSON_1]") {
		t.Error("the auditor sees content")
	}
	goTo("other language", EntryPath(id))
	other := lang.English
	if l == other {
		other = lang.German
	}
	press("other language", `form.lang button[value="`+other.String()+`"]`, `body`)
	has("after the change of language", lang.T(other, "hidden.title"))
	press("sign out", `form[action="`+PathSignOut+`"] button`, `form[action="`+PathSignIn+`"]`)
}
