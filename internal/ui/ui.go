// Package ui holds the pages: for each one a struct with everything it shows, and a template. Structs carry facts
// (numbers, times, codes), templates and small methods turn them into sentences of package lang. Handlers fill the
// structs; no page decides who may see what, it shows what it is given and says why something is hidden.
package ui

import (
	"embed"
	"io/fs"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/web"
)

//go:embed all:templates
var templates embed.FS

// Paths of the pages. Patterns for a ServeMux are built from them by the handlers.
const (
	PathEvidence     = "/nachweise"
	PathTransparency = "/transparenz"
	PathSignIn       = "/anmelden"
	PathSignOut      = "/abmelden"
	PathSetup        = "/einrichten/" // + token
	PathDemo         = "/demo/"       // + token or role
)

// Keys of messages after a redirect, for web.Cookies.SetToast.
const (
	ToastSignedIn    = "toast.signed_in" // args: name
	ToastSignedOut   = "toast.signed_out"
	ToastPasswordSet = "toast.password_set"
	ToastCheckedOK   = "toast.checked_ok"  // args: n
	ToastCheckedBad  = "toast.checked_bad" // args: n
)

// EntryPath returns the page of an entry; id is log and number, "1-482113".
func EntryPath(id string) string { return PathEvidence + "/" + id }

// VerifyPath returns where the button "verify this entry" posts to.
func VerifyPath(id string) string { return EntryPath(id) + "/pruefen" }

// New parses all pages.
func New(cfg web.Config) (*web.Views, error) {
	files, err := fs.Sub(templates, "templates")
	if err != nil {
		return nil, err
	}
	return web.NewViews(cfg, files, pages())
}

// pages returns one empty value of every page.
func pages() []web.Page {
	return []web.Page{
		&SignInPage{}, &SetupPage{}, &DemoSignInPage{},
		&ListPage{}, &CallPage{}, &EntryPage{}, &TransparencyPage{},
	}
}

// Site is what every page shows around its content.
type Site struct {
	Org     string      // the firm; in the demo a fictional one
	Version string      // of the program
	Demo    bool        // the demo strip is shown
	Others  []web.Other // persons whom the demo lets one act as; roles already in words (see Role)
	Log     LogHealth
}

// Viewer is who is signed in.
type Viewer struct {
	Name  string
	Roles []string // role ids, such as "case_worker"
}

// LogHealth is the state of the log as far as it is known.
type LogHealth struct {
	Newest     uint64        // number of the newest entry
	Checked    uint64        // number of the newest entry that the last full check read
	Entries    uint64        // how many there are
	CheckedAt  time.Time     // of the last full check; zero = not checked since the start
	CheckTook  time.Duration // how long it took
	Checkpoint time.Time     // when everything was last covered by a signature; zero = unknown
	FirstBad   *uint64       // entry that the check named
	Refuses    bool          // the log takes no entry, so every call is refused
	Since      time.Time     // when it began to refuse; zero = unknown
}

// roles returns the viewer's roles in words.
func (v *Viewer) roles(l lang.Locale) string {
	words := make([]string, 0, len(v.Roles))
	for _, r := range v.Roles {
		words = append(words, Role(l, r))
	}
	return strings.Join(words, ", ")
}

// Role returns a role's name in words.
func Role(l lang.Locale, id string) string { return l.Word("role.", id) }

// Frame returns the frame of a page. who is nil on public pages. path is that of the request, with its query.
func (s Site) Frame(l lang.Locale, p web.Prefs, path string, who *Viewer) web.Frame {
	f := web.Frame{
		Prefs: p, Path: path, Version: s.Version, Home: "/", SignOut: PathSignOut,
		Foot: []web.NavItem{{Label: "nav.transparency", Icon: "globe", Href: PathTransparency, Current: strings.HasPrefix(path, PathTransparency)}},
	}
	if s.Demo {
		f.Strips = append(f.Strips, web.Strip{
			Label: l.T("demo.label"), Bold: l.T("demo.label"), Text: l.T("demo.strip", "org", s.Org),
		})
	}
	if s.Log.Refuses {
		text := l.T("log.refuses.text")
		if !s.Log.Since.IsZero() {
			text += " " + l.T("log.refuses.since", "time", s.Log.Since)
		}
		f.Strips = append(f.Strips, web.Strip{
			Bad: true, Label: l.T("log.refuses.label"), Bold: l.T("log.refuses"), Text: text, Code: "record_unavailable",
		})
	}
	if who == nil {
		return f
	}
	f.Nav = []web.NavGroup{{Label: "nav.prove", Items: []web.NavItem{
		{Label: "nav.evidence", Icon: "chain", Href: PathEvidence, Current: strings.HasPrefix(path, PathEvidence)},
	}}}
	f.Find = &web.Find{Label: "list.find", Action: PathEvidence, Name: "q"}
	f.Seal = s.Log.seal(l)
	f.Person = &web.Person{Name: who.Name, Initials: initials(who.Name), Role: who.roles(l), Others: s.Others}
	return f
}

