package web

import "github.com/leitplanke/leitplanke/internal/lang"

// Page is what can be rendered: a struct that embeds [Frame] and names its template. Pages are passed as pointers.
type Page interface {
	// Template is the name of the page's file without ".html".
	Template() string
	// Base returns the frame around the page.
	Base() *Frame
}

// Frame is everything around a page's own content. Labels are keys of the catalogue unless the comment says otherwise.
type Frame struct {
	Prefs   Prefs
	Path    string     // path and query of this request, to come back to after a change of language
	Home    string     // where the product's name leads
	Nav     []NavGroup // sidebar
	Foot    []NavItem  // sidebar, lower end; also the foot of pages without a sidebar
	Find    *Find      // search in the top bar
	Seal    *Seal      // state at the foot of the sidebar
	Person  *Person    // who is signed in; nil on public pages
	SignOut string     // path that takes the POST of "sign out"
	Strips  []Strip    // lines above the content
	Toast   string     // message after a redirect, already in words
	Version string     // of the program
}

// Base returns f itself; it makes every struct that embeds a Frame a [Page] once it names its template.
func (f *Frame) Base() *Frame { return f }

// NavGroup is a group of the sidebar; Label may be empty.
type NavGroup struct {
	Label string
	Items []NavItem
}

// NavItem is a link of the sidebar.
type NavItem struct {
	Label, Icon, Href string
	Current           bool
	Count             int // work that waits; 0 is not shown
}

// Find is a search form: a GET to Action with the parameter Name.
type Find struct {
	Label, Action, Name string
	Value               string
}

// Seal is a state in two lines, in words.
type Seal struct {
	State       State
	Title, Text string
	Href        string
}

// Person is who is signed in. Name and Role are words.
type Person struct {
	Name, Initials, Role string
	Others               []Other // whom one may act as; demo only
}

// Other is a person whom a demo lets one act as. Name and Role are words.
type Other struct{ Name, Role, Href string }

// Strip is a line above the content, in words: a bold beginning and the rest.
type Strip struct {
	Bad        bool   // something is broken; announced to screen readers
	Label      string // name of the landmark
	Bold, Text string
	Code       string // a code for whoever is called for help; may be empty
}

// State is an icon with a word: never a colour alone.
type State struct {
	Kind string // ok, mask, warn, bad, none, info, or "" for neutral
	Icon string
	Word string // in words
	Code bool   // Word is a code and is set as one
}

// NewState returns a state with the usual icon of its kind.
func NewState(kind, word string) State {
	icon := map[string]string{"ok": "ok", "mask": "mask", "warn": "warn", "bad": "deny", "none": "none", "info": "info", "": "half"}[kind]
	return State{Kind: kind, Icon: icon, Word: word}
}

// ErrorPage says a problem: what, why, what to do, and the id under which it can be found.
type ErrorPage struct {
	Frame
	Kind  string // of the problem: chooses the heading
	Words string
	ID    string // of the log entry or of the line in the program log; may be empty
}

// Template names the page's file.
func (*ErrorPage) Template() string { return "error" }

// Locale returns how the reader of a page reads.
func (v *Views) Locale(p Prefs) lang.Locale { return lang.Locale{Lang: p.Lang, Zone: v.cfg.Zone} }
