package pii

import (
	"strings"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// Phone finds telephone numbers.
//
// Rule: E.164 with + or 00 (ITU), lengths of the numbering plans of Germany, Austria and Switzerland, and national
// numbers that start with 0. A national number in one piece needs the prefix of a mobile network or a word such as "Tel"
// before it; a number without 0 needs that word directly before it. Dates, amounts, and numbers behind words such as
// "Rechnung" are left alone.
// Finds: +49 861 555 01 24, 0171 1234567, +49 (0)89 / 123 456-78, Tel. 5550124, (089) 123456.
// Leaves: 2026-11-24, 01.02.2026, RE-2026-4711, 1.190,00, the groups of an IBAN.
type Phone struct{}

// Name implements guard.Detector.
func (Phone) Name() string { return "phone" }

// Bounds of E.164 and of what is read as one number.
const (
	leastPhone  = 7  // digits
	mostPhone   = 15 // digits without +
	mostGroups  = 9
	leastDirect = 5 // digits directly behind a label
)

// dialled is one candidate.
type dialled struct {
	start, end int
	digits     [20]byte // without + and (0)
	n          int
	groups     int
	sizes      [mostGroups]int
	ends       [mostGroups]int // offsets behind each group
	plus       bool
	dots       int // separators that are points
}

// Detect implements guard.Detector.
func (Phone) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isDigit(c) && !((c == '+' || c == '(') && i+1 < len(s) && (isDigit(s[i+1]) || c == '(' && s[i+1] == '+')) {
			continue
		}
		if c != '+' && joined(s, i) || c == '+' && wordBefore(s, i) {
			i = max(i, behindDigits(s, i)-1)
			continue
		}
		d, ok := dial(s, i)
		if !ok {
			i = max(i, behindDigits(s, i)-1)
			continue
		}
		called := v.Context != "" && phoneWord(v.Context) || labelled(s, i)
		if !called && (preceded(s, i) || numbered(s, i)) || !d.valid(s, called) && !d.shorten(s, called) {
			i = max(i, behindDigits(s, i)-1)
			continue
		}
		found = append(found, guard.Finding{Type: TypePhone, Start: d.start, End: d.end, Score: guard.ScoreContext})
		i = d.end - 1
	}
	return found, nil
}

// dial reads the longest run of digit groups from start.
func dial(s string, start int) (d dialled, ok bool) {
	d.start = start
	i := start
	open := false
	if s[i] == '(' {
		open = true
		i++
	}
	if s[i] == '+' {
		d.plus = true
		i++
	}
	for i < len(s) && d.groups < mostGroups {
		first := i
		for i < len(s) && isDigit(s[i]) && d.n < len(d.digits) {
			d.digits[d.n] = s[i]
			d.n, i = d.n+1, i+1
		}
		if i == first {
			return d, false
		}
		if i < len(s) && isDigit(s[i]) { // more digits than any number has: what came before may be one
			d.n -= i - first
			return d, d.plus && d.groups > 1
		}
		d.sizes[d.groups], d.ends[d.groups] = i-first, i
		d.groups++
		d.end = i
		if open && i < len(s) && s[i] == ')' {
			open = false
			i++
		}
		next := separator(s, i)
		if strings.HasPrefix(s[next:], "(0)") {
			next = separator(s, next+3)
		} else if !open && next < len(s) && s[next] == '(' && d.n <= 3 {
			open = true
			next++
		}
		if next == i && s[max(0, i-1)] != ')' || next >= len(s) || !isDigit(s[next]) {
			break
		}
		if d.n >= 9 && s[next] == '0' && next+3 < len(s) && isDigit(s[next+2]) && isDigit(s[next+3]) {
			break // the next number of a list
		}
		if d.n >= leastPhone && dateAt(s, next) {
			break
		}
		if strings.IndexByte(s[i:next], '.') >= 0 {
			d.dots++
		}
		i = next
	}
	return d, !open && d.n > 0
}

// shorten drops groups from the end until a number with a country code is valid: other figures may follow it. It reports
// whether one was found.
func (d *dialled) shorten(s string, called bool) bool {
	for d.plus && d.groups > 2 {
		d.groups--
		d.n -= d.sizes[d.groups]
		d.end = d.ends[d.groups-1]
		if d.valid(s, called) {
			return true
		}
	}
	return false
}

// dateAt says whether a date stands at i: day, month and year with points, or year, month and day with hyphens.
func dateAt(s string, i int) bool { return figures(s, i, '.', 2, 2, 4) || figures(s, i, '-', 4, 2, 2) }

// figures says whether groups of at most that many digits stand at i, with the mark between them.
func figures(s string, i int, mark byte, most ...int) bool {
	for k, limit := range most {
		n := 0
		for i+n < len(s) && isDigit(s[i+n]) {
			n++
		}
		if n == 0 || n > limit || mark == '-' && n != limit {
			return false
		}
		if i += n; k == len(most)-1 {
			return true
		}
		if i >= len(s) || s[i] != mark {
			return false
		}
		i++
	}
	return false
}

