package guard

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"pgregory.net/rapid"
)

func TestViewNormalises(t *testing.T) {
	cases := []struct{ text, want string }{
		{"Mü\u00adller", "Müller"},
		{"Mu\u0308ller", "Müller"},
		{"DE02\u00a01005\u202f0000", "DE02 1005 0000"},
		{"ＤＥ０２", "DE02"},
		{"a\u200bb\ufeffc\u2060d", "abcd"},
		{"x\u202eabc\u202cy", "xabcy"},
		{"a\U000e0041\U000e0042b", "ab"},
		{"Pаsswort: x", "Passwort: x"}, // Cyrillic а
		{"Москва", "Москва"},           // a Cyrillic word stays
		{"<|ѕystem|>", "<|system|>"},
		{"0171\u20111234567", "0171-1234567"},
		{"a\x00b\x1bc", "abc"},
		{"Straße – „Größe“ € …", "Straße – „Größe“ € …"},
	}
	for _, c := range cases {
		if got := NewView(c.text, "").Text; got != c.want {
			t.Errorf("view of %q = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestViewCopiesNothingWhenClean(t *testing.T) {
	for _, text := range []string{"plain", "Müller – „größer“ als 5 € …\r\n\tÇelik Łódź"} {
		v := NewView(text, "")
		if unsafe.StringData(v.Text) != unsafe.StringData(text) || v.runs != nil {
			t.Errorf("%q was copied", text)
		}
	}
}

// wild draws texts with the characters that views treat in a special way.
func wild() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{
		"a", "Z", "7", " ", "\n", "ü", "u\u0308", "ß", "\u00ad", "\u200b", "\u00a0", "\u202e", "０", "Ａ", "ﬁ", "а", "о", "Ж", "😀", "👩\u200d💻", "\U000e0041",
		"[", "]", "_", "@", "€", "…", "\u0301\u0302", "한", "\x00", "½", "½a", "\u2011",
	})
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(pieces, 0, 40).Draw(t, "pieces"), "") })
}

func TestViewOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := wild().Draw(t, "text")
		v := NewView(text, "")
		if !utf8.ValidString(v.Text) {
			t.Fatalf("view %q is no UTF-8", v.Text)
		}
		lastFrom, lastTo := 0, 0
		for i, r := range v.Text {
			end := i + utf8.RuneLen(r)
			from, to, ok := v.Original(i, end)
			if !ok || from < lastFrom || to < lastTo || from >= to || to > len(text) || !boundary(text, from) || !boundary(text, to) {
				t.Fatalf("%d-%d of %q leads to %d-%d after %d-%d", i, end, v.Text, from, to, lastFrom, lastTo)
			}
			if again := NewView(text[from:to], "").Text; !strings.Contains(again, string(r)) && homoglyph([]rune(again)[0]) != r {
				t.Fatalf("%q stands for %q", r, text[from:to])
			}
			lastFrom, lastTo = from, to
			if whole, _, _ := v.Original(0, end); whole != firstFrom(v) {
				t.Fatalf("start moves to %d", whole)
			}
		}
		for _, bad := range [][2]int{{-1, 1}, {0, len(v.Text) + 1}, {1, 1}, {2, 1}} {
			if _, _, ok := v.Original(bad[0], bad[1]); ok {
				t.Fatalf("range %v accepted", bad)
			}
		}
	})
}

func firstFrom(v *View) int {
	if v.runs == nil {
		return 0
	}
	return int(v.runs[0].from)
}

func TestAutomatonAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.SampledFrom([]rune("abAB")), 1, 5, -1)
		patterns := rapid.SliceOfNDistinct(letters, 1, 6, strings.ToLower).Draw(t, "patterns")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abABc")), 0, 40, -1).Draw(t, "text")
		fold := rapid.Bool().Draw(t, "fold")
		same := func(a, b string) bool { return a == b || fold && strings.EqualFold(a, b) }
		want := 0
		for i := range text {
			for _, p := range patterns {
				if i+len(p) <= len(text) && same(text[i:i+len(p)], p) {
					want++
				}
			}
		}
		a := NewAutomaton(patterns, fold)
		got := 0
		a.Each(text, func(p, start, end int) bool {
			if !same(text[start:end], patterns[p]) {
				t.Fatalf("%q at %d-%d of %q", patterns[p], start, end, text)
			}
			got++
			return true
		})
		if got != want {
			t.Fatalf("%d occurrences, want %d", got, want)
		}
		for from := 0; from <= len(text); {
			start, end := -1, -1
			for i := from; i < len(text) && start < 0; i++ {
				for _, p := range patterns {
					if i+len(p) <= len(text) && same(text[i:i+len(p)], p) && i+len(p) > end {
						start, end = i, i+len(p)
					}
				}
			}
			_, s, e, ok := a.Next(text, from)
			if ok != (start >= 0) || ok && (s != start || e != end) {
				t.Fatalf("Next(%q, %d) = %d-%d %v, want %d-%d", text, from, s, e, ok, start, end)
			}
			if !ok {
				break
			}
			from = e
		}
	})
}

func TestResolveLosesNothing(t *testing.T) {
	text := strings.Repeat("x", 60)
	ran := 0
	rapid.Check(t, func(t *rapid.T) {
		ran++
		one := rapid.Custom(func(t *rapid.T) Finding {
			start := rapid.IntRange(0, 50).Draw(t, "start")
			return Finding{
				Type: rapid.SampledFrom([]string{"PERSON", "IBAN", "SECRET", "PHONE"}).Draw(t, "type"), Start: start,
				End: start + rapid.IntRange(1, 9).Draw(t, "length"), Score: rapid.SampledFrom([]float64{0.3, 0.5, 0.75, 0.85, 0.99, 1}).Draw(t, "score"),
			}
		})
		list := rapid.SliceOfN(one, 0, 12).Draw(t, "findings")
		var before, secret, after [60]bool
		for _, f := range list {
			for i := f.Start; i < f.End; i++ {
				before[i] = true
				secret[i] = secret[i] || f.Type == TypeSecret
			}
		}
		last := 0
		for _, f := range resolve(text, list) {
			if f.Start < last || f.Start >= f.End {
				t.Fatalf("overlap or empty: %+v", f)
			}
			last = f.End
			for i := f.Start; i < f.End; i++ {
				after[i] = true
				if secret[i] != (f.Type == TypeSecret) {
					t.Fatalf("byte %d: secret %v, finding %s", i, secret[i], f.Type)
				}
			}
		}
		if before != after {
			t.Fatalf("covered bytes changed: %v to %v", before, after)
		}
	})
	if ran == 0 {
		t.Fatal("no case ran")
	}
}
