package guard

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/chat"
)

// Bounds of the second pass, in bytes. A shorter value says too little to be looked for elsewhere.
const (
	leastAnywhere = 8      // a secret this long is found inside of other words too
	leastSecret   = 4      // a shorter secret is looked for nowhere else
	leastDigits   = 6      // a secret of digits only, a PIN, must be this long
	leastValue    = 5      // any other value
	leastSurname  = 3      // a name that stands alone
	mostKnown     = 20_000 // patterns of one request
)

// known is a text that was found by a detector and is looked for in the whole request.
type known struct {
	text  string
	typ   string
	score float64
}

// consistency finds what a detector found in one place in all other places too: the values of every type, and of a
// person the surname alone, also with a genitive s and in capitals. Its findings never change the others, except that a
// secret takes precedence.
func (e *Engine) consistency(ctx context.Context, parts []chat.Part, opened [][]leaf, report Report) {
	list := e.known(opened, report.Findings)
	if len(list) > mostKnown {
		e.failLast(report, ReasonFindings)
		return
	}
	patterns := make([]string, len(list))
	for i, k := range list {
		patterns[i] = k.text
	}
	automaton := NewAutomaton(patterns, false)
	view := new(View)
	for i := range parts {
		row := &report.Coverage[i*e.rows()+len(e.list)]
		if opened[i] == nil {
			continue
		}
		for k := range opened[i] {
			if ctx.Err() != nil {
				row.Status, row.Reason = StatusFailed, ReasonTime
				break
			}
			l := &opened[i][k]
			view.reset(l.text, "")
			report.Findings[i] = repeat(string(parts[i].Text), report.Findings[i], automaton, list, view, l)
			if len(report.Findings[i]) > e.limits.Findings {
				row.Status, row.Reason = StatusFailed, ReasonFindings
				break
			}
		}
	}
}

// known collects what to look for, in the order in which the parts reveal it.
func (e *Engine) known(opened [][]leaf, findings [][]Finding) []known {
	var list []known
	seen := map[string]bool{}
	put := func(text string, f Finding) {
		if text != "" && !seen[text] {
			seen[text] = true
			list = append(list, known{text, f.Type, f.Score})
		}
	}
	for i, found := range findings {
		for _, f := range found {
			text, _, err := value(opened[i], f)
			if err != nil {
				continue // Redact refuses it
			}
			text = NewView(text, "").Text
			switch {
			case f.Type == TypeSecret && (len(text) < leastSecret || len(text) < leastDigits && allDigits(text)):
			case f.Type == TypeSecret:
				put(text, f)
			case f.Type == TypePerson:
				whole := strings.Join(strings.Fields(text), " ")
				surname := surnameOf(whole)
				for _, name := range []string{whole, surname} {
					if utf8.RuneCountInString(name) >= leastSurname && startsUpper(name) {
						put(name, f)
						put(strings.ToUpper(name), f)
					}
				}
			case len(text) >= leastValue:
				put(text, f)
			}
		}
	}
	return list
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func startsUpper(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(r)
}

// surnameOf gives the surname in "Katharina Brenner" and "Brenner, Katharina".
func surnameOf(name string) string {
	if last, _, found := strings.Cut(name, ","); found {
		name = last
	}
	return name[strings.LastIndexByte(name, ' ')+1:]
}

// hit is an occurrence of a known text in a view.
type hit struct{ known, start, end int }

// repeat adds the occurrences of known texts in one leaf to the findings of its part.
func repeat(part string, found []Finding, a *Automaton, list []known, v *View, l *leaf) []Finding {
	var hits []hit
	a.Each(v.Text, func(k, start, end int) bool {
		if stands(v.Text, start, end, list[k]) {
			hits = append(hits, hit{k, start, end})
		}
		return true
	})
	slices.SortStableFunc(hits, func(a, b hit) int { return a.known - b.known })
	for _, h := range hits {
		from, to, ok := v.Original(h.start, h.end)
		if !ok {
			continue
		}
		from, to = l.span(from, to)
		f := Finding{consistencyName, list[h.known].typ, from, to, list[h.known].score}
		if f.Type != TypeSecret {
			found = add(part, found, f, false)
			continue
		}
		if !covered(found, f) {
			found = append(found, f)
			found = resolve(part, found)
		}
	}
	return found
}

func covered(found []Finding, f Finding) bool {
	return slices.ContainsFunc(found, func(k Finding) bool {
		return k.Type == TypeSecret && k.Start <= f.Start && f.End <= k.End
	})
}

// stands says whether an occurrence stands on its own and not inside of a longer word or number.
func stands(text string, start, end int, k known) bool {
	if k.typ == TypeSecret && len(k.text) >= leastAnywhere {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	if start > 0 && wordRune(before) {
		return false
	}
	if k.typ == TypePerson && strings.HasPrefix(text[end:], "s") {
		end++
	}
	after, _ := utf8.DecodeRuneInString(text[end:])
	return end == len(text) || !wordRune(after)
}

func wordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}
