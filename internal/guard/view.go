package guard

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Trigger is a set of byte classes that occur in a text.
type Trigger uint8

// The triggers.
const (
	TriggerDigit   Trigger = 1 << iota // 0-9
	TriggerAt                          // @
	TriggerBracket                     // ( or [: what "(at)" needs
	TriggerUpper                       // A-Z or any byte above ASCII: what a name needs
	TriggerMark                        // : or =: what a label or an assignment needs
	triggerUnclean                     // the text needs normalising
)

// byteTriggers gives the triggers of each byte. Lead bytes of two-byte characters up to U+024F stay clean except C2
// (NBSP, soft hyphen, C1 controls); E2 80 (typographic marks and odd spaces) is looked at closer.
var byteTriggers = func() (t [256]Trigger) {
	for c := range t {
		switch {
		case c == '\t' || c == '\n' || c == '\r':
		case c < 0x20 || c == 0x7f:
			t[c] = triggerUnclean
		case '0' <= c && c <= '9':
			t[c] = TriggerDigit
		case 'A' <= c && c <= 'Z':
			t[c] = TriggerUpper
		case c == '@':
			t[c] = TriggerAt
		case c == '(' || c == '[':
			t[c] = TriggerBracket
		case c == ':' || c == '=':
			t[c] = TriggerMark
		case 0xC3 <= c && c <= 0xC9 || 0x80 <= c && c <= 0xBF:
			t[c] = TriggerUpper
		case c >= 0xC0:
			t[c] = TriggerUpper | triggerUnclean
		}
	}
	return t
}()

// View is the form of a text that detectors read: odd spaces, invisible characters, full-width and look-alike letters
// and decomposed umlauts are normalised, and every place leads back to the original. Source: BSI "IPI-Basisschutz",
// measure M1, steps 1 to 7.
type View struct {
	Text    string // normalised
	Context string // the JSON key whose value this text is, normalised; "" = none

	size     int // bytes of the original
	triggers Trigger
	runs     []run // nil: Text is the original
}

// run is a piece of the view. A copied run has the same bytes in the original; any other stands for original[from:to].
type run struct {
	at, from, to int32
	copied       bool
}

// NewView normalises text. It copies nothing when text is ASCII or Latin with German punctuation.
func NewView(text, context string) *View {
	v := new(View)
	v.reset(text, context)
	return v
}

func (v *View) reset(text, context string) {
	var all Trigger
	for i := range len(text) {
		all |= byteTriggers[text[i]]
	}
	*v = View{Text: text, Context: context, size: len(text), triggers: all &^ triggerUnclean}
	if all&triggerUnclean != 0 && !clean(text) {
		v.normalise(text)
	}
}

// Has says whether the text has one of the triggers.
func (v *View) Has(t Trigger) bool { return v.triggers&t != 0 }

// clean decides for a text with suspicious bytes whether each of its characters may stay as it is.
func clean(text string) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if byteTriggers[c]&triggerUnclean != 0 {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if !plain(r) {
			return false
		}
		i += n
	}
	return true
}

// plain says whether a character stands in a view as it is and never combines with its neighbours.
func plain(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return true
	case r < 0x20 || 0x7f <= r && r <= 0xa0 || r == 0xad:
		return false
	case r < 0x250:
		return r != 0x17f
	case 0x2012 <= r && r <= 0x2027, 0x2030 <= r && r <= 0x203a:
		return true // dashes, quotes, bullet, ellipsis, per mille
	case r == '€', r == '→', r == '✓', r == '≥', r == '≤', r == '−', r == '≈', r == '×':
		return true
	}
	return false
}

// atom is one character of the normalised text with its source.
type atom struct {
	r        rune
	from, to int32
}

func (v *View) normalise(text string) {
	atoms := make([]atom, 0, len(text))
	for i := 0; i < len(text); {
		n := 1
		if text[i] >= utf8.RuneSelf || i+1 < len(text) && text[i+1] >= utf8.RuneSelf {
			n = segment(text[i:])
		}
		atoms = appendAtoms(atoms, text[i:i+n], int32(i))
		i += n
	}
	fold(atoms)
	out := make([]byte, 0, len(text))
	for _, a := range atoms {
		at := int32(len(out))
		out = utf8.AppendRune(out, a.r)
		copied := string(out[at:]) == text[a.from:a.to]
		if k := len(v.runs) - 1; k >= 0 && copied && v.runs[k].copied && v.runs[k].to == a.from {
			v.runs[k].to = a.to
			continue
		}
		v.runs = append(v.runs, run{at, a.from, a.to, copied})
	}
	v.Text = string(out)
	for i := range len(v.Text) {
		v.triggers |= byteTriggers[v.Text[i]]
	}
	v.triggers &^= triggerUnclean
}