// separator gives the offset behind what may stand between two groups: a blank, or a mark with blanks around it.
func separator(s string, i int) int {
	first := i
	marks := 0
	for i < len(s) && i-first < 3 {
		switch s[i] {
		case ' ':
		case '-', '/', '.':
			marks++
		default:
			return i
		}
		if marks > 1 {
			return first
		}
		i++
	}
	return i
}

// valid applies the rules of length and prefix. called says that a word before it announces a telephone number.
func (d *dialled) valid(s string, called bool) bool {
	digits := string(d.digits[:d.n])
	if d.end < len(s) && (wordAt(s, d.end) || s[d.end] == '%' || s[d.end] == ',' && d.end+1 < len(s) && isDigit(s[d.end+1])) {
		return false
	}
	if strings.HasPrefix(s[d.end:], " €") || strings.HasPrefix(s[d.end:], " EUR") {
		return false
	}
	switch {
	case d.plus:
		return international(digits)
	case strings.HasPrefix(digits, "00") && international(digits[2:]):
		return called || d.groups > 1 || strings.HasPrefix(digits, "0049")
	case date(d):
		return false
	case digits[0] == '0':
		return called && d.n >= leastDirect && d.n <= mostPhone || national(digits) && (mobile(digits) && d.dots == 0 || d.groups > 1 && d.groups < 7 && d.dots == 0 && d.sizes[0] > 2)
	case s[d.start] == '(' && d.groups == 3 && d.sizes == [mostGroups]int{3, 3, 4}:
		return digits[0] > '1' && digits[3] > '1' // North America
	}
	return called && leastDirect <= d.n && d.n <= mostPhone && d.dots == 0
}

func international(digits string) bool {
	n := len(digits)
	switch {
	case n < leastPhone+1 || n > mostPhone || digits[0] == '0':
		return false
	case strings.HasPrefix(digits, "49"):
		return n >= 8 && n <= 14 && digits[2] != '0'
	case strings.HasPrefix(digits, "43"):
		return n >= 8 && digits[2] != '0'
	case strings.HasPrefix(digits, "41"):
		return n == 11
	}
	return true
}

func national(digits string) bool {
	return len(digits) >= 8 && len(digits) <= 13 && digits[1] != '0'
}

// mobile says whether a national number starts like one of a mobile network of Germany, Austria or Switzerland and has
// its length, or is a German service number.
func mobile(digits string) bool {
	n := len(digits)
	switch digits[:3] {
	case "015", "016", "017":
		return n == 11 || n == 12
	case "066", "067", "068", "069":
		return n == 11 && digits[2] != '9'
	case "075", "076", "077", "078", "079":
		return n == 10
	case "080", "018", "090":
		return n >= 10 && n <= 11 && (strings.HasPrefix(digits, "0800") || strings.HasPrefix(digits, "0180") || strings.HasPrefix(digits, "0900"))
	}
	return false
}

// date says whether three groups read as day, month and year.
func date(d *dialled) bool {
	if d.groups != 3 || d.sizes[0] > 2 || d.sizes[1] > 2 {
		return false
	}
	return d.sizes[2] == 2 || d.sizes[2] == 4
}

// labelled says whether a word for a telephone stands before i with little between.
func labelled(s string, i int) bool {
	before := s[max(0, i-24):i]
	if k := strings.LastIndexAny(before, "\n;"); k >= 0 {
		before = before[k+1:]
	}
	return phoneWord(before)
}

func phoneWord(s string) bool {
	for _, w := range []string{
		"tel", "fon", "mobil", "handy", "fax", "phone", "durchwahl", "rufnummer", "hotline", "cell", "whatsapp",
		"ruf an", "anruf", "call", "erreichbar", "zentrale",
	} {
		if at := foldIndex(s, w); at >= 0 && (at == 0 || !isLetter(s[at-1]) || w == "fon" || w == "phone" || w == "tel") {
			return w != "tel" || at == 0 || !isLetter(s[at-1])
		}
	}
	return false
}

func foldIndex(s, word string) int {
	for i := 0; i+len(word) <= len(s); i++ {
		if containsFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// numbered says whether a word before i announces a number of another kind.
func numbered(s string, i int) bool {
	before := strings.TrimRight(s[max(0, i-32):i], " :.#\"'")
	if k := strings.LastIndexAny(before, " \n\t"); k >= 0 {
		before = before[k+1:]
	}
	for _, w := range []string{
		"nr", "nummer", "rechnung", "auftrag", "vertrag", "teil", "charge", "aktenzeichen", "az", "kundennr", "bestellung", "artikel", "konto", "blz", "plz", "id",
		"no", "number", "invoice", "order", "ref", "isbn", "ean", "betrag", "version", "iban",
	} {
		if len(before) >= len(w) && containsFold(before[len(before)-len(w):], w) {
			return true
		}
	}
	return false
}
