package web

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// show writes lines as "1 plain [kind:text]".
func show(lines []Line) []string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		var b strings.Builder
		fmt.Fprintf(&b, "%d ", l.No)
		for _, s := range l.Segments {
			if s.Kind == "" {
				b.WriteString(s.Text)
			} else {
				fmt.Fprintf(&b, "[%s:%s]", s.Kind, s.Text)
			}
		}
		out = append(out, b.String())
	}
	return out
}

func TestLines(t *testing.T) {
	p, s, ph := MarkPersonal, MarkSecret, MarkPlaceholder
	cases := []struct {
		name string
		text Text
		want []string
	}{
		{"empty", Text{}, []string{"1 "}},
		{"plain", Text{Body: "a\nb"}, []string{"1 a", "2 b"}},
		{"windows", Text{Body: "a\r\nb\r\n"}, []string{"1 a", "2 b", "3 "}},
		{"marks", Text{Body: "Herr Ort\nIBAN X", Marks: []Mark{{0, 8, p, ""}, {14, 15, ph, ""}}}, []string{"1 [pers:Herr Ort]", "2 IBAN [ph:X]"}},
		{"unsorted", Text{Body: "abc", Marks: []Mark{{2, 3, p, ""}, {0, 1, p, ""}}}, []string{"1 [pers:a]b[pers:c]"}},
		{"secret wins", Text{Body: "abcdef", Marks: []Mark{{0, 6, p, ""}, {2, 4, s, ""}}}, []string{"1 [pers:ab][secret:cd][pers:ef]"}},
		{"overlap", Text{Body: "abcd", Marks: []Mark{{0, 3, s, ""}, {2, 4, p, ""}}}, []string{"1 [secret:ab][secret:c][pers:d]"}},
		{"outside", Text{Body: "ab", Marks: []Mark{{-5, 1, p, ""}, {1, 99, s, ""}, {50, 60, s, ""}}}, []string{"1 [pers:a][secret:b]"}},
		{"reversed", Text{Body: "ab", Marks: []Mark{{2, 0, p, ""}}}, []string{"1 ab"}},
		{"unknown kind", Text{Body: "ab", Marks: []Mark{{0, 2, "x\" onclick", ""}}}, []string{"1 ab"}},
		{"inside a character", Text{Body: "äöü", Marks: []Mark{{1, 3, p, ""}}}, []string{"1 [pers:äö]ü"}},
		{"over lines", Text{Body: "a\nKEY\nKEY\nb\nc", Marks: []Mark{{2, 9, s, ""}}}, []string{"1 a", "2 [secret:KEY\nKEY]", "4 b", "5 c"}},
		{"turned", Text{Body: "a\u202eb"}, []string{"1 a[hit:⟨U+202E⟩]b"}},
		{"zero width", Text{Body: "pass\u200bword", Marks: []Mark{{0, 11, s, ""}}}, []string{"1 [secret:pass][hit:⟨U+200B⟩][secret:word]"}},
		{"control", Text{Body: "a\x00\tb\rc"}, []string{"1 a[hit:⟨U+0000⟩]\tb[hit:⟨U+000D⟩]c"}},
		{"not UTF-8", Text{Body: "a\xffb"}, []string{"1 a[hit:⟨FF⟩]b"}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, show(Lines(c.text))); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// TestLinesLoseNothing: whatever the marks, the visible text is the text.
func TestLinesLoseNothing(t *testing.T) {
	kinds := []MarkKind{MarkPersonal, MarkSecret, MarkInjection, MarkPlaceholder, MarkHit, "none"}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringOf(rapid.SampledFrom([]rune("aä€😀 \n"))).Draw(t, "body")
		var marks []Mark
		for range rapid.IntRange(0, 5).Draw(t, "marks") {
			marks = append(marks, Mark{
				Start: rapid.IntRange(-2, len(body)+2).Draw(t, "start"), End: rapid.IntRange(-2, len(body)+2).Draw(t, "end"),
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"),
			})
		}
		var texts []string
		last := 0
		for _, l := range Lines(Text{Body: body, Marks: marks}) {
			if l.No <= last {
				t.Fatalf("line %d after %d", l.No, last)
			}
			last = l.No
			var b strings.Builder
			for _, s := range l.Segments {
				if !utf8.ValidString(s.Text) || s.Text == "" {
					t.Fatalf("segment %q", s.Text)
				}
				b.WriteString(s.Text)
			}
			texts = append(texts, b.String())
		}
		if got := strings.Join(texts, "\n"); got != body {
			t.Fatalf("%q became %q", body, got)
		}
	})
}

// TestSplitKeepsSidesTogether: a key of three lines on one side is one placeholder on the other, and what follows
// stands on the same row.
func TestSplitKeepsSidesTogether(t *testing.T) {
	left := Text{Body: "Key:\nAAA\nBBB\nCCC\nend", Marks: []Mark{{5, 16, MarkSecret, "SECRET"}}}
	right := Text{Body: "Key:\nSECRET_1\nend", Marks: []Mark{{5, 13, MarkPlaceholder, "SECRET_1"}}}
	s := NewSplit("L", "R", []SplitPart{{Label: "first", Left: left, Right: right}, {Left: Text{Body: "next"}, Right: Text{Body: "next\nonly right"}}})
	var got []string
	for _, r := range s.Rows {
		if r.Heading != "" {
			got = append(got, "# "+r.Heading)
			continue
		}
		got = append(got, strings.Join(append(show([]Line{{r.No, r.Left}}), show([]Line{{0, r.Right}})...), " | "))
	}
	want := []string{
		"# first", "1 Key: | 0 Key:", "2 [secret:AAA\nBBB\nCCC] | 0 [ph:SECRET_1]", "5 end | 0 end",
		"6 next | 0 next", "0  | 0 only right",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSplitIsBounded(t *testing.T) {
	s := NewSplit("L", "", []SplitPart{{Left: Text{Body: strings.Repeat("x\n", MaxLines+50)}}})
	if len(s.Rows) != MaxLines || s.More != 51 {
		t.Errorf("%d rows, %d more", len(s.Rows), s.More)
	}
}
