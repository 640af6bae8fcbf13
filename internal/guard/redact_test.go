package guard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

func mask(t interface{ Fatalf(string, ...any) }, e *guard.Engine, raw []byte) ([]byte, *guard.Tokens, []chat.Part, guard.Report) {
	parts := read(t, raw)
	report := e.Inspect(context.Background(), parts)
	if missing := e.Missing(parts, report, allTypes); missing != nil {
		t.Fatalf("missing %v", missing)
	}
	out, tokens, err := guard.Redact(raw, parts, report.Findings, allTypes)
	if err != nil {
		t.Fatalf("redact: %v in %s", err, raw)
	}
	return out, tokens, parts, report
}

func TestSpellingsAndNumbers(t *testing.T) {
	e := newEngine(t, registered()...)
	cases := []struct{ text, want string }{
		{"DE02100500000024290661 und DE02 1005 0000 0024 2906 61 und DE02100500000024290661", "[IBAN_1] und [IBAN_1B] und [IBAN_1]"},
		{"Frau Müller, Frau Dr. Anna Müller und Herr Meier; Müllers Brief", "Frau [PERSON_1], Frau Dr. [PERSON_1B] und Herr [PERSON_2]; [PERSON_1]s Brief"},
		{"Herr Max Huber und Frau Eva Huber, Herr Huber", "Herr [PERSON_1] und Frau [PERSON_2], Herr [PERSON_3]"},
		{"Tel. 0861 5550124 oder +49 861 5550124 oder +49 (0)861 5550124", "Tel. [PHONE_1] oder [PHONE_1B] oder [PHONE_1C]"},
		{"A@x.example, a@X.example", "[EMAIL_1], [EMAIL_1B]"},
		{"Was heißt [PERSON_1]? Und [person 2] und \\[PERSON\\_3\\] und [Iban_1B]? Frau Weber, DE02100500000024290661", "Was heißt [PERSON_1]? Und [person 2] und \\[PERSON\\_3\\] und [Iban_1B]? Frau [PERSON_4], [IBAN_1]"},
		{`Literal \u005bPERSON_1\u005d, Frau Weber`, `Literal \u005bPERSON_1\u005d, Frau [PERSON_2]`},
		{"Passwort: Sommer2024! und nochmal Sommer2024!", "Passwort: [SECRET] und nochmal [SECRET]"},
		{"postgres://max:Geheim123@db.firma.example/x", "postgres://max:[SECRET]@db.firma.example/x"},
	}
	for _, c := range cases {
		raw := body([]message{{role: chat.RoleUser, text: c.text}}, unicodeEscape)
		out, tokens, _, _ := mask(t, e, raw)
		if got := string(read(t, out)[0].Text); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.text, got, c.want)
		}
		for _, token := range tokens.List() {
			if token.Type == guard.TypeSecret {
				t.Errorf("a secret has the token %s", token.Name)
			}
		}
	}
}

func TestMaskOnlyDemandedTypes(t *testing.T) {
	e := newEngine(t, registered()...)
	raw := body([]message{{role: chat.RoleUser, text: "Frau Weber, a@b.example, Passwort: Sommer2024!"}}, plainEscape)
	parts := read(t, raw)
	report := e.Inspect(context.Background(), parts)
	out, _, err := guard.Redact(raw, parts, report.Findings, []string{"EMAIL"})
	if got := string(read(t, out)[0].Text); err != nil || got != "Frau Weber, [EMAIL_1], Passwort: [SECRET]" {
		t.Errorf("%q %v", got, err)
	}
}

