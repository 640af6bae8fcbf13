package guard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
)

var background = context.Background()

// prose is about 2 KB of German text without anything to find.
var prose = strings.Repeat("Die Verwaltung prüft zurzeit, wie die Anträge auf Förderung der Vereine künftig schneller bearbeitet werden können. "+
	"Im vergangenen Jahr wurden 214 Anträge gestellt, von denen 187 bewilligt worden sind; der Zuschuss betrug im Schnitt 1.250 Euro. ", 9)[:2048]

func BenchmarkInspectClean(b *testing.B) {
	e := newEngine(b, registered()...)
	parts := one(prose)
	if f := e.Inspect(background, parts).Findings[0]; len(f) != 0 {
		b.Fatalf("%+v", f)
	}
	b.SetBytes(int64(len(prose)))
	b.ReportAllocs()
	for b.Loop() {
		e.Inspect(background, parts)
	}
}

func BenchmarkInspectLetter(b *testing.B) {
	e := newEngine(b, registered()...)
	parts := one(letter)
	b.SetBytes(int64(len(letter)))
	b.ReportAllocs()
	for b.Loop() {
		e.Inspect(background, parts)
	}
}

// BenchmarkInspectLong shows that time is linear: 1 MB against 2 KB.
func BenchmarkInspectLong(b *testing.B) {
	e := newEngine(b, registered()...)
	long := strings.Repeat(prose, 500)
	b.SetBytes(int64(len(long)))
	for b.Loop() {
		e.Inspect(background, one(long))
	}
}

func BenchmarkRedactRestore(b *testing.B) {
	e := newEngine(b, registered()...)
	raw := body([]message{{role: chat.RoleUser, text: letter}}, plainEscape)
	parts := read(b, raw)
	report := e.Inspect(background, parts)
	out, _, err := guard.Redact(raw, parts, report.Findings, allTypes)
	if err != nil {
		b.Fatal(err)
	}
	masked := read(b, out)
	b.ReportAllocs()
	for b.Loop() {
		_, tokens, err := guard.Redact(raw, parts, report.Findings, allTypes)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := tokens.Restore(out, masked); err != nil {
			b.Fatal(err)
		}
	}
}
