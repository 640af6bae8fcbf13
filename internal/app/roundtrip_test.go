package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip sends generated texts through the whole gate. The model that echoes gets no original and gives back a text
// that the caller receives byte for byte, as content and inside the arguments of a tool call.
func TestRoundTrip(outer *testing.T) {
	h := openHouse(outer, nil)
	values := []string{"DE02 1005 0000 0024 2906 61", "DE02100500000024290661", "+49 861 555 01 24", "k.brenner@hydraulik-brenner.example", "AT372011100003429418", "4123456789012349"}
	words := []string{"und", "\n", "\"", "\\", "ä", "ß", "€ 1.190,00", "[PERSON_1]", "[IBAN_1]", "[iban\\_2]", "RE-2026-4711", "\u2028", "😀", "{\"a\":\"b\"}", "12.05.2026", "`", "<b>"}
	masked := 0
	rapid.Check(outer, func(t *rapid.T) {
		var b strings.Builder
		var used []string
		for range rapid.IntRange(1, 12).Draw(t, "pieces") {
			if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
				v := rapid.SampledFrom(values).Draw(t, "value")
				used = append(used, v)
				b.WriteString(" " + v + " ")
			} else {
				b.WriteString(" " + rapid.SampledFrom(words).Draw(t, "word") + " ")
			}
		}
		text := b.String()
		for _, model := range []string{"demo-echo", "demo-tool"} {
			a := h.post(outer, h.key, chatBody(model, text))
			if a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			got, _ := h.Demo.Received(a.header.Get("X-Leitplanke-Call"))
			for _, v := range used {
				masked++
				if bytes.Contains(got.Body, []byte(v)) {
					t.Fatalf("%q left the house: %s", v, got.Body)
				}
			}
			var answer struct {
				Choices []struct {
					Message struct {
						Content   string
						ToolCalls []struct{ Function struct{ Arguments string } } `json:"tool_calls"`
					}
				}
			}
			if err := json.Unmarshal(a.body, &answer); err != nil {
				t.Fatal(err)
			}
			back := answer.Choices[0].Message.Content
			if model == "demo-tool" {
				var args struct{ Text string }
				if err := json.Unmarshal([]byte(answer.Choices[0].Message.ToolCalls[0].Function.Arguments), &args); err != nil {
					t.Fatalf("the arguments are not JSON any more: %v", err)
				}
				back = args.Text
			}
			if back != text {
				t.Fatalf("%s gave back\n%q\nwant\n%q", model, back, text)
			}
		}
	})
	if masked == 0 {
		outer.Error("nothing was masked")
	}
	if rep := h.verify(outer); rep.Open != 0 {
		outer.Errorf("%d calls are open", rep.Open)
	}
}
