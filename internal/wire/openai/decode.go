// Package openai translates between the OpenAI HTTP dialect and package chat. Bodies are read in place: what nobody edits
// keeps its bytes, and fields that are not known here survive.
package openai

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/rawjson"
)

const (
	maxParts    = 20_000 // string values of one body
	maxMessages = 10_000
)

// DecodeChat reads the body of POST /v1/chat/completions. Every string that leaves the house becomes a part, also in
// fields that are not known here, except the few whose values are fixed words or ids (see structural). The error is a
// problem that names place and reason.
func DecodeChat(raw []byte) (*chat.Request, error) {
	doc, err := rawjson.Parse(raw, rawjson.Limits{})
	if err != nil {
		return nil, invalid(raw, err)
	}
	root := doc.Root()
	if root.Kind() != rawjson.Object {
		return nil, problem.Invalid("invalid_request.object").With("body")
	}
	r := &chat.Request{Raw: raw}
	model := root.Get("model")
	if model.Kind() != rawjson.String || model.Text() == "" {
		return nil, problem.Invalid("invalid_request.field", "field", "model").With("model")
	}
	r.Model = model.Text()
	r.ModelSpan[0], r.ModelSpan[1] = model.Span()
	messages := root.Get("messages")
	if messages.Kind() != rawjson.Array {
		return nil, problem.Invalid("invalid_request.field", "field", "messages").With("messages")
	}
	count := 0
	for m := range messages.Items() {
		if m.Kind() != rawjson.Object || m.Get("role").Kind() != rawjson.String {
			return nil, problem.Invalid("invalid_request.field", "field", fmt.Sprintf("messages[%d].role", count)).With(fmt.Sprintf("messages[%d].role", count))
		}
		count++
	}
	if count == 0 {
		return nil, problem.Invalid("invalid_request.field", "field", "messages").With("messages")
	}
	if count > maxMessages {
		return nil, problem.Invalid("invalid_request.count", "field", "messages", "n", maxMessages).With("messages")
	}
	if stream := root.Get("stream"); stream.Exists() && stream.Kind() != rawjson.Bool && stream.Kind() != rawjson.Null {
		return nil, problem.Invalid("invalid_request.field", "field", "stream").With("stream")
	}
	r.Stream, _ = root.Get("stream").Bool()
	for _, name := range [...]string{"max_completion_tokens", "max_tokens"} {
		if n, ok := root.Get(name).Int(); ok && n > 0 && r.MaxTokens == 0 {
			r.MaxTokens = int(min(n, 1<<30))
		}
	}
	w := walker{}
	for key, v := range root.Fields() {
		w.role = chat.RoleUser
		name := key.Text()
		w.key("", name, key)
		switch name {
		case "model", "stream", "stream_options":
		case "messages":
			i := 0
			for m := range v.Items() {
				w.message("messages["+strconv.Itoa(i)+"]", m)
				i++
			}
		case "tools", "functions", "response_format":
			w.role = chat.RoleSchema
			w.value(name, "", v)
		default:
			w.role = chat.RoleUser
			w.value(name, name, v)
		}
	}
	if len(w.parts) > maxParts {
		return nil, problem.Invalid("invalid_request.count", "field", "messages", "n", maxParts).With("messages")
	}
	r.Parts = w.parts
	return r, nil
}

// DecodeAnswer reads a complete answer, "chat.completion": its texts and tool arguments, and the tokens it reports.
func DecodeAnswer(raw []byte) (*chat.Answer, error) {
	doc, err := rawjson.Parse(raw, rawjson.Limits{})
	if err != nil {
		return nil, err
	}
	root := doc.Root()
	if root.Kind() != rawjson.Object {
		return nil, errors.New("the answer is not a JSON object")
	}
	a := &chat.Answer{Raw: raw}
	w := walker{role: chat.RoleAssistant}
	i := 0
	for c := range root.Get("choices").Items() {
		name := "choices[" + strconv.Itoa(i) + "].message"
		if m := c.Get("message"); m.Kind() == rawjson.Object {
			w.message(name, m)
		}
		i++
	}
	a.Parts = w.parts
	usage := root.Get("usage")
	in, okIn := usage.Get("prompt_tokens").Int()
	out, okOut := usage.Get("completion_tokens").Int()
	a.Usage = chat.Usage{Input: int(max(in, 0)), Output: int(max(out, 0)), Estimated: !okIn || !okOut}
	if a.Usage.Estimated {
		n := 0
		for _, p := range a.Parts {
			n += p.Text.Runes()
		}
		a.Usage.Output = chat.EstimateTokens(n)
	}
	return a, nil
}

