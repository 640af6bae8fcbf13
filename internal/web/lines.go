package web

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MarkKind is why a part of a text is marked. It is also the class of the element; personal data has none.
type MarkKind string

// The kinds of marks, from the weakest to the one that wins where marks overlap.
const (
	MarkHit         MarkKind = "hit"    // found by a search, or a character that cannot be seen
	MarkPlaceholder MarkKind = "ph"     // stands for something that was taken out
	MarkPersonal    MarkKind = "pers"   // personal data
	MarkInjection   MarkKind = "inj"    // an instruction inside a document
	MarkSecret      MarkKind = "secret" // a password or a key
)

func (k MarkKind) rank() int {
	switch k {
	case MarkSecret:
		return 5
	case MarkInjection:
		return 4
	case MarkPersonal:
		return 3
	case MarkPlaceholder:
		return 2
	case MarkHit:
		return 1
	}
	return 0
}

// Mark is a marked part of a text: byte offsets, end exclusive. Label is in words.
type Mark struct {
	Start, End int
	Kind       MarkKind
	Label      string
}

// Text is a text with its marks.
type Text struct {
	Body  string
	Marks []Mark
}

// Segment is a piece of a line with at most one mark. Kind is "" for plain text.
type Segment struct {
	Text  string
	Kind  MarkKind
	Label string
}

// Line is one line of a text with its number from 1.
type Line struct {
	No       int
	Segments []Segment
}

// Lines cuts a text into lines of segments. Offsets outside the text or inside a character are moved to the next
// safe place, overlapping marks give way to the stronger one, and a mark that runs over a line break keeps its lines
// together: the same finding has one line on both sides of a comparison, whatever replaced it. Characters that cannot
// be seen, or that turn the direction of reading, are written out as marks of their own.
func Lines(t Text) []Line {
	out := []Line{{No: 1}}
	no := 1
	for _, s := range segments(t) {
		rest := s.Text
		for s.Kind == "" { // only plain text breaks lines
			before, after, ok := strings.Cut(rest, "\n")
			if !ok {
				break
			}
			last := &out[len(out)-1]
			last.Segments = appendVisible(last.Segments, Segment{Text: strings.TrimSuffix(before, "\r")})
			no++
			out = append(out, Line{No: no})
			rest = after
		}
		no += strings.Count(rest, "\n")
		last := &out[len(out)-1]
		last.Segments = appendVisible(last.Segments, Segment{Text: rest, Kind: s.Kind, Label: s.Label})
	}
	return out
}

// segments cuts the text at every edge of a mark.
func segments(t Text) []Segment {
	marks := make([]Mark, 0, len(t.Marks))
	edges := []int{0, len(t.Body)}
	for _, m := range t.Marks {
		m.Start, m.End = inside(t.Body, m.Start, false), inside(t.Body, m.End, true)
		if m.Start >= m.End || m.Kind.rank() == 0 {
			continue
		}
		marks = append(marks, m)
		edges = append(edges, m.Start, m.End)
	}
	sort.Ints(edges)
	sort.SliceStable(marks, func(i, j int) bool { return marks[i].Start < marks[j].Start })

	var out []Segment
	var open []Mark // marks that have begun and not ended
	next := 0
	for i := 0; i+1 < len(edges); i++ {
		from, to := edges[i], edges[i+1]
		if from == to {
			continue
		}
		for ; next < len(marks) && marks[next].Start <= from; next++ {
			open = append(open, marks[next])
		}
		s := Segment{Text: t.Body[from:to]}
		kept := open[:0]
		for _, m := range open {
			if m.End <= from {
				continue
			}
			kept = append(kept, m)
			if m.Kind.rank() > s.Kind.rank() {
				s.Kind, s.Label = m.Kind, m.Label
			}
		}
		open = kept
		if n := len(out); n > 0 && out[n-1].Kind == s.Kind && out[n-1].Label == s.Label && s.Kind == "" {
			out[n-1].Text += s.Text
			continue
		}
		out = append(out, s)
	}
	return out
}

// inside moves an offset into the text and to the edge of a character.
func inside(s string, at int, forward bool) int {
	at = max(0, min(at, len(s)))
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		if forward {
			at++
		} else {
			at--
		}
	}
	return at
}

// appendVisible appends s with its invisible characters written out.
func appendVisible(list []Segment, s Segment) []Segment {
	from := 0
	for i, r := range s.Text {
		name := ""
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s.Text[i:]); size == 1 {
				name = fmt.Sprintf("⟨%02X⟩", s.Text[i])
			}
		case r == '\n' || r == '\t' || (r == '\r' && strings.HasPrefix(s.Text[i+1:], "\n")):
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r) && r != '\u00ad' && r != '\u200d':
			name = fmt.Sprintf("⟨U+%04X⟩", r)
		}
		if name == "" {
			continue
		}
		if i > from {
			list = append(list, Segment{Text: s.Text[from:i], Kind: s.Kind, Label: s.Label})
		}
		list = append(list, Segment{Text: name, Kind: MarkHit, Label: name})
		_, size := utf8.DecodeRuneInString(s.Text[i:])
		from = i + size
	}
	if from < len(s.Text) {
		list = append(list, Segment{Text: s.Text[from:], Kind: s.Kind, Label: s.Label})
	}
	return list
}

// SplitPart is one part of a conversation on both sides of a comparison. Label is in words and may be empty.
type SplitPart struct {
	Label       string
	Left, Right Text
}

// SplitRow is a row of a comparison: a heading, or a numbered line. No is 0 for a line that only one side has.
type SplitRow struct {
	Heading     string
	No          int
	Left, Right []Segment
}

// Split is a comparison of two texts line by line, ready for the part "lines". Headings are in words. Without RightHead
// there is one column.
type Split struct {
	LeftHead, RightHead string
	Rows                []SplitRow
	More                int // lines that are not shown
}

// MaxLines is how many lines a comparison shows at most.
const MaxLines = 2000

// NewSplit compares parts line by line, numbered through.
func NewSplit(leftHead, rightHead string, parts []SplitPart) Split {
	s := Split{LeftHead: leftHead, RightHead: rightHead}
	offset, shown := 0, 0
	for _, p := range parts {
		left, right := Lines(p.Left), []Line(nil)
		if rightHead != "" {
			right = Lines(p.Right)
		}
		if p.Label != "" {
			s.Rows = append(s.Rows, SplitRow{Heading: p.Label})
		}
		for i := range max(len(left), len(right)) {
			if shown++; shown > MaxLines {
				s.More++
				continue
			}
			var row SplitRow
			if i < len(left) {
				row.No, row.Left = offset+left[i].No, left[i].Segments
			}
			if i < len(right) {
				row.Right = right[i].Segments
			}
			s.Rows = append(s.Rows, row)
		}
		offset += strings.Count(p.Left.Body, "\n") + 1
	}
	return s
}
