package ui

import (
	"net/url"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/web"
)

func locale(l lang.Lang) lang.Locale {
	return lang.Locale{Lang: l, Zone: time.FixedZone("CET", 3600)}
}

func TestFilter(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	cases := []struct {
		query    string
		number   uint64
		from, to string // RFC 3339 in UTC, "" = open
		bad, any bool
	}{
		{"", 0, "", "", false, false},
		{"q=482113", 482113, "", "", false, true},
		{"q=1-482113", 482113, "", "", false, true},
		{"q=48.197", 48197, "", "", false, true},
		{"q=48,197", 48197, "", "", false, true},
		{"q=abc", 0, "", "", true, true},
		{"von=2026-11-23T14:00&bis=2026-11-23T14:05", 0, "2026-11-23T13:00:00Z", "2026-11-23T13:06:00Z", false, true},
		{"von=2026-11-23&bis=2026-11-23", 0, "2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", false, true},
		{"bis=2026-11-23T14:05:30", 0, "", "2026-11-23T13:05:31Z", false, true},
		{"von=gestern", 0, "", "", true, true},
		{"vor=1-7", 0, "", "", false, false},
		{"urteil=block&fund=IBAN&art=call.close&system=KI-2026-001", 0, "", "", false, true},
	}
	text := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, c := range cases {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		f := ReadFilter(q)
		if n, _ := f.Number(); n != c.number {
			t.Errorf("%s: number %d", c.query, n)
		}
		if from, to := f.Times(zone); text(from) != c.from || text(to) != c.to {
			t.Errorf("%s: %s to %s", c.query, text(from), text(to))
		}
		if f.Bad() != c.bad || f.Any() != c.any {
			t.Errorf("%s: bad %v, any %v", c.query, f.Bad(), f.Any())
		}
		again, err := url.Parse(f.Address())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, ReadFilter(again.Query())); diff != "" {
			t.Errorf("%s: address loses something: %s", c.query, diff)
		}
	}
	f := Filter{Verdict: "block", After: "1-9"}
	if got := f.Older("1-7"); got != "/nachweise?urteil=block&vor=1-7" {
		t.Errorf("older: %s", got)
	}
	if got := f.Newer("1-20"); got != "/nachweise?nach=1-20&urteil=block" {
		t.Errorf("newer: %s", got)
	}
	if got := (Filter{}).Address(); got != PathEvidence {
		t.Errorf("empty: %s", got)
	}
}

func TestCounts(t *testing.T) {
	c := Counts{{"PERSON", 1}, {"IBAN", 2}, {"MARTIAN", 3}}
	if got := c.In(locale(lang.German)); got != "1 Person, 2 IBAN, 3 MARTIAN" {
		t.Error(got)
	}
	if got := c.In(locale(lang.English)); got != "1 person, 2 IBANs, 3 MARTIAN" {
		t.Error(got)
	}
	if c.Sum() != 6 {
		t.Error(c.Sum())
	}
}

func TestCoverageMatrix(t *testing.T) {
	m := Coverage{Items: []CoverageItem{{"a", "x", "ran", ""}, {"b", "x", "failed", "time"}, {"a", "y", "skipped", ""}}}.Matrix()
	if !m.PartsAcross || len(m.Rows) != 2 || m.Rows[0].Cells[1].Status != "failed" || m.Rows[1].Cells[1].Status != "" {
		t.Errorf("%+v", m)
	}
	var many Coverage
	for _, p := range []string{"1", "2", "3", "4", "5", "6"} {
		many.Items = append(many.Items, CoverageItem{p, "x", "ran", ""})
	}
	if m := many.Matrix(); m.PartsAcross || len(m.Rows) != 6 || len(m.Columns) != 1 {
		t.Errorf("%+v", m)
	}
	for status, kind := range map[string]string{"ran": "ok", "skipped": "none", "failed": "bad", "not_inspected": "warn"} {
		if got := (CoverageItem{Status: status}).Kind(); got != kind {
			t.Errorf("%s: %s", status, got)
		}
	}
}

// TestChecked turns each single defect on and wants it said.
func TestChecked(t *testing.T) {
	good := Checked{Leaf: true, Tree: true, Checkpoint: 7, Signature: true, Sealed: SealedSame, Commit: CommitSame}
	if !good.OK() || len(good.States(locale(lang.German))) != 6 {
		t.Errorf("good: %v", good.States(locale(lang.German)))
	}
	bad := map[string]func(*Checked){
		"leaf": func(c *Checked) { c.Leaf = false }, "tree": func(c *Checked) { c.Tree = false },
		"signature": func(c *Checked) { c.Signature = false }, "sealed": func(c *Checked) { c.Sealed = SealedOther },
		"commit": func(c *Checked) { c.Commit = CommitOther },
	}
	for name, spoil := range bad {
		c := good
		spoil(&c)
		n := 0
		for _, s := range c.States(locale(lang.English)) {
			if s.Kind == "bad" {
				n++
			}
		}
		if c.OK() || n != 1 {
			t.Errorf("%s: ok %v, %d bad", name, c.OK(), n)
		}
	}
	for _, c := range []Checked{
		{Leaf: true, Tree: true, Sealed: SealedNone, Commit: CommitNone},
		{Leaf: true, Tree: true, Checkpoint: 7, Signature: true, Sealed: SealedErased, Commit: CommitClosed},
	} {
		if !c.OK() {
			t.Errorf("%+v is not ok", c)
		}
	}
}

