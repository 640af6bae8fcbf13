package guard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/guard/pii"
	"github.com/leitplanke/leitplanke/internal/guard/secret"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

const letter = "Sehr geehrte Frau Dr. Katharina Brenner, bitte überweisen Sie 1.190,00 € auf DE02 1005 0000 0024 2906 61. " +
	"Rückfragen unter +49 861 555 01 24 oder k.brenner@hydraulik-brenner.example. Mit freundlichen Grüßen\nMax Mustermann"

var allTypes = []string{"PERSON", "IBAN", "EMAIL", "PHONE", "CREDIT_CARD", "TAX_ID"}

func registered() []guard.Registered { return append(pii.Detectors(), secret.Detectors()...) }

func newEngine(t testing.TB, list ...guard.Registered) *guard.Engine {
	t.Helper()
	e, err := guard.New(guard.Limits{}, list...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// message is one turn of a test conversation.
type message struct {
	role      chat.Role
	text      string
	arguments string // inner JSON of a tool call; "" = none
}

// body writes a chat body; escape chooses how strings are written.
func body(messages []message, escape func(string) string) []byte {
	var b strings.Builder
	b.WriteString("{ \"model\":\"m\",\n\"messages\" : [")
	for i, m := range messages {
		if i > 0 {
			b.WriteString(" ,")
		}
		fmt.Fprintf(&b, `{"role":"%s","content":"%s"`, m.role, escape(m.text))
		if m.arguments != "" {
			fmt.Fprintf(&b, `,"tool_calls":[{"function":{"name":"f","arguments":"%s"}}]`, escape(m.arguments))
		}
		b.WriteString("}")
	}
	b.WriteString("], \"temperature\":0.20}")
	return []byte(b.String())
}

func plainEscape(s string) string { return string(rawjson.AppendString(nil, s)) }

// unicodeEscape writes every byte above ASCII and some letters as \u escapes.
func unicodeEscape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04X\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r > 0x7e || r < 0x20 || i%7 == 0:
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == '/':
			b.WriteString(`\/`)
		default:
			b.Write(rawjson.AppendString(nil, string(r)))
		}
	}
	return b.String()
}

// read gives the parts of a chat body.
func read(t interface{ Fatalf(string, ...any) }, raw []byte) []chat.Part {
	doc, err := rawjson.Parse(raw, rawjson.Limits{})
	if err != nil {
		t.Fatalf("body is no JSON: %v in %s", err, raw)
	}
	var parts []chat.Part
	put := func(v rawjson.Value, name string, role chat.Role, kind chat.Kind) {
		if v.Exists() {
			start, end := v.Span()
			parts = append(parts, chat.Part{Name: name, Role: role, Kind: kind, Text: chat.Text(v.Text()), Start: start, End: end})
		}
	}
	i := 0
	for m := range doc.Root().Get("messages").Items() {
		role := chat.Role(m.Get("role").Text())
		put(m.Get("content"), fmt.Sprintf("messages[%d].content", i), role, chat.KindText)
		for call := range m.Get("tool_calls").Items() {
			put(call.Get("function").Get("arguments"), fmt.Sprintf("messages[%d].tool_calls[0].function.arguments", i), role, chat.KindArguments)
		}
		i++
	}
	return parts
}

func one(text string) []chat.Part {
	return []chat.Part{{Name: "p", Role: chat.RoleUser, Kind: chat.KindText, Text: chat.Text(text)}}
}

func TestLetter(t *testing.T) {
	e := newEngine(t, registered()...)
	raw := body([]message{{role: chat.RoleUser, text: letter}}, plainEscape)
	parts := read(t, raw)
	report := e.Inspect(context.Background(), parts)
	if missing := e.Missing(parts, report, allTypes); missing != nil {
		t.Fatalf("missing %v", missing)
	}
	out, tokens, err := guard.Redact(raw, parts, report.Findings, allTypes)
	if err != nil {
		t.Fatal(err)
	}
	want := "Sehr geehrte Frau Dr. [PERSON_1], bitte überweisen Sie 1.190,00 € auf [IBAN_1]. " +
		"Rückfragen unter [PHONE_1] oder [EMAIL_1]. Mit freundlichen Grüßen\n[PERSON_2]"
	if got := string(read(t, out)[0].Text); got != want {
		t.Errorf("masked letter:\n%s\nwant:\n%s", got, want)
	}
	back, notes, err := tokens.Restore(out, read(t, out))
	if err != nil || string(back) != string(raw) || notes != (guard.Notes{Restored: 5}) {
		t.Errorf("restored %+v %v:\n%s", notes, err, back)
	}
}

