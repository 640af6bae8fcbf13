package guard

import (
	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

// Notes say what Restore did.
type Notes struct {
	Restored int `json:"restored"` // places where a value was put back
	Unknown  int `json:"unknown"`  // well-formed tokens that were not issued for this call, or spelt in a way that is not accepted
}

// Restore puts the values back into an answer. body is the answer as it arrived and parts are read from it. A value is
// escaped for the place where it stands: once in text, twice in tool arguments. Nothing else changes, no grammar and no
// order of keys; nothing may be masked after this. Without anything to put back the result is body itself.
//
// An error means that parts and body do not fit.
func (t *Tokens) Restore(body []byte, parts []chat.Part) ([]byte, Notes, error) {
	var notes Notes
	r := t.restorer()
	var edits []rawjson.Edit
	for _, part := range parts {
		if part.Kind != chat.KindText && part.Kind != chat.KindArguments {
			continue
		}
		literal, err := rawjson.Literal(body, part.Start, part.End)
		if err != nil || literal.Text != string(part.Text) {
			return nil, Notes{}, errPlace
		}
		list := plainLeaf(literal.Text)
		if part.Kind == chat.KindArguments {
			// what is no JSON, or ambiguous, stays plain text, which escapes the values all the same
			if opened, err := leaves(part, Limits{}.orDefault()); err == nil {
				list = opened
			}
		}
		for k := range list {
			l := &list[k]
			r.each(l.text, &notes, func(token Token, start, end int) {
				from, to := l.offset(start), l.offset(end)
				text := string(token.Value)
				if l.kind == leafString && token.Number && end-start == len(l.text) {
					from, to = l.start, l.end
				} else if part.Kind == chat.KindArguments {
					text = string(rawjson.AppendString(nil, text))
				}
				edits = append(edits, rawjson.Edit{
					Start: literal.Offset(from), End: literal.Offset(to), New: rawjson.AppendString(nil, text),
				})
			})
		}
	}
	if len(edits) == 0 {
		return body, notes, nil
	}
	out, err := rawjson.Apply(body, edits)
	return out, notes, err
}

// RestoreText puts the values back into plain text, with no escaping.
func (t *Tokens) RestoreText(text string) (string, Notes) {
	var notes Notes
	var out []byte
	last := 0
	t.restorer().each(text, &notes, func(token Token, start, end int) {
		out = append(append(out, text[last:start]...), token.Value...)
		last = end
	})
	return string(append(out, text[last:]...)), notes
}

// restorer is the tokens of a call, compiled.
type restorer struct {
	automaton *Automaton // nil: there are no tokens
	owner     []Token    // of each pattern
}

func (t *Tokens) restorer() restorer {
	if t.Len() == 0 {
		return restorer{}
	}
	var r restorer
	var patterns []string
	for _, token := range t.list {
		for _, spelling := range spellings(token.Name) {
			patterns = append(patterns, spelling)
			r.owner = append(r.owner, token)
		}
	}
	r.automaton = NewAutomaton(patterns, true)
	return r
}

// each calls put for every accepted spelling in text, left to right, and counts.
func (r restorer) each(text string, notes *Notes, put func(token Token, start, end int)) {
	from := 0
	unknown := func(string) { notes.Unknown++ }
	for r.automaton != nil {
		pattern, start, end, ok := r.automaton.Next(text, from)
		if !ok {
			break
		}
		eachToken(text[from:start], unknown)
		put(r.owner[pattern], start, end)
		notes.Restored++
		from = end
	}
	eachToken(text[from:], unknown)
}
