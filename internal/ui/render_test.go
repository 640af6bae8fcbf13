package ui

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jba/templatecheck"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/web"
)

// TestTemplatesFitTheirStructs type-checks every template with its page, along every branch.
func TestTemplatesFitTheirStructs(t *testing.T) {
	v := newViews(t)
	n := 0
	for _, l := range lang.All() {
		for _, p := range append(pages(), &web.ErrorPage{}) {
			n++
			if err := templatecheck.CheckHTML(v.Lookup(l, p.Template()), p); err != nil {
				t.Errorf("%s (%s): %v", p.Template(), l, err)
			}
		}
	}
	if n < 16 {
		t.Fatalf("only %d templates checked", n)
	}
}

// TestPages renders every sample in both languages and looks for what must not be on any page.
func TestPages(t *testing.T) {
	v := newViews(t)
	forbidden := map[string]*regexp.Regexp{
		"style attribute":     regexp.MustCompile(`(?i)<[^>]+\sstyle=`),
		"event handler":       regexp.MustCompile(`(?i)<[^>]+\son[a-z]+=`),
		"inline script":       regexp.MustCompile(`(?i)<script(?:\s+defer)?>`),
		"style element":       regexp.MustCompile(`(?i)<style`),
		"data address":        regexp.MustCompile(`(?i)(?:src|href)="data:`),
		"dead link":           regexp.MustCompile(`href="#?"`),
		"unfilled argument":   regexp.MustCompile(`>[^<]*\{\w+(?:\|[^}]*)?\}[^<]*<`),
		"message key":         regexp.MustCompile(`>(?:[a-z]+\.)+[a-z_]+<`),
		"Go formatting":       regexp.MustCompile(`%!|&lt;nil&gt;|ZgotmplZ`),
		"template comparison": regexp.MustCompile(`\{\{`),
	}
	h1 := regexp.MustCompile(`<h1`)
	ids := regexp.MustCompile(`\sid="([^"]+)"`)
	n := 0
	for _, p := range readers() {
		for _, s := range samples(v, p) {
			n++
			b, err := v.Bytes(s.page)
			if err != nil {
				t.Errorf("%s %s: %v", s.name, p.Lang, err)
				continue
			}
			html := string(b)
			for what, re := range forbidden {
				if m := re.FindString(html); m != "" && !(what == "unfilled argument" && strings.Contains(m, "messages&#34;")) {
					t.Errorf("%s %s: %s: %.160s", s.name, p.Lang, what, m)
				}
			}
			if got := len(h1.FindAllString(html, -1)); got != 1 {
				t.Errorf("%s %s: %d h1", s.name, p.Lang, got)
			}
			seen := map[string]bool{}
			for _, id := range ids.FindAllStringSubmatch(html, -1) {
				if seen[id[1]] {
					t.Errorf("%s %s: id %q twice", s.name, p.Lang, id[1])
				}
				seen[id[1]] = true
			}
			if !strings.Contains(html, `<html lang="`+string(p.Lang)+`"`) || !strings.Contains(html, `class="skip" href="#inhalt"`) {
				t.Errorf("%s %s: language or skip link missing", s.name, p.Lang)
			}
			if strings.Contains(html, "secret cause") {
				t.Errorf("%s %s: shows the cause of an error", s.name, p.Lang)
			}
		}
	}
	if n < 30 {
		t.Fatalf("only %d pages rendered", n)
	}
}

// TestOnlyPagesThatExist follows every link and form of every page to the list of what this program serves.
func TestOnlyPagesThatExist(t *testing.T) {
	v := newViews(t)
	known := regexp.MustCompile(`^(/|#[a-z]+|/nachweise(\?.*)?|/nachweise/\d+-\d+(/pruefen)?|/transparenz|/anmelden|/abmelden|/einrichten/\w+|/demo/\w+|/darstellung|/static/[0-9a-f]{12}/app\.(css|js))$`)
	links := regexp.MustCompile(`(?:href|action|src)="([^"]*)"`)
	n := 0
	for _, s := range samples(v, readers()[0]) {
		b, err := v.Bytes(s.page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range links.FindAllStringSubmatch(string(b), -1) {
			n++
			if !known.MatchString(m[1]) {
				t.Errorf("%s: %q leads nowhere", s.name, m[1])
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d links", n)
	}
}

// TestHiddenContentIsNotInThePage makes sure that hiding is not a matter of style.
func TestHiddenContentIsNotInThePage(t *testing.T) {
	v := newViews(t)
	for _, s := range samples(v, readers()[0]) {
		b, err := v.Bytes(s.page)
		if err != nil {
			t.Fatal(err)
		}
		has := strings.Contains(string(b), "Katharina Brenner")
		if want := s.name == "call" || s.name == "call-refused" || s.name == "call-gone"; has != want {
			t.Errorf("%s: name on the page = %v", s.name, has)
		}
	}
}

// TestCallTextIsEscaped puts markup into every text that comes from outside.
func TestCallTextIsEscaped(t *testing.T) {
	v := newViews(t)
	const evil = `"><script>alert(1)</script><b onclick=x>`
	p := readers()[0]
	call := sampleCall(sampleSite().Frame(v.Locale(p), p, "/x?"+evil, &Viewer{Name: evil, Roles: []string{evil}}))
	call.System, call.Purpose, call.Case, call.Activity = evil, evil, evil, evil
	call.Content.Request = []web.SplitPart{{Label: evil, Left: web.Text{Body: evil, Marks: []web.Mark{{Start: 2, End: 10, Kind: web.MarkSecret, Label: evil}}}}}
	call.Coverage.Items[0].Detector, call.Coverage.Items[0].Reason = evil, evil
	call.Proof.Command = evil
	b, err := v.Bytes(call)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "<script>") || strings.Contains(string(b), "<b onclick") {
		t.Error("markup from outside reached the page")
	}
}
