package guard

import (
	"errors"
	"sort"
	"strings"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

// leafKind says how a leaf is written in the text of its part.
type leafKind uint8

const (
	leafPlain  leafKind = iota // the text itself
	leafString                 // a JSON string literal
	leafNumber                 // a JSON number
)

// leaf is a piece of a part that is inspected as one text: the whole text of a part, or one string, key or number of
// its tool arguments or of a text that is a JSON document, as results of tools often are.
type leaf struct {
	kind       leafKind
	text       string // decoded
	context    string // the key whose value it is
	start, end int    // in the part's text, quotes included
	decoded    rawjson.Decoded
	// verbatim is the part's text when what a token replaces is not the decoded value but the bytes as written: in a
	// running text, which comes back as text and not as JSON. "" otherwise.
	verbatim string
}

// offset maps byte i of the leaf's text to the part's text.
func (l *leaf) offset(i int) int {
	if l.kind == leafString {
		return l.decoded.Offset(i)
	}
	return l.start + i
}

// span maps a range of the leaf's text to the part's text. A number is one piece.
func (l *leaf) span(start, end int) (int, int) {
	if l.kind == leafNumber {
		return l.start, l.end
	}
	return l.offset(start), l.offset(end)
}

// errAmbiguous refuses tool arguments that are JSON to one reader and not, or another JSON, to the next.
var errAmbiguous = errors.New("guard: ambiguous tool arguments")

// leaves opens a part. Tool arguments, and a text that is a JSON object or array, give their keys, strings and numbers
// in the order of the bytes; what is not JSON is plain text.
func leaves(part chat.Part, limits Limits) ([]leaf, error) {
	text := string(part.Text)
	if part.Kind != chat.KindArguments && !opens(text) {
		return plainLeaf(text), nil
	}
	doc, err := rawjson.Parse([]byte(text), rawjson.Limits{Values: limits.Values})
	if refusal := (*rawjson.Error)(nil); errors.As(err, &refusal) {
		switch refusal.Reason {
		case rawjson.ReasonDuplicate, rawjson.ReasonSurrogate, rawjson.ReasonUTF8, rawjson.ReasonDepth, rawjson.ReasonValues:
			if part.Kind == chat.KindArguments {
				return nil, errAmbiguous
			}
		}
		return plainLeaf(text), nil
	}
	list := appendLeaves(nil, doc.Root(), "")
	if part.Kind != chat.KindArguments {
		for k := range list {
			list[k].verbatim = text
		}
	}
	return list, nil
}

func plainLeaf(text string) []leaf { return []leaf{{kind: leafPlain, text: text, end: len(text)}} }

// opens says whether a text may be a JSON object or array.
func opens(text string) bool {
	text = strings.TrimLeft(text, " \t\r\n")
	return text != "" && (text[0] == '{' || text[0] == '[')
}

func appendLeaves(list []leaf, v rawjson.Value, context string) []leaf {
	start, end := v.Span()
	switch v.Kind() {
	case rawjson.String:
		d := v.Decode()
		list = append(list, leaf{kind: leafString, text: d.Text, context: context, start: start, end: end, decoded: d})
	case rawjson.Number:
		list = append(list, leaf{kind: leafNumber, text: string(v.Raw()), context: context, start: start, end: end})
	case rawjson.Array:
		for item := range v.Items() {
			list = appendLeaves(list, item, context)
		}
	case rawjson.Object:
		for key, value := range v.Fields() {
			list = appendLeaves(list, key, "")
			list = appendLeaves(list, value, key.Text())
		}
	}
	return list
}

// value gives what stands at a finding as the reader of the leaf sees it, and the leaf.
func value(list []leaf, f Finding) (string, *leaf, error) {
	k := sort.Search(len(list), func(k int) bool { return list[k].start > f.Start }) - 1
	if k < 0 || f.Start >= f.End || f.End > list[k].end {
		return "", nil, errPlace
	}
	l := &list[k]
	switch l.kind {
	case leafNumber:
		if f.Start != l.start || f.End != l.end {
			return "", nil, errPlace
		}
		return l.text, l, nil
	case leafString:
		from, ok := l.index(f.Start)
		to, ok2 := l.index(f.End)
		if !ok || !ok2 {
			return "", nil, errPlace
		}
		return strings.Clone(l.text[from:to]), l, nil
	}
	if !boundary(l.text, f.Start) || !boundary(l.text, f.End) {
		return "", nil, errPlace
	}
	return l.text[f.Start:f.End], l, nil
}

// index is the reverse of offset for a string: the byte of the leaf's text whose place in the part's text is at.
func (l *leaf) index(at int) (int, bool) {
	i := sort.Search(len(l.text)+1, func(i int) bool { return l.decoded.Offset(i) >= at })
	return i, i <= len(l.text) && l.decoded.Offset(i) == at && boundary(l.text, i)
}

// errPlace refuses a finding that does not stand in one piece of text.
var errPlace = errors.New("guard: a finding lies outside of the text")
