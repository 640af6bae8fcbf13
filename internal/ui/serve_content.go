package ui

import (
	"bytes"
	"strings"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/record"
	"github.com/leitplanke/leitplanke/internal/register"
	"github.com/leitplanke/leitplanke/internal/web"
	"github.com/leitplanke/leitplanke/internal/wire/openai"
)

// maxShown bounds the text of one side of a comparison in bytes; what is beyond it is not shown, and the page says so.
const maxShown = 512 << 10

// fillContent fills in the text of a call for its owner.
func (u *UI) fillContent(p *CallPage, leaf *bundle.Leaf, own *ownCall, provider register.Provider) {
	l := u.views.Locale(p.Prefs)
	m := newMarker(l, own.detail.Tokens)
	request, outbound := own.opening.Get(bundle.FieldRequest), own.opening.Get(bundle.FieldOutbound)
	in, left := requestParts(request), requestParts(outbound)
	p.Content.Request = m.pair(in, left, func(i int, text string) []web.Mark {
		if i < len(own.detail.Findings) {
			return m.findings(own.detail.Findings[i])
		}
		return nil
	})
	p.Content.Cut = len(request) > maxShown
	if outbound != nil && provider.Kind == register.KindDemo && u.c.Demo != nil {
		p.Content.Provider = u.received(p.ID, leaf, m, left, outbound)
	}
	if own.closing == nil {
		return
	}
	given := own.closing.Get(bundle.FieldResponse)
	back := own.closing.Get(record.FieldUpstream)
	if back == nil {
		back = given // nothing was put back
	}
	if given == nil && back == nil {
		return
	}
	p.Content.Cut = p.Content.Cut || len(given) > maxShown
	p.Content.Response = m.pairBack(answerParts(back), answerParts(given))
}

// received compares what left with the demo model's own record of what arrived.
func (u *UI) received(id string, leaf *bundle.Leaf, m *marker, left []part, outbound []byte) *Received {
	rec, ok := u.c.Demo.Received(id)
	if !ok {
		return &Received{Model: leaf.Model, Gone: true}
	}
	out := &Received{Model: leaf.Model, At: rec.At, Same: bytes.Equal(rec.Body, outbound)}
	out.Parts = m.pair(left, requestParts(rec.Body), func(_ int, text string) []web.Mark { return m.placeholders(text) })
	return out
}

// part is one text of a body with the place where it stands.
type part struct{ name, label, text string }

// requestParts are the texts of a request; of one that cannot be read, the body as it is.
func requestParts(body []byte) []part {
	if body == nil {
		return nil
	}
	r, err := openai.DecodeChat(body)
	if err != nil {
		return []part{{text: string(body)}}
	}
	return parts(r.Parts)
}

// answerParts are the texts of an answer; of an error or of one that cannot be read, the body as it is.
func answerParts(body []byte) []part {
	a, err := openai.DecodeAnswer(body)
	if err != nil || len(a.Parts) == 0 {
		return []part{{text: string(body)}}
	}
	return parts(a.Parts)
}

func parts(list []chat.Part) []part {
	out := make([]part, len(list))
	for i, p := range list {
		out[i] = part{name: p.Name, label: p.Name + " · " + string(p.Role), text: string(p.Text)}
	}
	return out
}

// marker marks what was found and what stands in its place.
type marker struct {
	l      lang.Locale
	tokens map[string]guard.Token // by name, as issued
}

func newMarker(l lang.Locale, tokens *guard.Tokens) *marker {
	m := &marker{l: l, tokens: map[string]guard.Token{"[" + guard.TypeSecret + "]": {Name: "[" + guard.TypeSecret + "]", Type: guard.TypeSecret}}}
	for _, t := range tokens.List() {
		m.tokens[t.Name] = t
	}
	return m
}

// findings are the marks of what was found in the text of one part.
func (m *marker) findings(list []guard.Finding) []web.Mark {
	out := make([]web.Mark, 0, len(list))
	for _, f := range list {
		kind := web.MarkPersonal
		if f.Type == guard.TypeSecret {
			kind = web.MarkSecret
		}
		out = append(out, web.Mark{Start: f.Start, End: f.End, Kind: kind, Label: m.l.Word("finding.", f.Type)})
	}
	return out
}

// placeholders are the marks of the tokens of this call in a text.
func (m *marker) placeholders(text string) []web.Mark {
	var out []web.Mark
	m.each(text, func(t guard.Token, start, end int) {
		out = append(out, web.Mark{Start: start, End: end, Kind: web.MarkPlaceholder, Label: m.l.Word("finding.", t.Type)})
	})
	return out
}

// longestName bounds how far a closing bracket is looked for.
const longestName = 96

func (m *marker) each(text string, yield func(t guard.Token, start, end int)) {
	for i := 0; i < len(text); {
		open := strings.IndexByte(text[i:], '[')
		if open < 0 {
			return
		}
		i += open
		end := strings.IndexByte(text[i:min(len(text), i+longestName)], ']')
		if t, ok := m.tokens[text[i:i+end+1]]; end > 0 && ok {
			yield(t, i, i+end+1)
			i += end
		}
		i++
	}
}

// pair puts the parts of two bodies side by side by name. marks are those of the left side.
func (m *marker) pair(left, right []part, marks func(i int, text string) []web.Mark) []web.SplitPart {
	byName := map[string]string{}
	for _, p := range right {
		byName[p.name] = p.text
	}
	var out []web.SplitPart
	room, roomRight := maxShown, maxShown
	for i, p := range left {
		if room == 0 {
			break
		}
		other := cut(byName[p.name], &roomRight)
		out = append(out, web.SplitPart{
			Label: p.label, Left: web.Text{Body: cut(p.text, &room), Marks: marks(i, p.text)}, Right: web.Text{Body: other, Marks: m.placeholders(other)},
		})
	}
	return out
}

// pairBack puts an answer beside what the caller was given: placeholders on the left, on the right the values that came
// back in their place.
func (m *marker) pairBack(back, given []part) []web.SplitPart {
	byName := map[string]string{}
	for _, p := range given {
		byName[p.name] = p.text
	}
	var out []web.SplitPart
	room, roomRight := maxShown, maxShown
	for _, p := range back {
		if room == 0 {
			break
		}
		left, right := cut(p.text, &room), cut(byName[p.name], &roomRight)
		out = append(out, web.SplitPart{
			Label: p.label, Left: web.Text{Body: left, Marks: m.placeholders(left)}, Right: web.Text{Body: right, Marks: m.restored(left, right)},
		})
	}
	return out
}

// restored walks both sides of an answer together and marks the values. Where they part for any other reason than a
// placeholder it marks no more.
func (m *marker) restored(left, right string) []web.Mark {
	var out []web.Mark
	at, shift := 0, 0 // in left; right stands shift bytes further
	done := false
	m.each(left, func(t guard.Token, start, end int) {
		from := start + shift
		if done || from > len(right) || left[at:start] != right[at+shift:from] {
			done = true
			return
		}
		at = end
		if value := string(t.Value); value != "" && strings.HasPrefix(right[from:], value) {
			out = append(out, web.Mark{Start: from, End: from + len(value), Kind: web.MarkPersonal, Label: m.l.Word("finding.", t.Type)})
			shift += len(value) - (end - start)
		}
	})
	return out
}

// cut takes as much of a text as there is room for.
func cut(s string, room *int) string {
	if len(s) > *room {
		s = strings.ToValidUTF8(s[:*room], "")
	}
	*room -= len(s)
	return s
}
