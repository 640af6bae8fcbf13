package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Demo is the built-in demo model: rules, no LLM. It answers deterministically from the text it receives, so that masking
// and restoring can be seen, and keeps what it received. The model name chooses its behaviour:
//
//	demo       a short German summary that repeats the names, numbers and amounts it saw
//	demo-echo  the text of the last message
//	demo-tool  a tool call whose arguments repeat the text of the last message
//	demo-slow  as demo, after two seconds
//	demo-long  as demo-echo, a thousand times
//	demo-429   an error "rate_limit_exceeded" with Retry-After
//	demo-cut   the connection breaks in the middle of the answer
type Demo struct {
	now func() time.Time

	mu       sync.Mutex
	received []Received // the last maxReceived, oldest first
}

// Received is what the demo model was sent with one call.
type Received struct {
	Call string
	At   time.Time
	Body []byte
}

const maxReceived = 1000

// NewDemo returns a demo model with that clock.
func NewDemo(now func() time.Time) *Demo { return &Demo{now: now} }

// Received returns what came with the call of that id. It forgets all but the last thousand calls, and all at a restart.
func (d *Demo) Received(call string) (Received, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.received) - 1; i >= 0; i-- {
		if d.received[i].Call == call {
			return d.received[i], true
		}
	}
	return Received{}, false
}

func (d *Demo) keep(c Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.received) == maxReceived {
		d.received = append(d.received[:0], d.received[1:]...)
	}
	d.received = append(d.received, Received{Call: c.ID, At: d.now(), Body: bytes.Clone(c.Body)})
}

// Complete implements Provider.
func (d *Demo) Complete(ctx context.Context, c Call) (*Reply, error) {
	d.keep(c)
	var body struct {
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(c.Body, &body); err != nil {
		return demoError(http.StatusBadRequest, "invalid_request_error", "the body cannot be read", nil), nil
	}
	last := ""
	for _, m := range body.Messages {
		if m.Role == "user" || m.Role == "tool" || last == "" {
			last = demoText(m.Content)
		}
	}
	switch c.Model {
	case "demo-429":
		return demoError(http.StatusTooManyRequests, "rate_limit_exceeded", "Demo: too many requests", http.Header{"Retry-After": {"2"}}), nil
	case "demo-cut":
		return nil, errors.New("the connection broke in the middle of the answer")
	case "demo-slow":
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	message := map[string]any{"role": "assistant"}
	finish := "stop"
	switch c.Model {
	case "demo-echo":
		message["content"] = last
	case "demo-long":
		message["content"] = strings.Repeat(last+"\n", 1000)
	case "demo-tool":
		args, err := json.Marshal(map[string]any{"text": last, "quelle": "demo"})
		if err != nil {
			return nil, err
		}
		message["content"] = nil
		message["tool_calls"] = []any{map[string]any{"id": "call_demo_1", "type": "function", "function": map[string]any{"name": "ablegen", "arguments": string(args)}}}
		finish = "tool_calls"
	default:
		message["content"] = demoSummary(last)
	}
	out := 1
	if s, ok := message["content"].(string); ok {
		out = (len(s) + 3) / 4
	}
	in := (len(c.Body) + 3) / 4
	answer, err := json.Marshal(map[string]any{
		"id": "chatcmpl-demo", "object": "chat.completion", "created": d.now().Unix(), "model": c.Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "finish_reason": finish}},
		"usage":   map[string]int{"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out},
	})
	if err != nil {
		return nil, err
	}
	return &Reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"demo"}}, Body: answer}, nil
}

func demoError(status int, code, message string, h http.Header) *Reply {
	body := fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%q}}`, message, code, code)
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	return &Reply{Status: status, Header: h, Body: []byte(body)}
}

// demoText is the text of a message: a string, or the text parts of a list.
func demoText(content json.RawMessage) string {
	var s string
	if json.Unmarshal(content, &s) == nil {
		return s
	}
	var parts []struct{ Text string }
	if json.Unmarshal(content, &parts) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}

// What the summary repeats: placeholders, amounts, other numbers, names behind a title. The expressions are compiled on
// each call: this is a demonstration and not fast on purpose.
func demoSummary(text string) string {
	find := func(expr string) []string {
		var out []string
		seen := map[string]bool{}
		for _, s := range regexp.MustCompile(expr).FindAllString(text, 50) {
			if s = strings.TrimSpace(s); !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
		return out
	}
	var b strings.Builder
	b.WriteString("Zusammenfassung (Demo-Modell, regelbasiert, kein LLM): Der Text hat " + strconv.Itoa(len(strings.Fields(text))) + " Wörter.")
	line := func(label string, found []string) {
		if len(found) > 0 {
			b.WriteString("\n" + label + ": " + strings.Join(found, ", ") + ".")
		}
	}
	people := find(`\[PERSON_\d+[A-Z]?\]`)
	if len(people) == 0 {
		people = find(`(?:Herrn?|Frau)(?: (?:Dr|Prof)\.)*(?: \p{Lu}[\p{L}-]+)+`)
	}
	line("Personen", people)
	line("Kontoverbindungen", find(`\[IBAN_\d+[A-Z]?\]|\b[A-Z]{2}\d{2}(?: ?\d{4}){4,5}(?: ?\d{1,2})?\b`))
	line("Erreichbar", find(`\[(?:PHONE|EMAIL)_\d+[A-Z]?\]|\S+@\S+\.\w+|\+\d[\d ]{7,}\d`))
	line("Beträge", find(`\d{1,3}(?:\.\d{3})*,\d{2} ?(?:€|EUR)`))
	line("Weitere Angaben", find(`\[(?:TAX_ID|CREDIT_CARD)_\d+[A-Z]?\]|\[SECRET\]|\b[A-Z]{2}-\d{4}-\d+\b`))
	return b.String()
}