// TestLeafFactsLoseNothing fills every field of a leaf and wants each to be shown.
func TestLeafFactsLoseNothing(t *testing.T) {
	ref := uint64(3)
	l := &bundle.Leaf{
		Version: 1, Type: bundle.ChangeRegister, Ref: &ref, Epoch: 2, Kind: "user", Time: 1, Instance: "n", System: "s", Policy: "p", PolicyHash: []byte{1},
		Model: "m", Provider: "pr", Verdict: "allow", Rules: []string{"r"}, Findings: []bundle.Count{{Type: "IBAN", N: 1}}, TokensIn: 1, TokensOut: 1,
		Class: "c", Key: "k", CRequest: []byte{1}, COutbound: []byte{1}, CResponse: []byte{1}, CMeta: []byte{1}, HSealed: []byte{1}, Code: "x",
		Object: "o", Revision: 1, CRow: []byte{1}, Entries: []bundle.Span{{From: 1, To: 2}, {From: 5, To: 9}}, Keys: []string{"k"}, Digest: []byte{1},
		PriorLog: "l", PriorSize: 1, PriorRoot: []byte{1}, FoundSize: 1,
	}
	facts := LeafFacts(l)
	if len(facts) != 25 {
		t.Errorf("%d facts", len(facts))
	}
	for _, f := range facts {
		if !lang.Has(f.Label) {
			t.Errorf("no message %q", f.Label)
		}
		if s, ok := f.Value.(lang.Local); ok && s.In(locale(lang.German)) != "1, 5–8" {
			t.Errorf("entries: %q", s.In(locale(lang.German)))
		}
	}
	if got := len(LeafHashes(l)); got != 6 {
		t.Errorf("%d hashes", got)
	}
	if got := LeafFacts(&bundle.Leaf{Type: bundle.LogStart}); len(got) != 2 {
		t.Errorf("empty leaf: %v", got)
	}
}

func TestFrame(t *testing.T) {
	l, p := locale(lang.German), web.Prefs{Lang: lang.German}
	bad := uint64(7)
	cases := []struct {
		name string
		log  LogHealth
		kind string
	}{
		{"unchecked", LogHealth{}, "none"},
		{"ok", LogHealth{CheckedAt: sampleTime}, "ok"},
		{"bad", LogHealth{CheckedAt: sampleTime, FirstBad: &bad}, "bad"},
		{"refuses", LogHealth{CheckedAt: sampleTime, Refuses: true}, "bad"},
	}
	for _, c := range cases {
		f := Site{Log: c.log}.Frame(l, p, PathEvidence+"/1-7", &Viewer{Name: "Claudia van der Brandt", Roles: []string{"auditor", "guest"}})
		if f.Seal.State.Kind != c.kind || (len(f.Strips) == 1) != c.log.Refuses {
			t.Errorf("%s: %+v %v", c.name, f.Seal, f.Strips)
		}
		if f.Person.Initials != "CB" || f.Person.Role != "Prüfung, nur lesend, Beratung, befristet" || !f.Nav[0].Items[0].Current {
			t.Errorf("%s: %+v", c.name, f.Person)
		}
	}
	public := Site{Demo: true, Org: "X"}.Frame(l, p, PathTransparency, nil)
	if public.Person != nil || len(public.Nav) != 0 || public.Seal != nil || len(public.Strips) != 1 || !public.Foot[0].Current {
		t.Errorf("public frame: %+v", public)
	}
}

// TestCodesHaveWords reads the codes of other packages from their sources: a new one needs words.
func TestCodesHaveWords(t *testing.T) {
	for _, c := range []struct {
		file, pattern string
		prefixes      []string
		least         int
	}{
		{"../../bundle/leaf.go", `Type = "([a-z.]+)"`, []string{"event.", "event.means."}, 15},
		{"../auth/actor.go", `Role = "([a-z_]+)"`, []string{"role.", "role.does.", "role.sees."}, 10},
		{"../guard/guard.go", `Reason[A-Za-z0-9]+ += "([a-z0-9]+)"`, []string{"reason."}, 8},
		{"../guard/guard.go", `Status[A-Za-z]+ +(?:Status )?= "([a-z_]+)"`, []string{"coverage."}, 4},
	} {
		b, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(c.pattern).FindAllStringSubmatch(string(b), -1)
		if len(found) < c.least {
			t.Errorf("%s: only %d codes match %s", c.file, len(found), c.pattern)
		}
		for _, m := range found {
			for _, p := range c.prefixes {
				if !lang.Has(p + m[1]) {
					t.Errorf("%s: no message %q", c.file, p+m[1])
				}
			}
		}
	}
}
