package pii

import (
	"strings"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// IBAN finds international bank account numbers.
//
// Rule: ISO 13616; country and length from the registry v101, mod 97 = 1. Blanks, line breaks and hyphens may stand
// between the characters, and letters may be small. A number inside of a longer code does not count.
// Finds: DE02100500000024290661, DE02 1005 0000 0024 2906 61, nl91abna0417164300.
// Leaves: DE03100500000024290661 (check digits), DE0210050000002429066 (length), DE275314980 (a VAT number).
type IBAN struct{}

// Name implements guard.Detector.
func (IBAN) Name() string { return "iban" }

// ibanLengths gives country and length in characters, in groups of four bytes.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18" +
	"FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24" +
	"ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25" +
	"SV28TL23TN24TR26UA29VA22VG24XK20YE30HN28"

func ibanLength(a, b byte) int {
	for i := 0; i < len(ibanLengths); i += 4 {
		if ibanLengths[i] == a && ibanLengths[i+1] == b {
			return int(ibanLengths[i+2]-'0')*10 + int(ibanLengths[i+3]-'0')
		}
	}
	return 0
}

// Detect implements guard.Detector.
func (IBAN) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	for i := 2; i+1 < len(s); i++ {
		if !isDigit(s[i]) || !isDigit(s[i+1]) {
			continue
		}
		start := i - 2
		if s[i-1] == ' ' && i >= 3 {
			start = i - 3
		}
		if !isLetter(s[start]) || !isLetter(s[start+1]) || wordBefore(s, start) {
			continue
		}
		length := ibanLength(upper(s[start]), upper(s[start+1]))
		end := iban(s, start, length)
		if end == 0 {
			continue
		}
		f := guard.Finding{Type: TypeIBAN, Start: start, End: end, Score: guard.ScoreChecksum}
		if hasContext(v, start, "iban", "konto", "account", "bank") {
			f.Score = guard.ScoreChecksumContext
		}
		found = append(found, f)
		i = end
	}
	return found, nil
}

// mostGap is how many separators may stand between two characters: a line break with an indent.
const mostGap = 4

// iban reads length characters from start and gives the offset behind them; 0 when they are no IBAN.
func iban(s string, start, length int) int {
	var chars [34]byte
	n, gap, i := 0, 0, start
	for n < length {
		if i >= len(s) {
			return 0
		}
		c := s[i]
		switch {
		case isAlnum(c):
			chars[n] = upper(c)
			n, gap = n+1, 0
		case strings.IndexByte(" -\n\r\t", c) >= 0 && gap < mostGap:
			gap++
		default:
			return 0
		}
		i++
	}
	if n == 0 || wordAt(s, i) || mod97(chars[4:n], chars[:4]) != 1 {
		return 0
	}
	return i
}

func mod97(parts ...[]byte) int {
	sum := 0
	for _, part := range parts {
		for _, c := range part {
			if isDigit(c) {
				sum = (sum*10 + int(c-'0')) % 97
			} else {
				sum = (sum*100 + int(c-'A') + 10) % 97
			}
		}
	}
	return sum
}