func TestRedactRefuses(t *testing.T) {
	raw := body([]message{{role: chat.RoleUser, text: "Frau Weber"}}, plainEscape)
	parts := read(t, raw)
	finding := []guard.Finding{{Type: "PERSON", Start: 5, End: 10}}
	moved := slices.Clone(parts)
	moved[0].Start++
	other := slices.Clone(parts)
	other[0].Text = "Frau Meier"
	for name, try := range map[string]func() error{
		"other parts": func() error { _, _, err := guard.Redact(raw, parts, nil, nil); return err },
		"moved":       func() error { _, _, err := guard.Redact(raw, moved, [][]guard.Finding{finding}, allTypes); return err },
		"other text":  func() error { _, _, err := guard.Redact(raw, other, [][]guard.Finding{finding}, allTypes); return err },
		"outside": func() error {
			_, _, err := guard.Redact(raw, parts, [][]guard.Finding{{{Type: "PERSON", Start: 5, End: 11}}}, allTypes)
			return err
		},
		"overlap": func() error {
			_, _, err := guard.Redact(raw, parts, [][]guard.Finding{{finding[0], finding[0]}}, allTypes)
			return err
		},
		"empty finding": func() error {
			_, _, err := guard.Redact(raw, parts, [][]guard.Finding{{{Type: "PERSON", Start: 5, End: 5}}}, allTypes)
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestRestoreSpellings(t *testing.T) {
	e := newEngine(t, registered()...)
	raw := body([]message{{role: chat.RoleUser, text: "Frau O’Brien, Steuer-ID 81573042901"}}, plainEscape)
	_, tokens, _, _ := mask(t, e, raw)
	cases := []struct {
		answer, want string
		notes        guard.Notes
	}{
		{"[PERSON_1] [person_1] [Person_1] [PERSON\\_1] [PERSON 1] \\[PERSON\\_1\\] \\u005bPERSON_1\\u005d", "O’Brien O’Brien O’Brien O’Brien O’Brien O’Brien O’Brien", guard.Notes{Restored: 7}},
		{"[TAX_ID_1] [TAX ID 1] [TAX_ID 1] [tax\\_id\\_1]", "81573042901 81573042901 81573042901 81573042901", guard.Notes{Restored: 4}},
		{"[PERSON_1]s [PERSON_1][PERSON_1]", "O’Briens O’BrienO’Brien", guard.Notes{Restored: 3}},
		{"[PERSON_2] [TELEFON_1] [PERSON_1B] [SECRET] [PERSON_10] [PERSON_1", "[PERSON_2] [TELEFON_1] [PERSON_1B] [SECRET] [PERSON_10] [PERSON_1", guard.Notes{Unknown: 4}},
	}
	for _, c := range cases {
		answer := body([]message{{role: chat.RoleAssistant, text: c.answer}}, plainEscape)
		back, notes, err := tokens.Restore(answer, read(t, answer))
		if got := string(read(t, back)[0].Text); err != nil || got != c.want || notes != c.notes {
			t.Errorf("%q:\n got %q %+v %v\nwant %q %+v", c.answer, got, notes, err, c.want, c.notes)
		}
		if got, notes := tokens.RestoreText(c.answer); got != c.want || notes != c.notes {
			t.Errorf("text %q: %q %+v", c.answer, got, notes)
		}
	}
}

func TestTokensAreSealedAndSilent(t *testing.T) {
	e := newEngine(t, registered()...)
	_, tokens, _, _ := mask(t, e, body([]message{{role: chat.RoleUser, text: letter, arguments: `{"card":4123456789012349}`}}, plainEscape))
	raw, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	var back guard.Tokens
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(back.List(), tokens.List()) {
		t.Errorf("%v: %s", err, raw)
	}
	for _, bad := range []string{`{}`, `[{"token":"PERSON_1"}]`, `[{"token":"[SECRET]"}]`, `[{"token":"[A_1]"},{"token":"[A_1]"}]`, `[{"token":"[a_1]"}]`} {
		if json.Unmarshal([]byte(bad), new(guard.Tokens)) == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	printed := fmt.Sprintf("%v %+v %#v %v %s", tokens, tokens.List(), tokens.List(), tokens.LogValue(), tokens.List()[0].LogValue())
	if strings.Contains(printed, "Brenner") || strings.Contains(printed, "DE02") {
		t.Errorf("values are printed: %s", printed)
	}
}

// piece is a part of a generated text; value is what must be masked, "" for none.
type piece struct{ text, value, secret string }

func pieces() *rapid.Generator[piece] {
	first := rapid.SampledFrom([]string{"Anna", "Jürgen", "Ayşe", "Paweł", "Katharina"})
	last := rapid.SampledFrom([]string{"Brenner", "Müller-Lüdenscheidt", "Wałęsa", "Öztürk", "von der Heide", "O’Brien", "Schmidt"})
	iban := rapid.SampledFrom([]string{"DE02100500000024290661", "DE02 1005 0000 0024 2906 61", "NL91ABNA0417164300", "at37 2011 1000 0342 9418", "DE02 1005 0000\n0024 2906 61", "DE02\u00a01005 0000 0024 2906\u00ad 61"})
	secrets := rapid.SampledFrom([]string{"Sommer2024!", "Xy-77-\"Zebra\"", "Grün#Tee99", "pa\\ss1234"})
	return rapid.Custom(func(t *rapid.T) piece {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			v := last.Draw(t, "last")
			return piece{text: "Frau " + v, value: v}
		case 1:
			v := first.Draw(t, "first") + " " + last.Draw(t, "last")
			return piece{text: "Sehr geehrter Herr Dr. " + v, value: v}
		case 2:
			v := iban.Draw(t, "iban")
			return piece{text: v, value: v}
		case 3:
			v := first.Draw(t, "first") + "@müller.example"
			return piece{text: v, value: v}
		case 4:
			v := rapid.SampledFrom([]string{"+49 861 555 01 24", "0171 1234567", "0861/5550124"}).Draw(t, "phone")
			return piece{text: "Tel. " + v, value: v}
		case 5:
			v := secrets.Draw(t, "secret")
			if strings.Contains(v, `"`) {
				return piece{text: "Passwort: '" + v + "'", secret: v}
			}
			return piece{text: "Passwort: " + v, secret: v}
		case 6:
			return piece{text: rapid.SampledFrom([]string{"[PERSON_1]", "[iban 1]", "\\[EMAIL\\_1\\]", "[PERSON_2B]", "[SECRET]", "[", "\\u005bPHONE_1\\u005d"}).Draw(t, "token")}
		case 7:
			v := "4123 4567 8901 2349"
			return piece{text: "Karte " + v, value: v}
		case 8: // no cue: found only when another place reveals the name or the secret
			v := rapid.SampledFrom([]string{last.Draw(t, "bare"), first.Draw(t, "given") + " " + last.Draw(t, "whole"), strings.ToUpper(last.Draw(t, "capitals")), last.Draw(t, "genitive") + "s", secrets.Draw(t, "again")}).Draw(t, "uncued")
			return piece{text: v}
		}
		return piece{text: rapid.SampledFrom([]string{"1.190,00 €", "am 24.11.2026", "RE-2026-4711", "ganz \"normal\" \\ und\tso", "größer 😀", "Zeile\nneu", "so\u00adft\u200b", "</script>"}).Draw(t, "plain")}
	})
}

func conversation() *rapid.Generator[[]message] {
	return rapid.Custom(func(t *rapid.T) []message {
		var list []message
		for i := range rapid.IntRange(1, 4).Draw(t, "messages") {
			m := message{role: []chat.Role{chat.RoleUser, chat.RoleAssistant}[i%2]}
			for _, p := range rapid.SliceOfN(pieces(), 0, 5).Draw(t, "pieces") {
				m.text += p.text + " ; "
			}
			if rapid.Bool().Draw(t, "call") {
				inner := []string{}
				for k, p := range rapid.SliceOfN(pieces(), 0, 3).Draw(t, "inner") {
					escape := plainEscape
					if rapid.Bool().Draw(t, "escape") {
						escape = unicodeEscape
					}
					inner = append(inner, fmt.Sprintf(`"k%d": "%s"`, k, escape(p.text)))
				}
				inner = append(inner, `"card":4123456789012349`, `"n":[1.50,null,true]`)
				m.arguments = "{" + strings.Join(inner, ", ") + "}"
				if rapid.Bool().Draw(t, "result") {
					m.text = m.arguments // a result of a tool: text that is JSON
				}
			}
			list = append(list, m)
		}
		return list
	})
}

// values collects what a detector found by itself, and whether it is a secret.
func originals(parts []chat.Part, report guard.Report) (values, secrets []string) {
	for i, found := range report.Findings {
		for _, f := range found {
			text := string(parts[i].Text[f.Start:f.End])
			switch {
			case f.Type == guard.TypeSecret:
				secrets = append(secrets, text)
			case f.Type != guard.TypePerson:
				values = append(values, text)
			}
		}
	}
	return values, secrets
}

func roundTrip(t interface{ Fatalf(string, ...any) }, e *guard.Engine, raw []byte) {
	out, tokens, parts, report := mask(t, e, raw)
	masked := read(t, out)
	values, secrets := originals(parts, report)
	for _, part := range masked {
		for _, v := range append(values, secrets...) {
			if strings.Contains(string(part.Text), v) && len(v) > 5 {
				t.Fatalf("%q left in %q", v, part.Text)
			}
		}
	}
	back, _, err := tokens.Restore(out, masked)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	restored := read(t, back)
	for i, part := range parts {
		want := string(part.Text)
		for _, f := range slices.Backward(report.Findings[i]) {
			if f.Type == guard.TypeSecret {
				want = want[:f.Start] + "[SECRET]" + want[f.End:]
			}
		}
		got := string(restored[i].Text)
		if part.Kind == chat.KindText && got != want {
			t.Fatalf("restored %q\nwant %q", got, want)
		}
		if part.Kind == chat.KindArguments && !sameJSON(got, want) {
			t.Fatalf("restored arguments %s\nwant %s\nmasked %s", got, want, masked[i].Text)
		}
	}
	if len(secrets) == 0 && tokens.Len() == 0 && string(out) != string(raw) {
		t.Fatalf("changed without need: %s", out)
	}
	// every byte outside of the parts stays
	if skeleton(raw, parts) != skeleton(out, masked) || skeleton(raw, parts) != skeleton(back, restored) {
		t.Fatalf("bytes outside of the parts changed")
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return reflect.DeepEqual(x, y)
}

func skeleton(raw []byte, parts []chat.Part) string {
	var edits []rawjson.Edit
	for _, p := range parts {
		edits = append(edits, rawjson.Edit{Start: p.Start, End: p.End})
	}
	out, _ := rawjson.Apply(raw, edits)
	return string(out)
}

func TestRoundTrip(t *testing.T) {
	e := newEngine(t, registered()...)
	ran := 0
	rapid.Check(t, func(t *rapid.T) {
		ran++
		escape := plainEscape
		if rapid.Bool().Draw(t, "unicode") {
			escape = unicodeEscape
		}
		roundTrip(t, e, body(conversation().Draw(t, "conversation"), escape))
	})
	if ran == 0 {
		t.Fatal("no case ran")
	}
}

// TestGeneratedValuesAreMasked checks against what the generator put in, not against what the detectors found.
func TestGeneratedValuesAreMasked(t *testing.T) {
	e := newEngine(t, registered()...)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(pieces(), 1, 8).Draw(t, "pieces")
		m := message{role: chat.RoleUser}
		for _, p := range list {
			m.text += p.text + " ; "
		}
		out, _, _, _ := mask(t, e, body([]message{m}, plainEscape))
		got := string(read(t, out)[0].Text)
		for _, p := range list {
			if p.value != "" && strings.Contains(got, p.value) || p.secret != "" && strings.Contains(got, p.secret) {
				t.Fatalf("%q left in %q", p.value+p.secret, got)
			}
		}
	})
}

func TestNumbersStayWhenAConversationGrows(t *testing.T) {
	e := newEngine(t, registered()...)
	rapid.Check(t, func(t *rapid.T) {
		all := conversation().Draw(t, "conversation")
		for i := range all { // a look-alike in a later message may move numbers, by design
			all[i].text = strings.NewReplacer("[", "(", `\u005b`, "(").Replace(all[i].text)
			all[i].arguments = strings.NewReplacer("[PERSON", "(", "[iban", "(", "[EMAIL", "(", `\u005bPHONE`, "(", `\\[`, "(", `u005b`, "u0028").Replace(all[i].arguments)
		}
		for i := range all {
			if strings.HasPrefix(all[i].text, "{") {
				all[i].text = all[i].arguments
			}
		}
		_, last, _, _ := mask(t, e, body(all, plainEscape))
		names := map[string]string{}
		for _, token := range last.List() {
			names[token.Type+fmt.Sprint(token.Number)+string(token.Value)] = token.Name
		}
		for n := range all {
			_, tokens, _, _ := mask(t, e, body(all[:n], plainEscape))
			for _, token := range tokens.List() {
				if got := names[token.Type+fmt.Sprint(token.Number)+string(token.Value)]; got != token.Name {
					t.Fatalf("%d messages: %s %q was %s and becomes %q", n, token.Type, token.Value, token.Name, got)
				}
			}
		}
	})
}

func FuzzRedactRestore(f *testing.F) {
	f.Add(letter, `{"name":"Max Mustermann","iban":"DE02100500000024290661","n":4123456789012349}`)
	f.Add("[PERSON_1] Frau \u00adWeber\u200b, Passwort: Sommer2024!", `{"a":"Frau M\u00fcller","b":["x@y.example"]}`)
	f.Add("Frau Weber", "{ broken Frau Weber")
	f.Add(`{"name":"M\u00fcller","iban":"DE02100500000024290661","pin":4711}`, `["a@b.example",{"password":"x\"y1234"}]`)
	e := newEngine(f, registered()...)
	f.Fuzz(func(t *testing.T, text, arguments string) {
		text, arguments = strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(arguments, "?")
		if _, err := rawjson.Parse([]byte(arguments), rawjson.Limits{}); err != nil {
			arguments = `{"text":"` + plainEscape(arguments) + `"}` // what is no JSON comes back escaped, see Restore
		}
		roundTrip(t, e, body([]message{{role: chat.RoleUser, text: text, arguments: arguments}}, plainEscape))
	})
}