// maxSegment bounds a chain of combining marks that is normalised as one.
const maxSegment = 64

// segment gives the length of the first piece of text that normalises on its own.
func segment(text string) int {
	_, n := utf8.DecodeRuneInString(text)
	for n < len(text) && n < maxSegment {
		r, size := utf8.DecodeRuneInString(text[n:])
		if !unicode.Is(unicode.M, r) || invisible(r) {
			break
		}
		n += size
	}
	return n
}

func appendAtoms(atoms []atom, piece string, from int32) []atom {
	to := from + int32(len(piece))
	first, n := utf8.DecodeRuneInString(piece)
	if n == len(piece) && plain(first) {
		return append(atoms, atom{first, from, to})
	}
	for _, r := range norm.NFKC.String(piece) {
		switch {
		case invisible(r):
		case r != '\n' && r != '\r' && r != '\t' && (unicode.IsSpace(r) || unicode.Is(unicode.Zs, r)):
			atoms = append(atoms, atom{' ', from, to})
		case r == '\u2010' || r == '\u2011':
			atoms = append(atoms, atom{'-', from, to})
		default:
			atoms = append(atoms, atom{r, from, to})
		}
	}
	return atoms
}

// invisible says whether a character is removed: controls, soft hyphen, zero width, BiDi, TAG block, variation
// selectors and other format characters.
func invisible(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return false
	case r == 0x85, r == 0x2028, r == 0x2029:
		return false // line ends: they become a space
	case r == 0x34f, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0:
		return true
	case 0xfe00 <= r && r <= 0xfe0f, 0xe0100 <= r && r <= 0xe01ef, 0xe0000 <= r && r <= 0xe007f:
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}

// homoglyph gives the Latin letter that a Cyrillic or Greek one looks like; 0 = none.
func homoglyph(r rune) rune {
	if r < 0x391 || r > 0x51d {
		return 0
	}
	const alike = "аa еe оo рp сc уy хx іi ѕs јj һh ԁd ԛq ԝw АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ІI ЅS ЈJ " +
		"ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX οo ρp αa νv"
	at := strings.IndexRune(alike, r)
	if at < 0 {
		return 0
	}
	return rune(alike[at+utf8.RuneLen(r)])
}

// fold turns look-alikes into ASCII inside tokens that are ASCII for the larger part (65 %) or hold a mark of markup.
func fold(atoms []atom) {
	for i := 0; i < len(atoms); {
		if atoms[i].r <= ' ' {
			i++
			continue
		}
		first, ascii, alike, markup := i, 0, 0, false
		for ; i < len(atoms) && atoms[i].r > ' '; i++ {
			switch r := atoms[i].r; {
			case r < utf8.RuneSelf:
				ascii++
				markup = markup || strings.ContainsRune("<>|/[]{}", r)
			case homoglyph(r) != 0:
				alike++
			}
		}
		if alike == 0 || !markup && ascii*100 < 65*(i-first) {
			continue
		}
		for k := first; k < i; k++ {
			if r := homoglyph(atoms[k].r); r != 0 {
				atoms[k].r = r
			}
		}
	}
}

// Original maps a non-empty range of Text to the range of the original it stands for. ok is false when the range is
// empty, lies outside of Text or cuts a character.
func (v *View) Original(start, end int) (from, to int, ok bool) {
	if start < 0 || end > len(v.Text) || start >= end || !boundary(v.Text, start) || !boundary(v.Text, end) {
		return 0, 0, false
	}
	if v.runs == nil {
		return start, end, true
	}
	first, last := v.run(start), v.run(end-1)
	from, to = int(first.from), int(last.to)
	if first.copied {
		from += start - int(first.at)
	}
	if last.copied {
		to = int(last.from) + end - int(last.at)
	}
	return from, to, true
}

// run gives the run that holds byte i of Text.
func (v *View) run(i int) run {
	k := sort.Search(len(v.runs), func(k int) bool { return int(v.runs[k].at) > i })
	return v.runs[k-1]
}

func boundary(s string, i int) bool { return i == len(s) || utf8.RuneStart(s[i]) }
