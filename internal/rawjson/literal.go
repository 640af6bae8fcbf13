package rawjson

import (
	"slices"
	"sort"
	"unicode/utf16"
	"unicode/utf8"
)

// escape checks the escape that starts at i and gives its length in bytes; a surrogate pair is one escape of 12.
func escape(raw []byte, i int) (int, error) {
	if i+1 >= len(raw) {
		return 0, &Error{len(raw), ReasonEnd}
	}
	switch raw[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
	default:
		return 0, &Error{i, ReasonEscape}
	}
	first, err := unit(raw, i)
	if err != nil {
		return 0, err
	}
	if !utf16.IsSurrogate(first) {
		return 6, nil
	}
	if i+7 >= len(raw) || raw[i+6] != '\\' || raw[i+7] != 'u' {
		return 0, &Error{i, ReasonSurrogate}
	}
	second, err := unit(raw, i+6)
	if err != nil {
		return 0, err
	}
	if utf16.DecodeRune(first, second) == utf8.RuneError {
		return 0, &Error{i, ReasonSurrogate}
	}
	return 12, nil
}

// unit reads the four hexadecimal digits of the \u escape at i.
func unit(raw []byte, i int) (rune, error) {
	if i+6 > len(raw) {
		return 0, &Error{len(raw), ReasonEnd}
	}
	var r rune
	for _, c := range raw[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, &Error{i, ReasonEscape}
		}
	}
	return r, nil
}

// Decoded is the text of a string literal with the map from its bytes to the bytes of the literal.
type Decoded struct {
	Text   string
	start  int // raw offset of the first byte of content
	shifts []shift
}

// shift is one escape: it stands at raw and text, and is rawLen and textLen bytes long there.
type shift struct{ text, raw, textLen, rawLen int }

// Offset gives the raw offset of the byte i of Text, 0 <= i <= len(Text). A byte inside a character that was written as
// an escape gives the start of the escape.
func (d Decoded) Offset(i int) int {
	k := sort.Search(len(d.shifts), func(k int) bool { return d.shifts[k].text > i })
	if k == 0 {
		return d.start + i
	}
	s := d.shifts[k-1]
	if i < s.text+s.textLen {
		return s.raw
	}
	return s.raw + s.rawLen + i - s.text - s.textLen
}

// Literal decodes the string literal raw[start:end], quotes included, as strictly as Parse. Offsets of the result and
// of an error count from the start of raw.
func Literal(raw []byte, start, end int) (Decoded, error) {
	if start < 0 || end > len(raw) || end-start < 2 || raw[start] != '"' {
		return Decoded{}, &Error{max(start, 0), ReasonSyntax}
	}
	content := raw[start:end]
	if !utf8.Valid(content) {
		return Decoded{}, &Error{start + invalidUTF8(content), ReasonUTF8}
	}
	stop, escaped, err := literal(raw[:end], start)
	if err != nil {
		return Decoded{}, err
	}
	if stop != end {
		return Decoded{}, &Error{stop, ReasonTrailing}
	}
	if !escaped {
		return Decoded{Text: string(raw[start+1 : end-1]), start: start + 1}, nil
	}
	return decode(content, start), nil
}

// decode decodes a checked literal whose opening quote stands at base.
func decode(lit []byte, base int) Decoded {
	text := make([]byte, 0, len(lit))
	var shifts []shift
	for i := 1; i < len(lit)-1; {
		if lit[i] != '\\' {
			text = append(text, lit[i])
			i++
			continue
		}
		s := shift{text: len(text), raw: base + i, rawLen: 2}
		switch c := lit[i+1]; c {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r, _ := unit(lit, i)
			s.rawLen = 6
			if utf16.IsSurrogate(r) {
				second, _ := unit(lit, i+6)
				r, s.rawLen = utf16.DecodeRune(r, second), 12
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, c)
		}
		s.textLen = len(text) - s.text
		shifts = append(shifts, s)
		i += s.rawLen
	}
	return Decoded{Text: string(text), start: base + 1, shifts: shifts}
}

// AppendString appends s to dst, escaped to stand inside a string literal; quotes around it are not added. Bytes that
// are not valid UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// Edit replaces the bytes from Start to End by New.
type Edit struct {
	Start, End int
	New        []byte
}

// Apply gives raw with the edits made; bytes outside of them stay. The edits may come in any order but must not overlap
// or lie outside. The error is an *Error.
func Apply(raw []byte, edits []Edit) ([]byte, error) {
	byStart := func(a, b Edit) int { return a.Start - b.Start }
	if !slices.IsSortedFunc(edits, byStart) {
		edits = slices.Clone(edits)
		slices.SortStableFunc(edits, byStart)
	}
	size, last := len(raw), 0
	for _, e := range edits {
		if e.Start < last || e.End < e.Start || e.End > len(raw) {
			return nil, &Error{e.Start, ReasonEdit}
		}
		size, last = size+len(e.New)-(e.End-e.Start), e.End
	}
	out := make([]byte, 0, size)
	last = 0
	for _, e := range edits {
		out = append(append(out, raw[last:e.Start]...), e.New...)
		last = e.End
	}
	return append(out, raw[last:]...), nil
}
