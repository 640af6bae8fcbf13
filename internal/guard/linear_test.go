package guard_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
)

// TestHostileTextIsLinear repeats short texts up to 512 KB. What took quadratic time would take hours; the bound is wide
// because test machines are shared.
func TestHostileTextIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	e := newEngine(t, registered()...)
	ran := 0
	for _, piece := range []string{
		"Dr. ", "von ", "Dr. von ", "Herr Müller ", "Name: ", "Name: Max, ", "aws", "aws ", "-eyJ", "=eyJ.eyJ", "cookie:", "token", "password=", "://a:", "@a", "a@", "(at) ", "0171 ", "+49", "1 ", "12",
		"-----BEGIN PRIVATE KEY-----\n", "PIN ", "Passwort: Sommer2024! ", "DE02 ", "а\u0301", "\u0301", "\u200b", "[PERSON_1] ", `\u005b`, "Grüße\n", "Von: Max <", "LG\n", "sk-", "4123 ", "An: A; ", "„",
	} {
		ran++
		text := strings.Repeat(piece, (1<<19)/len(piece))
		for _, kind := range []chat.Kind{chat.KindText, chat.KindArguments} {
			ctx, cancel := context.WithTimeout(background, 20*time.Second)
			e.Inspect(ctx, []chat.Part{{Name: "p", Kind: kind, Text: chat.Text(text)}})
			if ctx.Err() != nil {
				t.Errorf("%q %s takes more than 20 s", piece, kind)
			}
			cancel()
		}
		raw := body([]message{{role: chat.RoleUser, text: text[:min(len(text), 1<<17)]}}, plainEscape)
		parts := read(t, raw)
		ctx, cancel := context.WithTimeout(background, 5*time.Second)
		report := e.Inspect(ctx, parts)
		out, tokens, err := guard.Redact(raw, parts, report.Findings, allTypes)
		if err == nil {
			_, _, err = tokens.Restore(out, read(t, out))
		}
		if ctx.Err() != nil || err != nil {
			t.Errorf("round trip of %q: %v, %v", piece, ctx.Err(), err)
		}
		cancel()
	}
	if ran == 0 {
		t.Fatal("no case ran")
	}
}