func TestStaysAsItIs(t *testing.T) {
	e := newEngine(t, registered()...)
	for _, text := range []string{
		"Betrag 1.190,00 € zum 24.11.2026, Rechnung RE-2026-4711, USt-IdNr. DE275314980", "2026-11-24T10:00:00Z", "Sehr geehrte Damen und Herren,", "§ 139b AO, Urteil vom 26. April 2016 - 10511/10 -",
		"Version 1.2.3, Port 8080, HTTP 404, 10115 Berlin", "Bestellung 4500012345 vom 01.02.2026",
	} {
		if got := e.Inspect(context.Background(), one(text)).Findings[0]; len(got) != 0 {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// faulty is a detector that does what it is told.
type faulty struct {
	act func(*guard.View) ([]guard.Finding, error)
}

func (faulty) Name() string { return "faulty" }
func (f faulty) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	more, err := f.act(v)
	return append(found, more...), err
}

func TestNothingFailsOpen(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	cases := []struct {
		name   string
		act    func(*guard.View) ([]guard.Finding, error)
		ctx    context.Context
		part   chat.Part
		reason string
	}{
		{"panic", func(v *guard.View) ([]guard.Finding, error) { _ = v.Text[len(v.Text)]; return nil, nil }, nil, chat.Part{Kind: chat.KindText}, "panic runtime.boundsError"},
		{"error", func(*guard.View) ([]guard.Finding, error) { return nil, errors.New("secret content") }, nil, chat.Part{Kind: chat.KindText}, guard.ReasonError},
		{"outside", func(*guard.View) ([]guard.Finding, error) { return []guard.Finding{{Type: "X", End: 99}}, nil }, nil, chat.Part{Kind: chat.KindText}, guard.ReasonOffsets},
		{"cut character", func(*guard.View) ([]guard.Finding, error) { return []guard.Finding{{Type: "X", End: 1}}, nil }, nil, chat.Part{Kind: chat.KindText, Text: "ü"}, guard.ReasonOffsets},
		{"deadline", nil, gone, chat.Part{Kind: chat.KindText}, guard.ReasonTime},
		{"size", nil, nil, chat.Part{Kind: chat.KindText, Text: chat.Text(strings.Repeat("x", 1<<20+1))}, guard.ReasonSize},
		{"utf8", nil, nil, chat.Part{Kind: chat.KindText, Text: "\xff"}, guard.ReasonUTF8},
		{"image", nil, nil, chat.Part{Kind: chat.KindOther}, guard.ReasonKind},
		{"unknown kind", nil, nil, chat.Part{}, guard.ReasonKind},
		{"ambiguous", nil, nil, chat.Part{Kind: chat.KindArguments, Text: `{"a":1,"a":"max@x.example"}`}, guard.ReasonJSON},
		{"deep", nil, nil, chat.Part{Kind: chat.KindArguments, Text: chat.Text(strings.Repeat("[", 99) + strings.Repeat("]", 99))}, guard.ReasonJSON},
		{"too many", func(*guard.View) ([]guard.Finding, error) {
			return slices.Repeat([]guard.Finding{{Type: "X", End: 1}}, 20_001), nil
		}, nil, chat.Part{Kind: chat.KindText}, guard.ReasonFindings},
	}
	for _, c := range cases {
		if c.act == nil {
			c.act = func(*guard.View) ([]guard.Finding, error) { return nil, nil }
		}
		if c.ctx == nil {
			c.ctx = context.Background()
		}
		if c.part.Text == "" {
			c.part.Text = "some text"
		}
		c.part.Name = "p"
		e := newEngine(t, append(registered(), guard.Registered{Detector: faulty{c.act}, Types: []string{"X"}})...)
		report := e.Inspect(c.ctx, []chat.Part{c.part})
		missing := e.Missing([]chat.Part{c.part}, report, []string{"X"})
		at := slices.IndexFunc(missing, func(m guard.Coverage) bool { return m.Detector == "faulty" })
		if at < 0 || missing[at].Reason != c.reason || missing[at].Status == guard.StatusRan {
			t.Errorf("%s: missing = %v", c.name, missing)
		}
	}
}

func TestCoverageNamesEachDetector(t *testing.T) {
	all := registered()
	parts := []chat.Part{one(letter)[0], {Name: "image", Kind: chat.KindOther}}
	e := newEngine(t, all...)
	report := e.Inspect(context.Background(), parts)
	if want := 2 * (len(all) + 1); len(report.Coverage) != want {
		t.Fatalf("%d rows, want %d", len(report.Coverage), want)
	}
	if missing := e.Missing(parts, report, allTypes); len(missing) != len(all)+1 || missing[0].Status != guard.StatusNotInspected {
		t.Errorf("missing for an image: %v", missing)
	}
	if missing := e.Missing(parts[:1], guard.Report{}, nil); len(missing) == 0 {
		t.Error("an empty report passes")
	}
	for i := range all {
		less := newEngine(t, slices.Delete(slices.Clone(all), i, i+1)...)
		report := less.Inspect(context.Background(), parts[:1])
		for _, c := range report.Coverage {
			if c.Detector == all[i].Detector.Name() {
				t.Errorf("removed detector %s still in the coverage", c.Detector)
			}
		}
		if missing := less.Missing(parts[:1], report, all[i].Types); len(missing) == 0 || missing[0].Reason != guard.ReasonNone {
			t.Errorf("without %s: missing = %v", all[i].Detector.Name(), missing)
		}
	}
	if _, err := guard.New(guard.Limits{}, all[0], all[0]); err == nil {
		t.Error("the same name twice was accepted")
	}
}

// texts gives type and text of findings.
func texts(part chat.Part, found []guard.Finding) []string {
	var list []string
	for _, f := range found {
		list = append(list, f.Type+" "+string(part.Text[f.Start:f.End]))
	}
	return list
}

func TestArguments(t *testing.T) {
	e := newEngine(t, registered()...)
	parts := []chat.Part{{Name: "p", Kind: chat.KindArguments, Text: `{"name":"J\u00fcrgen M\u00fcller","password":"sommer","pin":4711,"card":4123456789012349,"mail":["a\u0040b.example"],"max@x.example":1,"note":"Zeile\nFrau Brenner"}`}}
	want := []string{`PERSON J\u00fcrgen M\u00fcller`, "SECRET sommer", "SECRET 4711", "CREDIT_CARD 4123456789012349", `EMAIL a\u0040b.example`, "EMAIL max@x.example", "PERSON Brenner"}
	if got := texts(parts[0], e.Inspect(context.Background(), parts).Findings[0]); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	parts[0].Kind = chat.KindText // the result of a tool is text, and often JSON
	if got := texts(parts[0], e.Inspect(context.Background(), parts).Findings[0]); !slices.Equal(got, want) {
		t.Errorf("JSON in text: %q", got)
	}
	parts[0].Kind, parts[0].Text = chat.KindArguments, `{"mail":"max@x.example", cut`
	if got := texts(parts[0], e.Inspect(context.Background(), parts).Findings[0]); !slices.Equal(got, []string{"EMAIL max@x.example"}) {
		t.Errorf("broken arguments: %q", got)
	}
}

func TestDocumentConsistency(t *testing.T) {
	e := newEngine(t, registered()...)
	parts := []chat.Part{
		{Name: "a", Kind: chat.KindText, Text: "Brenners Brief und BRENNER, nicht Brennerei. Sommer2024! geht nicht."},
		{Name: "b", Kind: chat.KindText, Text: "Frau Dr. Katharina Brenner schreibt. Passwort: Sommer2024!"},
	}
	report := e.Inspect(context.Background(), parts)
	if got := texts(parts[0], report.Findings[0]); !slices.Equal(got, []string{"PERSON Brenner", "PERSON BRENNER", "SECRET Sommer2024!"}) {
		t.Errorf("got %q", got)
	}
	if name := report.Findings[0][0].Detector; name != "document_consistency" {
		t.Errorf("detector %q", name)
	}
}
