package guard

import (
	"errors"
	"slices"
	"strconv"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

// Redact replaces what was found in a request by tokens. body is the request as it arrived, parts are read from it, and
// findings are those of Inspect for the same parts; types are the types to replace. SECRET is always replaced, by one
// word for all secrets, and has no token. Findings of other types stay.
//
// Only the bytes of a value inside its JSON literal change. The order of parts is the order of numbers: schemas first,
// since a conversation does not change them, then as given; so a conversation that grows keeps its numbers. Without
// anything to replace the result is body itself.
//
// An error means that nothing may leave: parts and body do not fit, or findings do not fit the parts.
func Redact(body []byte, parts []chat.Part, findings [][]Finding, types []string) ([]byte, *Tokens, error) {
	if len(findings) != len(parts) {
		return nil, nil, errors.New("guard: findings of other parts")
	}
	mask := map[string]bool{TypeSecret: true}
	for _, t := range types {
		mask[t] = true
	}
	places, err := collect(parts, findings, mask)
	if err != nil || len(places) == 0 {
		return body, &Tokens{}, err
	}
	taken, err := lookalikes(body, parts)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := issue(places, numberOrder(parts), taken)
	if err != nil {
		return nil, nil, err
	}
	edits := make([]rawjson.Edit, 0, len(places))
	for first := 0; first < len(places); {
		last := first
		for last < len(places) && places[last].part == places[first].part {
			last++
		}
		part := parts[places[first].part]
		if edits, err = appendEdits(edits, body, part, places[first:last]); err != nil {
			return nil, nil, err
		}
		first = last
	}
	out, err := rawjson.Apply(body, edits)
	if err != nil {
		return nil, nil, err
	}
	return out, tokens, nil
}

// spot is one finding that is to be replaced.
type spot struct {
	part   int
	f      Finding
	value  string // what the token stands for
	plain  string // the same, decoded: two spellings are compared in this form
	number bool
	token  string
}

// numberOrder gives the indexes of the parts in the order in which they give out numbers: schemas, then the others.
func numberOrder(parts []chat.Part) []int {
	order := make([]int, 0, len(parts))
	for i := range parts {
		if parts[i].Role == chat.RoleSchema {
			order = append(order, i)
		}
	}
	for i := range parts {
		if parts[i].Role != chat.RoleSchema {
			order = append(order, i)
		}
	}
	return order
}

func collect(parts []chat.Part, findings [][]Finding, mask map[string]bool) ([]spot, error) {
	var places []spot
	for _, i := range numberOrder(parts) {
		if len(findings[i]) == 0 {
			continue
		}
		list, err := leaves(parts[i], Limits{}.orDefault())
		if err != nil {
			return nil, err
		}
		last := 0
		for _, f := range findings[i] {
			if f.Start < last {
				return nil, errPlace
			}
			text, l, err := value(list, f)
			if err != nil {
				return nil, err
			}
			last = f.End
			if !mask[f.Type] {
				continue
			}
			p := spot{part: i, f: f, value: text, plain: text, number: l.kind == leafNumber}
			if l.verbatim != "" {
				p.value, p.number = l.verbatim[f.Start:f.End], false
			}
			places = append(places, p)
		}
	}
	return places, nil
}

// lookalikes gives the names of all tokens that the request spells itself, anywhere.
func lookalikes(body []byte, parts []chat.Part) (map[string]bool, error) {
	taken := map[string]bool{}
	put := func(name string) { taken[name] = true }
	eachToken(string(body), put)
	doc, err := rawjson.Parse(body, rawjson.Limits{})
	if err != nil {
		return nil, err
	}
	for v := range doc.All() {
		if v.Escaped() {
			eachToken(v.Text(), put)
		}
	}
	for _, part := range parts {
		if part.Kind != chat.KindArguments {
			continue
		}
		list, err := leaves(part, Limits{}.orDefault())
		if err != nil {
			return nil, err
		}
		for _, l := range list {
			eachToken(l.text, put)
		}
	}
	return taken, nil
}

func appendEdits(edits []rawjson.Edit, body []byte, part chat.Part, places []spot) ([]rawjson.Edit, error) {
	literal, err := rawjson.Literal(body, part.Start, part.End)
	if err != nil {
		return nil, err
	}
	if literal.Text != string(part.Text) {
		return nil, errors.New("guard: a part does not stand where it says")
	}
	for _, p := range places {
		text := []byte(p.token)
		if p.number {
			text = []byte(`\"` + p.token + `\"`)
		}
		edits = append(edits, rawjson.Edit{Start: literal.Offset(p.f.Start), End: literal.Offset(p.f.End), New: text})
	}
	return edits, nil
}

// issuer gives out tokens.
type issuer struct {
	taken   map[string]bool
	issued  map[issuedKey]string
	groups  []*group
	byValue map[[2]string]*group // type and canonical value, all types but PERSON
	count   map[string]int       // last number of each type
	tokens  Tokens
}

type issuedKey struct {
	typ, value string
	number     bool
}

// issue gives each place its token. Numbers follow the parts; a place of the second pass counts for the later of
// its own part and the part that made its value known, so that what a later part reveals takes no number away.
func issue(places []spot, order []int, taken map[string]bool) (*Tokens, error) {
	s := &issuer{taken: taken, issued: map[issuedKey]string{}, byValue: map[[2]string]*group{}, count: map[string]int{}}
	rank := make([]int, len(order))
	for k, i := range order {
		rank[i] = k
	}
	turn := make([]*spot, len(places))
	for i := range places {
		turn[i] = &places[i]
	}
	revealed := func(p *spot) int {
		if p.f.Source > 0 && p.f.Source <= len(order) {
			return max(2*rank[p.f.Source-1]+1, 2*rank[p.part])
		}
		return 2 * rank[p.part]
	}
	slices.SortStableFunc(turn, func(a, b *spot) int { return revealed(a) - revealed(b) })
	for _, p := range turn {
		if err := s.give(p); err != nil {
			return nil, err
		}
	}
	return &s.tokens, nil
}

func (s *issuer) group(p *spot) *group {
	if p.f.Type == TypePerson {
		return personGroup(s.groups, words(p.plain))
	}
	return s.byValue[[2]string{p.f.Type, canonical(p.f.Type, p.plain)}]
}

func (s *issuer) give(p *spot) error {
	if p.f.Type == TypeSecret {
		p.token = secretToken
		return nil
	}
	key := issuedKey{p.f.Type, p.value, p.number}
	if p.token = s.issued[key]; p.token != "" {
		return nil
	}
	if len(s.tokens.list) >= mostTokens {
		return errors.New("guard: too many values to replace")
	}
	g := s.group(p)
	name := ""
	if g != nil {
		name = g.spelling(s.taken)
	}
	if name == "" {
		g = &group{}
		for name == "" || s.taken[name] {
			s.count[p.f.Type]++
			name = p.f.Type + "_" + strconv.Itoa(s.count[p.f.Type])
		}
		g.name = name
		if p.f.Type == TypePerson {
			s.groups = append(s.groups, g)
		} else {
			s.byValue[[2]string{p.f.Type, canonical(p.f.Type, p.plain)}] = g
		}
	}
	if p.f.Type == TypePerson {
		g.learn(words(p.plain))
	}
	p.token = "[" + name + "]"
	s.issued[key] = p.token
	s.tokens.list = append(s.tokens.list, Token{p.token, p.f.Type, chat.Text(p.value), p.number})
	return nil
}

// group is the spellings of one value.
type group struct {
	name    string   // of the first spelling
	letters int      // letters given out
	words   []string // PERSON: the words of the longest spelling
}

// spelling gives the next name with a letter, B to Z; "" when there is none.
func (g *group) spelling(taken map[string]bool) string {
	for g.letters < 25 {
		g.letters++
		name := g.name + string(rune('A'+g.letters))
		if !taken[name] {
			return name
		}
	}
	return ""
}

func (g *group) learn(words []string) {
	if len(words) > len(g.words) {
		g.words = words
	}
}

// personGroup gives the one group whose name fits: the same words, or the words of one are the last or the only words
// of the other. When several fit nobody knows who is meant, and it gives nil.
func personGroup(groups []*group, words []string) *group {
	var fits []*group
	for _, g := range groups {
		if slices.EqualFunc(g.words, words, sameName) {
			return g
		}
		if len(words) > 0 && len(g.words) > 0 && (within(words, g.words) || within(g.words, words)) {
			fits = append(fits, g)
		}
	}
	if len(fits) != 1 {
		return nil
	}
	return fits[0]
}

// within says whether every word of part occurs in whole.
func within(part, whole []string) bool {
	for _, p := range part {
		if !slices.ContainsFunc(whole, func(w string) bool { return sameName(p, w) }) {
			return false
		}
	}
	return true
}

// sameName compares two words of a name and lets a genitive s pass.
func sameName(a, b string) bool { return a == b || a+"s" == b || a == b+"s" }
