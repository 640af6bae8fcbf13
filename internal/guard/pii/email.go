package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// Email finds e-mail addresses.
//
// Rule: grow both ways from @, "(at)" or "[at]"; a local part of RFC 5322 atoms (letters of any script), a domain of two
// or more labels, "(dot)" and "(punkt)" for the point, and a last label of letters or xn--. No list of top-level domains:
// it would miss .example and every new one.
// Finds: k.brenner@hydraulik-brenner.example, max (at) firma (punkt) de, jörg@müller.de.
// Leaves: logo@2x.png (a file), git@github.com:a/b.git (a remote), @handle, user@localhost.
type Email struct{}

// Name implements guard.Detector.
func (Email) Name() string { return "email" }

// Bounds of RFC 5321, in bytes.
const (
	mostLocal  = 64
	mostDomain = 255
)

// Detect implements guard.Detector.
func (Email) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	for i := 0; i < len(s); i++ {
		size := 0
		switch s[i] {
		case '@':
			size = 1
		case '(', '[':
			size = bracketed(s[i:], "at")
		}
		if size == 0 {
			continue
		}
		left, right := i, i+size
		if size > 1 {
			for left > 0 && s[left-1] == ' ' && i-left < 2 {
				left--
			}
			for right < len(s) && s[right] == ' ' && right-i-size < 2 {
				right++
			}
		}
		start, end := local(s, left), domain(s, right)
		if start == left || end == 0 || technical(s, start, left, end) {
			continue
		}
		found = append(found, guard.Finding{Type: TypeEmail, Start: start, End: end, Score: guard.ScoreGrammar})
		i = end - 1
	}
	return found, nil
}

// bracketed gives the length of "(word)" or "[word]" at the start of s in any case, 0 when it is not there.
func bracketed(s string, words ...string) int {
	for _, w := range words {
		n := len(w) + 2
		if len(s) < n || s[0] != '(' && s[0] != '[' || s[n-1] != ')' && s[n-1] != ']' {
			continue
		}
		if strings.EqualFold(s[1:n-1], w) {
			return n
		}
	}
	return 0
}

// local gives the start of the local part that ends at end.
func local(s string, end int) int {
	start := end
	for start > 0 && end-start < mostLocal {
		r, n := utf8.DecodeLastRuneInString(s[:start])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r) {
			break
		}
		start -= n
	}
	for start < end && strings.IndexByte(".!#$%&'*+-/=?^`{|}~", s[start]) >= 0 {
		start++
	}
	// "name=x@y", "mailto:" and a path before the address belong to the text around it
	if k := strings.LastIndexAny(s[start:end], "=/?&|"); k >= 0 {
		start += k + 1
	}
	if start < end && s[end-1] == '.' {
		return end
	}
	return start
}

// domain gives the end of the domain that starts at start, 0 when there is none.
func domain(s string, start int) int {
	i, labels, last := start, 0, 0
	end := 0
	for i < len(s) && i-start < mostDomain {
		first := i
		letters := true
		for i < len(s) {
			r, n := utf8.DecodeRuneInString(s[i:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' {
				break
			}
			letters = letters && unicode.IsLetter(r)
			i += n
		}
		if i == first || s[first] == '-' {
			break
		}
		labels, last = labels+1, i-first
		if labels > 1 && (letters && last >= 2 || strings.HasPrefix(s[first:i], "xn--")) {
			end = i
		}
		dot := 0
		if i < len(s) && s[i] == '.' {
			dot = 1
		} else {
			k := i
			for k < len(s) && s[k] == ' ' && k-i < 2 {
				k++
			}
			if dot = bracketed(s[k:], "dot", "punkt"); dot > 0 {
				dot += k - i
				for i+dot < len(s) && s[i+dot] == ' ' {
					dot++
				}
			}
		}
		if dot == 0 {
			break
		}
		i += dot
	}
	return end
}

// technical says whether an address of the right shape is a file name, a remote repository, or user and host of a URL.
func technical(s string, start, at, end int) bool {
	before := s[max(0, start-mostLocal):start]
	before = before[strings.LastIndexAny(before, " \t\n\"'<")+1:]
	if k := strings.LastIndex(before, "://"); k >= 0 && !strings.ContainsAny(before[k+3:], "/?#") {
		return true
	}
	if s[start:at] == "git" && end < len(s) && (s[end] == ':' || s[end] == '/') {
		return true
	}
	switch strings.ToLower(s[strings.LastIndexByte(s[:end], '.')+1 : end]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "json", "html", "xml", "pdf":
		return true
	}
	return false
}
