// Package pii holds the detectors of personal data that work by rules: identifiers with a check digit, e-mail addresses,
// telephone numbers, and persons by title and context. One detector is one file.
//
// They read a guard.View by hand and not with regular expressions: each starts at a byte that it needs (a digit, @, a
// cue word) and looks a bounded distance around it, so time is linear in the length of the text.
package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// The types that this package finds, in the words of the contract.
const (
	TypeIBAN       = "IBAN"
	TypeEmail      = "EMAIL"
	TypePhone      = "PHONE"
	TypeCreditCard = "CREDIT_CARD"
	TypeTaxID      = "TAX_ID"
)

// Detectors gives all detectors of this package, ready for guard.New.
func Detectors() []guard.Registered {
	return []guard.Registered{
		{Detector: IBAN{}, Types: []string{TypeIBAN}, Needs: guard.TriggerDigit},
		{Detector: CreditCard{}, Types: []string{TypeCreditCard}, Needs: guard.TriggerDigit},
		{Detector: TaxID{}, Types: []string{TypeTaxID}, Needs: guard.TriggerDigit},
		{Detector: Email{}, Types: []string{TypeEmail}, Needs: guard.TriggerAt | guard.TriggerBracket},
		{Detector: Phone{}, Types: []string{TypePhone}, Needs: guard.TriggerDigit},
		{Detector: NewPerson(), Types: []string{guard.TypePerson}, Needs: guard.TriggerUpper},
	}
}

// nearby is how far before a value a word may stand that says what it is, in bytes. Source: detection.md section 3,
// "within about 40 characters".
const nearby = 48

// hasContext says whether one of the words, given in lower case, stands shortly before start or is the value's key.
func hasContext(v *guard.View, start int, words ...string) bool {
	before := v.Text[max(0, start-nearby):start]
	for _, w := range words {
		if containsFold(before, w) || v.Context != "" && containsFold(v.Context, w) {
			return true
		}
	}
	return false
}

// containsFold says whether s holds word, which is ASCII in lower case, in any case of letters.
func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		k := 0
		for k < len(word) && lower(s[i+k]) == word[k] {
			k++
		}
		if k == len(word) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }

// wordBefore says whether a letter or digit stands directly before i.
func wordBefore(s string, i int) bool {
	r, n := utf8.DecodeLastRuneInString(s[:i])
	return n > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// wordAt says whether a letter or digit stands at i.
func wordAt(s string, i int) bool {
	r, n := utf8.DecodeRuneInString(s[i:])
	return n > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// group is a run of digits that a number is written in.
type group struct{ start, end int }

// chain reads groups of digits that single separators of sep join, from start, which must be a digit: at most len(into)
// groups. complete is false when the chain goes on behind them.
func chain(s string, start int, sep string, into []group) (groups []group, complete bool) {
	groups = into[:0]
	i := start
	for len(groups) < cap(into) {
		g := group{start: i}
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		g.end = i
		groups = append(groups, g)
		if i+1 >= len(s) || strings.IndexByte(sep, s[i]) < 0 || !isDigit(s[i+1]) {
			return groups, true
		}
		i++
	}
	return groups, false
}

// joined says whether the digit at start continues a longer number or code: 12-34, RE-2026, 1,234, v2.
func joined(s string, start int) bool {
	if start == 0 {
		return false
	}
	if wordBefore(s, start) {
		return true
	}
	switch s[start-1] {
	case '-', '/', '.', ',', '_', '#', '=', '&', '+', '%':
		return start > 1 && wordBefore(s, start-1)
	}
	return false
}

// preceded says whether another group of digits stands before start, one blank apart.
func preceded(s string, start int) bool {
	return start > 1 && s[start-1] == ' ' && isDigit(s[start-2])
}

// continued says whether a number or code goes on at end.
func continued(s string, end int) bool {
	if end >= len(s) {
		return false
	}
	if wordAt(s, end) {
		return true
	}
	switch s[end] {
	case '-', '/', '_', ',', '.':
		return end+1 < len(s) && isDigit(s[end+1])
	}
	return false
}
