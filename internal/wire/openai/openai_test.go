package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/problem"
)

const full = `{"model":"m","user":"max@example.de","metadata":{"a":"b"},"messages":[` +
	`{"role":"developer","content":"s"},{"role":"user","name":"Max","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:x"}}]},` +
	`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":\"b\"}"}}]},` +
	`{"role":"tool","tool_call_id":"c1","content":"r"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],` +
	`"stop":["Ende"],"max_tokens":7,"new":{"x":"y"}}`

func TestDecodeChat(t *testing.T) {
	r, err := DecodeChat([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]chat.Part{
		"user": {Role: chat.RoleUser, Kind: chat.KindText, Text: "max@example.de"}, "metadata.a": {Role: chat.RoleUser, Kind: chat.KindText, Text: "b"},
		"messages[0].content": {Role: chat.RoleSystem, Kind: chat.KindText, Text: "s"}, "messages[1].name": {Role: chat.RoleUser, Kind: chat.KindText, Text: "Max"},
		"messages[1].content[0].text": {Role: chat.RoleUser, Kind: chat.KindText, Text: "t"}, "messages[1].content[1]": {Role: chat.RoleUser, Kind: chat.KindOther},
		"messages[2].tool_calls[0].function.arguments": {Role: chat.RoleAssistant, Kind: chat.KindArguments, Text: `{"a":"b"}`},
		"messages[3].content":                          {Role: chat.RoleTool, Kind: chat.KindText, Text: "r"}, "tools[0].function.name": {Role: chat.RoleSchema, Kind: chat.KindText, Text: "f"},
		"tools[0].function.description": {Role: chat.RoleSchema, Kind: chat.KindText, Text: "d"}, "stop[0]": {Role: chat.RoleUser, Kind: chat.KindText, Text: "Ende"},
		"new.x": {Role: chat.RoleUser, Kind: chat.KindText, Text: "y"},
	}
	for _, p := range r.Parts {
		w, ok := want[p.Name]
		if !ok || w.Role != p.Role || w.Kind != p.Kind || w.Text != p.Text {
			t.Errorf("part %q: %s %s %q", p.Name, p.Role, p.Kind, string(p.Text))
		}
		delete(want, p.Name)
		if p.Kind != chat.KindOther && (full[p.Start] != '"' || full[p.End-1] != '"') {
			t.Errorf("part %q does not lie on a literal: %s", p.Name, full[p.Start:p.End])
		}
	}
	for name := range want {
		t.Errorf("part %q is missing", name)
	}
	if r.Model != "m" || r.MaxTokens != 7 || r.Stream {
		t.Errorf("%+v", r)
	}
	other := r.WithModel("qwen3:8b", []byte(`"qwen3:8b"`))
	var a, b map[string]any
	if json.Unmarshal(other.Raw, &a) != nil || json.Unmarshal([]byte(full), &b) != nil || a["model"] != "qwen3:8b" {
		t.Errorf("%s", other.Raw)
	}
	for i, p := range other.Parts {
		if string(other.Raw[p.Start:p.End]) != full[r.Parts[i].Start:r.Parts[i].End] {
			t.Errorf("part %q moved to %s", p.Name, other.Raw[p.Start:p.End])
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	ran := 0
	for body, key := range map[string]string{
		``: "invalid_request.json", `[]`: "invalid_request.object", `{}`: "invalid_request.field", `{"model":1,"messages":[]}`: "invalid_request.field",
		`{"model":"m","messages":{}}`: "invalid_request.field", `{"model":"m","messages":[]}`: "invalid_request.field", `{"model":"m","messages":["x"]}`: "invalid_request.field",
		`{"model":"m","messages":[{"content":"x"}]}`:                                                                       "invalid_request.field",
		`{"model":"m","messages":[{"role":"user","content":"x"}],"model":"n"}`:                                             "invalid_request.json",
		`{"model":"m","messages":[{"role":"user","content":"\ud800"}]}`:                                                    "invalid_request.json",
		`{"model":"m","messages":[{"role":"user","content":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]}`: "invalid_request.json",
		`{"model":"m","messages":[{"role":"user","content":[` + strings.Repeat(`"x",`, maxParts+1) + `"x"]}]}`:             "invalid_request.count",
		`{"model":"m","messages":[` + strings.Repeat(`{"role":"user","content":"x"},`, maxMessages) + `{"role":"user"}]}`:  "invalid_request.count",
	} {
		ran++
		_, err := DecodeChat([]byte(body))
		if p := problem.Of(err); err == nil || p.Key != key || p.Param == "" {
			t.Errorf("%.80s: %v, want %s", body, err, key)
		}
	}
	if ran == 0 {
		t.Fatal("no case ran")
	}
}

// FuzzDecodeChat: every string that leaves is a part or a fixed word, every part lies where it says, and a body that
// decodes is JSON.
func FuzzDecodeChat(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":"\u00fc\n"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeChat(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatal("a body that is not JSON was read")
		}
		last := 0
		for _, p := range r.Parts {
			if p.Start < last || p.End <= p.Start || p.End > len(raw) {
				t.Fatalf("part %q lies at %d to %d", p.Name, p.Start, p.End)
			}
			last = p.End
			if p.Kind == chat.KindOther {
				continue
			}
			var s string
			if err := json.Unmarshal(raw[p.Start:p.End], &s); err != nil || s != string(p.Text) {
				t.Fatalf("part %q is not the literal it says", p.Name)
			}
		}
		if again, err := DecodeChat(r.WithModel("other", []byte(`"other"`)).Raw); err != nil || again.Model != "other" || len(again.Parts) != len(r.Parts) {
			t.Fatalf("another model: %v", err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"choices":[{"message":{"role":"assistant","content":"x","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := DecodeAnswer(raw)
		if err == nil && (a.Usage.Input < 0 || a.Usage.Output < 0) {
			t.Fatal("negative tokens")
		}
	})
}
