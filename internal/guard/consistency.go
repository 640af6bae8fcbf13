package guard

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/chat"
)

// Bounds of the second pass, in bytes. A shorter value says too little to be looked for elsewhere.
const (
	leastAnywhere = 8    // a secret this long is found inside of other words too
	leastSecret   = 4    // a shorter secret is looked for nowhere else
	leastDigits   = 6    // a secret of digits only, a PIN, must be this long
	leastValue    = 5    // any other value
	leastSurname  = 3    // a name that stands alone
	mostKnown     = 8192 // texts that are looked for in one request
	headLength    = 8    // bytes of a text that the automaton knows; the rest is compared
)

// known is a text that was found by a detector and is looked for in the whole request.
type known struct {
	text   string
	typ    string
	score  float64
	rank   int // place of the part in the order of numbers
	source int // index of the part
}

// consistency finds what a detector found in one place in all other places too: the values of every type, and of a
// person the surname alone, also with a genitive s and in capitals. Its findings never change the others, except that a
// secret takes precedence.
func (e *Engine) consistency(ctx context.Context, parts []chat.Part, opened [][]leaf, report Report) {
	list := reveal(numberOrder(parts), opened, report.Findings)
	if len(list) > mostKnown {
		e.failLast(report, ReasonFindings)
		return
	}
	search := newSearch(list)
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
			hits := search.hits(view.Text, e.limits.Findings)
			report.Findings[i] = repeat(string(parts[i].Text), report.Findings[i], list, hits, view, l)
			if len(hits) > e.limits.Findings || len(report.Findings[i]) > e.limits.Findings {
				row.Status, row.Reason = StatusFailed, ReasonFindings
				break
			}
		}
	}
}

// search finds known texts. The automaton holds only their first bytes, so that its size is bounded.
type search struct {
	automaton *Automaton
	list      []known
	byHead    [][]int // head → known texts that begin with it
}

func newSearch(list []known) search {
	s := search{list: list}
	var heads []string
	index := map[string]int{}
	for i, k := range list {
		head := k.text[:min(len(k.text), headLength)]
		at, found := index[head]
		if !found {
			at = len(heads)
			index[head] = at
			heads = append(heads, head)
			s.byHead = append(s.byHead, nil)
		}
		s.byHead[at] = append(s.byHead[at], i)
	}
	s.automaton = NewAutomaton(heads, false)
	return s
}

// hit is an occurrence of a known text in a view.
type hit struct{ known, start, end int }

// hits gives the occurrences that stand on their own, first those that an earlier part revealed, then the longer, so
// that what a later part reveals changes nothing before; it stops after more than most.
func (s search) hits(text string, most int) []hit {
	var hits []hit
	s.automaton.Each(text, func(head, start, _ int) bool {
		for _, k := range s.byHead[head] {
			end := start + len(s.list[k].text)
			if strings.HasPrefix(text[start:], s.list[k].text) && stands(text, start, end, s.list[k]) {
				hits = append(hits, hit{k, start, end})
			}
		}
		return len(hits) <= most
	})
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(s.list[a.known].rank-s.list[b.known].rank, (b.end-b.start)-(a.end-a.start), a.start-b.start)
	})
	return hits
}

// reveal collects what to look for, in the order in which the parts reveal it.
func reveal(order []int, opened [][]leaf, findings [][]Finding) []known {
	var list []known
	seen := map[string]bool{}
	rank, i := 0, 0
	put := func(text string, f Finding) {
		if text != "" && !seen[text] {
			seen[text] = true
			list = append(list, known{text, f.Type, f.Score, rank, i})
		}
	}
	for rank, i = range order {
		for _, f := range findings[i] {
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

// repeat adds occurrences of known texts in one leaf to the findings of its part. Secrets go first and take precedence.
func repeat(part string, found []Finding, list []known, hits []hit, v *View, l *leaf) []Finding {
	var secrets, others []Finding
	for _, h := range hits {
		from, to, ok := v.Original(h.start, h.end)
		if !ok {
			continue
		}
		from, to = l.span(from, to)
		k := list[h.known]
		f := Finding{consistencyName, k.typ, from, to, k.score, k.source + 1}
		if f.Type == TypeSecret {
			secrets = append(secrets, f)
		} else {
			others = append(others, f)
		}
	}
	if len(secrets) > 0 {
		found = resolve(part, append(slices.Clone(found), secrets...))
	}
	for _, f := range others {
		found = add(part, found, f, false)
	}
	return found
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