// walker collects the string values of a body in the order of its bytes.
type walker struct {
	role  chat.Role
	parts []chat.Part
}

func (w *walker) message(path string, m rawjson.Value) {
	switch m.Get("role").Text() {
	case "system", "developer":
		w.role = chat.RoleSystem
	case "assistant":
		w.role = chat.RoleAssistant
	case "tool", "function":
		w.role = chat.RoleTool
	default:
		w.role = chat.RoleUser
	}
	w.value(path, "", m)
}

// structural reports whether a string under that key is a fixed word or an id of the protocol, which nobody edits.
func structural(key string) bool {
	switch key {
	case "role", "type", "id", "tool_call_id", "call_id", "object", "finish_reason", "detail":
		return true
	}
	return false
}

// unreadable reports whether a content part of that type holds something that no text detector reads.
func unreadable(kind string) bool {
	switch kind {
	case "image_url", "input_image", "input_audio", "audio", "file", "input_file", "video_url":
		return true
	}
	return false
}

func (w *walker) value(path, key string, v rawjson.Value) {
	if len(w.parts) > maxParts {
		return
	}
	switch v.Kind() {
	case rawjson.String:
		if structural(key) {
			return
		}
		w.add(path, chat.KindText, v)
	case rawjson.Number:
		w.number(path, key, v)
	case rawjson.Array:
		i := 0
		for item := range v.Items() {
			w.value(path+"["+strconv.Itoa(i)+"]", key, item)
			i++
		}
	case rawjson.Object:
		if t := v.Get("type"); t.Kind() == rawjson.String && unreadable(t.Text()) {
			start, end := v.Span()
			w.parts = append(w.parts, chat.Part{Name: path, Role: w.role, Kind: chat.KindOther, Start: start, End: end})
			return
		}
		for k, f := range v.Fields() {
			name := k.Text()
			w.key(path, name, k)
			switch {
			case (name == "function" || name == "function_call" || name == "custom") && f.Kind() == rawjson.Object && w.role != chat.RoleSchema:
				w.call(path+"."+name, f)
			case name == "logprobs": // pieces of text that cannot be inspected apart from their whole
			default:
				w.value(path+"."+name, name, f)
			}
		}
	}
}

// digitsThatCount is how many digits make a number, or a key, worth a look: the shortest identifier has seven.
const digitsThatCount = 7

// number makes a part of a number that is long enough to identify somebody. A guard reads it; it cannot be masked in place,
// because its type would change.
func (w *walker) number(path, key string, v rawjson.Value) {
	switch key {
	case "seed", "max_tokens", "max_completion_tokens", "created":
		return
	}
	raw := v.Raw()
	if digits(string(raw)) >= digitsThatCount {
		start, end := v.Span()
		w.parts = append(w.parts, chat.Part{Name: path, Role: w.role, Kind: chat.KindText, Text: chat.Text(raw), Start: start, End: end})
	}
}

// key makes a part of a name in an object that can be more than a name.
func (w *walker) key(path, name string, k rawjson.Value) {
	if strings.ContainsRune(name, '@') || digits(name) >= digitsThatCount {
		w.add(path+" (key)", chat.KindText, k)
	}
}

func digits(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// call reads a tool call: its arguments are a JSON document in a string, its name belongs to the protocol.
func (w *walker) call(path string, f rawjson.Value) {
	for k, v := range f.Fields() {
		name := k.Text()
		w.key(path, name, k)
		switch {
		case name == "name":
		case name == "arguments" && v.Kind() == rawjson.String:
			w.add(path+".arguments", chat.KindArguments, v)
		default:
			w.value(path+"."+name, name, v)
		}
	}
}

func (w *walker) add(path string, kind chat.Kind, v rawjson.Value) {
	start, end := v.Span()
	if end-start <= 2 {
		return // an empty string
	}
	w.parts = append(w.parts, chat.Part{Name: path, Role: w.role, Kind: kind, Text: chat.Text(v.Text()), Start: start, End: end})
}

// invalid turns an error of the parser into a problem that says what and where.
func invalid(raw []byte, err error) error {
	p, ok := errors.AsType[*rawjson.Error](err)
	if !ok {
		return problem.Invalid(problem.InvalidRequest).Because(err)
	}
	line, column := rawjson.Position(raw, p.Offset)
	return problem.Invalid("invalid_request.json", "reason", string(p.Reason), "line", line, "column", column).With("body").Because(err)
}
