package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRefuses(t *testing.T) {
	cases := []struct {
		raw    string
		reason Reason
		offset int
	}{
		{``, ReasonEnd, 0},
		{`{`, ReasonEnd, 1},
		{`[1,]`, ReasonSyntax, 3},
		{`{"a":1,}`, ReasonSyntax, 7},
		{`[01]`, ReasonSyntax, 2},
		{`1.`, ReasonEnd, 2},
		{`-`, ReasonEnd, 1},
		{`tru`, ReasonEnd, 3},
		{`nulL`, ReasonSyntax, 3},
		{`{} {}`, ReasonTrailing, 3},
		{`"a`, ReasonEnd, 2},
		{`"a\`, ReasonEnd, 3},
		{`"\x"`, ReasonEscape, 1},
		{`"\u12g4"`, ReasonEscape, 1},
		{`"\ud800"`, ReasonSurrogate, 1},
		{`"\udc00\ud800"`, ReasonSurrogate, 1},
		{`"\ud800\u0041"`, ReasonSurrogate, 1},
		{"\"a\nb\"", ReasonControl, 2},
		{"\"a\xff\"", ReasonUTF8, 2},
		{"\"\xed\xa0\x80\"", ReasonUTF8, 1},
		{`{"a":1,"a":2}`, ReasonDuplicate, 7},
		{`{"a":1,"\u0061":2}`, ReasonDuplicate, 7},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), ReasonDepth, 64},
		{manyFields(40, true), ReasonDuplicate, len(manyFields(40, false))},
	}
	for _, c := range cases {
		_, err := Parse([]byte(c.raw), Limits{})
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Reason != c.reason || refusal.Offset != c.offset {
			t.Errorf("Parse(%.40q) = %v, want %s at %d", c.raw, err, c.reason, c.offset)
		}
	}
	for _, l := range []Limits{{Values: 2}, {Bytes: 3}} {
		if _, err := Parse([]byte(`[1,2]`), l); err == nil {
			t.Errorf("Parse with %+v accepted", l)
		}
	}
}

func manyFields(n int, duplicate bool) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	if !duplicate {
		return b.String()
	}
	return b.String() + `"k3":1}`
}

func TestNavigate(t *testing.T) {
	raw := []byte(` {"model":"x","n":-12,"ok":true,"list":[1,"zwei",{"a":null}],"t\u00e4g":"f\u00fcr \ud83d\ude00!"} `)
	d, err := Parse(raw, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	root := d.Root()
	if got := root.Get("model").Text(); got != "x" {
		t.Errorf("model = %q", got)
	}
	if n, ok := root.Get("n").Int(); n != -12 || !ok {
		t.Errorf("n = %d %v", n, ok)
	}
	if b, ok := root.Get("ok").Bool(); !b || !ok {
		t.Errorf("ok = %v %v", b, ok)
	}
	if root.Get("missing").Exists() || root.Get("n").Get("x").Exists() {
		t.Error("a missing value exists")
	}
	var kinds []Kind
	for v := range root.Get("list").Items() {
		kinds = append(kinds, v.Kind())
	}
	if !reflect.DeepEqual(kinds, []Kind{Number, String, Object}) {
		t.Errorf("kinds = %v", kinds)
	}
	var keys []string
	for k := range root.Fields() {
		keys = append(keys, k.Text())
	}
	if strings.Join(keys, " ") != "model n ok list täg" {
		t.Errorf("keys = %q", keys)
	}
	text := root.Get("täg").Decode()
	if text.Text != "für 😀!" {
		t.Errorf("text = %q", text.Text)
	}
	if at := text.Offset(strings.Index(text.Text, "!")); raw[at] != '!' {
		t.Errorf("offset of ! = %d", at)
	}
	if s, e := text.Offset(5), text.Offset(9); string(raw[s:e]) != `\ud83d\ude00` {
		t.Errorf("emoji = %q", raw[s:e])
	}
	if line, column := Position([]byte("{\n  \"a\": x"), 9); line != 2 || column != 8 {
		t.Errorf("position = %d:%d", line, column)
	}
}

func TestApply(t *testing.T) {
	got, err := Apply([]byte("0123456789"), []Edit{{7, 8, []byte("sieben")}, {0, 1, nil}, {3, 3, []byte("|")}})
	if err != nil || string(got) != "12|3456sieben89" {
		t.Errorf("Apply = %q, %v", got, err)
	}
	for _, bad := range [][]Edit{{{2, 1, nil}}, {{0, 11, nil}}, {{0, 3, nil}, {2, 4, nil}}, {{-1, 0, nil}}} {
		if _, err := Apply([]byte("0123456789"), bad); err == nil {
			t.Errorf("Apply(%v) accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00fc\ud83d\ude00"],"b":null}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", `[[[]]]`, ` true `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw, Limits{Depth: 1000})
		accepted := json.Valid(raw)
		if err == nil && !accepted {
			t.Fatalf("accepted what encoding/json refuses: %q", raw)
		}
		if err != nil {
			refusal, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("an error of another kind: %v", err)
			}
			if refusal.Offset < 0 || refusal.Offset > len(raw) {
				t.Fatalf("offset %d outside of %d bytes", refusal.Offset, len(raw))
			}
			switch refusal.Reason {
			case ReasonUTF8, ReasonSurrogate, ReasonDuplicate, ReasonDepth:
			default:
				if accepted {
					t.Fatalf("refused with %v what encoding/json accepts: %q", err, raw)
				}
			}
			if refusal.Reason == ReasonDuplicate && accepted && !hasDuplicate(raw) {
				t.Fatalf("no duplicate key in %q", raw)
			}
			return
		}
		if hasDuplicate(raw) {
			t.Fatalf("duplicate key not seen in %q", raw)
		}
		for v := range d.All() {
			start, end := v.Span()
			if start < 0 || end > len(raw) || start >= end || !json.Valid(raw[start:end]) {
				t.Fatalf("span %d-%d of %q is no value", start, end, raw)
			}
			if v.Kind() == String {
				checkString(t, raw, v)
			}
		}
	})
}

func checkString(t *testing.T, raw []byte, v Value) {
	var want string
	if err := json.Unmarshal(v.Raw(), &want); err != nil {
		t.Fatal(err)
	}
	got := v.Decode()
	if got.Text != want {
		t.Fatalf("decoded %q, want %q", got.Text, want)
	}
	start, end := v.Span()
	again, err := Literal(raw, start, end)
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Fatalf("Literal differs: %v", err)
	}
	last := start + 1
	for i := range got.Text {
		s, e := got.Offset(i), got.Offset(i+len(firstRune(got.Text[i:])))
		if s != last || e <= s || e >= end {
			t.Fatalf("offset %d of %q: %d-%d after %d", i, got.Text, s, e, last)
		}
		last = e
	}
	if last != end-1 {
		t.Fatalf("map of %q ends at %d, want %d", v.Raw(), last, end-1)
	}
	quoted := append(AppendString([]byte{'"'}, got.Text), '"')
	if back, err := Literal(quoted, 0, len(quoted)); err != nil || back.Text != got.Text {
		t.Fatalf("AppendString does not come back: %q %v", quoted, err)
	}
}

func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// hasDuplicate asks encoding/json's tokens whether an object of raw repeats a key.
func hasDuplicate(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	type level struct {
		keys map[string]bool
		key  bool
	}
	var stack []*level
	for {
		tok, err := dec.Token()
		if err == io.EOF || err != nil {
			return false
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if d, ok := tok.(json.Delim); ok {
			switch d {
			case '{':
				stack = append(stack, &level{keys: map[string]bool{}, key: true})
			case '[':
				stack = append(stack, &level{})
			default:
				stack = stack[:len(stack)-1]
			}
			if d == '{' || d == '[' {
				if top != nil && top.keys != nil {
					top.key = true
				}
			}
			continue
		}
		if top == nil || top.keys == nil {
			continue
		}
		if !top.key {
			top.key = true
			continue
		}
		if top.keys[tok.(string)] {
			return true
		}
		top.keys[tok.(string)], top.key = true, false
	}
}

func BenchmarkParse(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"model":"gpt-4o","messages":[`)
	for i := range 20 {
		if i > 0 {
			body.WriteString(",")
		}
		body.WriteString(`{"role":"user","content":"Sehr geehrte Frau Müller,\n\nbitte überweisen Sie den Betrag von 1.190,00 € bis zum 24. November auf unser Konto; Rückfragen beantworten wir gern."}`)
	}
	body.WriteString(`],"temperature":0.2,"stream":true}`)
	raw := []byte(body.String())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
