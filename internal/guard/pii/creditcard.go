package pii

import "github.com/leitplanke/leitplanke/internal/guard"

// CreditCard finds numbers of payment cards.
//
// Rule: issuer ranges (Visa 4, Mastercard 51-55 and 2221-2720, American Express 34 and 37, Diners 300-305, 36 and 38,
// Discover 6011, 644-649 and 65, JCB 3528-3589, Maestro 50, 56-58, 63 and 67), the issuer's length, Luhn, and the usual
// grouping: none, fours, or 4-6-5 and 4-6-4. Blanks or hyphens may stand between the groups.
// Finds: 4123 4567 8901 2349, 5430128874551623, 3714-496353-98431.
// Leaves: 4123 4567 8901 2348 (Luhn), 9123456789012344 (issuer), RE-4123456789012349 (part of a code).
type CreditCard struct{}

// Name implements guard.Detector.
func (CreditCard) Name() string { return "credit_card" }

// Detect implements guard.Detector.
func (CreditCard) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	var buf [6]group
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			continue
		}
		if joined(s, i) {
			i = behindDigits(s, i)
			continue
		}
		end := cardEnd(s, i, buf[:])
		if end > 0 {
			f := guard.Finding{Type: TypeCreditCard, Start: i, End: end, Score: guard.ScoreChecksum}
			if hasContext(v, i, "kredit", "karte", "card", "visa", "mastercard", "amex") {
				f.Score = guard.ScoreChecksumContext
			}
			found = append(found, f)
			i = end
			continue
		}
		i = behindDigits(s, i)
	}
	return found, nil
}

// cardEnd gives the end of the card number that starts at start, 0 when there is none. Another number, such as the date
// of expiry, may follow one blank apart.
func cardEnd(s string, start int, buf []group) int {
	groups, _ := chain(s, start, " -", buf)
	if preceded(s, start) {
		groups = groups[:1]
	}
	for n := len(groups); n > 0; n-- {
		end := groups[n-1].end
		if !continued(s, end) && card(s, groups[:n]) {
			return end
		}
	}
	return 0
}

func behindDigits(s string, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

func card(s string, groups []group) bool {
	var digits [19]byte
	n := 0
	for _, g := range groups {
		if n+g.end-g.start > len(digits) {
			return false
		}
		n += copy(digits[n:], s[g.start:g.end])
	}
	return grouped(groups) && issuer(digits[:n]) && luhn(digits[:n])
}

func grouped(groups []group) bool {
	size := func(i int) int { return groups[i].end - groups[i].start }
	if len(groups) == 1 {
		return true
	}
	if len(groups) == 3 && size(0) == 4 && size(1) == 6 {
		return size(2) == 4 || size(2) == 5
	}
	for i := range len(groups) - 1 {
		if size(i) != 4 {
			return false
		}
	}
	return size(len(groups)-1) <= 4
}

func issuer(digits []byte) bool {
	n := len(digits)
	if n < 13 {
		return false
	}
	prefix := 0
	for _, c := range digits[:4] {
		prefix = prefix*10 + int(c-'0')
	}
	switch two := prefix / 100; {
	case prefix/1000 == 4:
		return n == 13 || n == 16 || n == 19
	case 51 <= two && two <= 55, 2221 <= prefix && prefix <= 2720:
		return n == 16
	case two == 34, two == 37:
		return n == 15
	case 3000 <= prefix && prefix <= 3059, two == 36, two == 38:
		return n == 14
	case prefix == 6011, 6440 <= prefix && prefix <= 6499, two == 65, 3528 <= prefix && prefix <= 3589:
		return n >= 16
	case two == 50, 56 <= two && two <= 58, two == 63, two == 67:
		return n >= 16
	}
	return false
}

func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