// Bad returns the number of the entry that the check named; 0 if it named none.
func (h LogHealth) Bad() uint64 {
	if h.FirstBad == nil {
		return 0
	}
	return *h.FirstBad
}

// seal is the log's state in two lines for the foot of the sidebar.
func (h LogHealth) seal(l lang.Locale) *web.Seal {
	s := &web.Seal{Href: PathEvidence, Text: l.T("seal.entry", "n", h.Newest)}
	switch {
	case h.Refuses:
		s.State, s.Title = web.NewState("bad", ""), l.T("seal.refuses")
	case h.FirstBad != nil:
		s.State, s.Title = web.NewState("bad", ""), l.T("seal.bad")
		s.Text = l.T("seal.bad.text", "n", *h.FirstBad)
	case h.CheckedAt.IsZero():
		s.State, s.Title = web.NewState("none", ""), l.T("seal.unchecked")
	default:
		s.State, s.Title = web.NewState("ok", ""), l.T("seal.ok")
		s.Text = l.T("seal.checked", "n", h.Checked, "time", l.Clock(h.CheckedAt))
	}
	return s
}

// initials returns up to two first letters of a name.
func initials(name string) string {
	var out []rune
	for word := range strings.FieldsSeq(name) {
		out = append(out, []rune(word)[0])
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	return strings.ToUpper(string(out))
}

// Count is a type of finding with how often it was found; 0 where only the type is known.
type Count struct {
	Type string
	N    uint64
}

// Counts is a list of findings. It says itself: "1 person, 2 IBANs".
type Counts []Count

// In returns the list in the reader's language.
func (c Counts) In(l lang.Locale) string {
	words := make([]string, 0, len(c))
	for _, f := range c {
		word := f.Type
		if key := "finding." + f.Type; lang.Has(key) {
			word = l.T(key, "n", max(f.N, 1))
		}
		if f.N == 0 {
			words = append(words, word)
			continue
		}
		words = append(words, l.Value(f.N)+" "+word)
	}
	return strings.Join(words, ", ")
}

// Sum returns how many findings there are.
func (c Counts) Sum() uint64 {
	var n uint64
	for _, f := range c {
		n += f.N
	}
	return n
}

// Words is a list of codes that says itself with commas and an "and".
type Words []string

// In returns the list in the reader's language.
func (w Words) In(l lang.Locale) string { return l.List(w) }

// Verdict is what was decided about a call: "allow", "redact", "hold", "block", or "" for entries that decide nothing.
type Verdict string

// String returns the verdict's code.
func (v Verdict) String() string { return string(v) }

// Kind is the kind of the verdict's state.
func (v Verdict) Kind() string {
	switch v {
	case "allow":
		return "ok"
	case "redact":
		return "mask"
	case "hold":
		return "warn"
	case "block":
		return "bad"
	}
	return "none"
}

// Icon is the verdict's icon.
func (v Verdict) Icon() string {
	switch v {
	case "allow":
		return "ok"
	case "redact":
		return "mask"
	case "hold":
		return "hold"
	case "block":
		return "deny"
	}
	return "none"
}

// Field is a line of a list of facts. Label is a key of the catalogue; the value is one of the others.
type Field struct {
	Label string
	Text  string
	Code  string // set as code
	Hash  string // hexadecimal
	Value any    // a number, time.Time, lang.Bytes or lang.Key
	Href  string // makes Text a link
}
