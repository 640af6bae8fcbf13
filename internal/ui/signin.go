package ui

import "github.com/leitplanke/leitplanke/internal/web"

// SignInPage is the sign-in with a local account, and in the demo the choice of a role.
type SignInPage struct {
	web.Frame
	Org   string
	Login string // kept from the last try
	Next  string // local path to go to afterwards
	Words string // what went wrong, in words; "" at first
	Demo  []DemoPerson
}

// Template names the page's file.
func (*SignInPage) Template() string { return "signin" }

// DemoPerson is a fictional person whom a demo lets one be.
type DemoPerson struct {
	Name string
	Role string // role id
	Href string // a GET page with the button; see DemoSignInPage
}

// SetupPage is what a one-time link opens: it sets a password.
type SetupPage struct {
	web.Frame
	Org       string
	Name      string // whose account it is
	Login     string // what one signs in with
	Action    string // path that takes the POST
	MinLength int
	Words     string // what went wrong, in words
}

// Template names the page's file.
func (*SetupPage) Template() string { return "setup" }

// DemoSignInPage asks before it signs in, because opening a link must not change anything.
type DemoSignInPage struct {
	web.Frame
	Org    string
	Name   string
	Role   string // role id
	Action string // path that takes the POST
	Next   string // local path to go to afterwards
}

// Template names the page's file.
func (*DemoSignInPage) Template() string { return "demosignin" }
