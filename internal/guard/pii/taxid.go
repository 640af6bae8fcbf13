package pii

import (
	"strings"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// TaxID finds the German tax identification number of a person (Steuer-Identifikationsnummer).
//
// Rule: section 139b AO; eleven digits, the first not 0; among the first ten exactly one digit occurs two or three times
// (three only apart from each other); check digit by ISO 7064 mod 11,10. Written in one piece or as 2-3-3-3.
// Finds: 81573042901, 65 037 124 863, 23918475017.
// Leaves: 81573042902 (check digit), 12345678903 (no digit repeats), 01573042901 (leading 0).
type TaxID struct{}

// Name implements guard.Detector.
func (TaxID) Name() string { return "tax_id_de" }

// Detect implements guard.Detector.
func (TaxID) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
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
		groups, complete := chain(s, i, " ", buf[:])
		if preceded(s, i) || len(groups) == 2 {
			groups = groups[:1]
		}
		end := groups[len(groups)-1].end
		if (complete || len(groups) == 1) && !continued(s, end) && taxID(s, groups) {
			f := guard.Finding{Type: TypeTaxID, Start: i, End: end, Score: guard.ScoreChecksum}
			if hasContext(v, i, "steuer", "idnr", "tax", "tin", "identifikationsnummer") {
				f.Score = guard.ScoreChecksumContext
			}
			found = append(found, f)
			i = end
			continue
		}
		i = groups[0].end
	}
	return found, nil
}

func taxID(s string, groups []group) bool {
	switch len(groups) {
	case 1:
	case 4:
		if groups[0].end-groups[0].start != 2 || groups[1].end-groups[1].start != 3 || groups[2].end-groups[2].start != 3 {
			return false
		}
	default:
		return false
	}
	var digits [11]byte
	n := 0
	for _, g := range groups {
		if n+g.end-g.start > len(digits) {
			return false
		}
		n += copy(digits[n:], s[g.start:g.end])
	}
	return n == len(digits) && digits[0] != '0' && repeats(digits[:10]) && mod11(digits[:]) == 1
}

// repeats checks the rule that exactly one digit occurs two or three times.
func repeats(digits []byte) bool {
	var count [10]int
	for _, c := range digits {
		count[c-'0']++
	}
	repeated := 0
	for d, n := range count {
		if n < 2 {
			continue
		}
		repeated++
		if n > 3 || n == 3 && strings.Contains(string(digits), strings.Repeat(string(rune('0'+d)), 3)) {
			return false
		}
	}
	return repeated == 1
}

// mod11 computes ISO 7064 mod 11,10 over all digits, the check digit included; 1 = valid.
func mod11(digits []byte) int {
	product := 10
	for _, c := range digits[:len(digits)-1] {
		sum := (int(c-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return (product + int(digits[len(digits)-1]-'0')) % 10
}
