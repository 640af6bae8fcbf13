package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
)

// funcs are the functions of all templates, bound to one language.
func funcs(l lang.Locale, a *Assets, symbols map[string]string) template.FuncMap {
	icon := func(class, name string) (template.HTML, error) {
		inside, ok := symbols[name]
		if !ok {
			return "", fmt.Errorf("no icon %q", name)
		}
		return template.HTML(`<svg class="` + class + `" viewBox="0 0 20 20" aria-hidden="true">` + inside + `</svg>`), nil
	}
	return template.FuncMap{
		// words
		"t": func(key string, args ...any) (string, error) {
			if !lang.Has(key) {
				return "", fmt.Errorf("no message %q", key)
			}
			return l.T(key, args...), nil
		},
		"word":  func(prefix, code string) string { return l.Word(prefix, code) },
		"has":   func(prefix, code string) bool { return lang.Has(prefix + code) },
		"count": func(n int) string { return l.Count(n) },
		"lead":  func(s string) string { first, _ := lead(s); return first },
		"rest":  func(s string) string { _, more := lead(s); return more },
		"list":  func(words []string) string { return l.List(words) },
		"say":   func(v lang.Local) string { return v.In(l) },
		// numbers and times
		"num":      func(v any) string { return l.Value(v) },
		"size":     func(n int64) string { return l.Size(n) },
		"date":     func(t time.Time) string { return l.Date(t) },
		"clock":    func(t time.Time) string { return l.Clock(t) },
		"exact":    func(t time.Time) string { return l.ClockExact(t) },
		"datetime": func(t time.Time) string { return l.DateTime(t) },
		"zone":     func(t time.Time) string { return l.ZoneName(t) },
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"short":    func(d time.Duration) string { return l.Short(d) },
		"millis":   func(d time.Duration) string { return l.Millis(d) },
		"long":     func(d time.Duration) string { return l.Long(d) },
		// markup
		"icon":  func(name string) (template.HTML, error) { return icon("icon", name) },
		"iconl": func(name string) (template.HTML, error) { return icon("icon l", name) },
		"nw": func(s string) template.HTML {
			return template.HTML(`<span class="nw">` + template.HTMLEscapeString(s) + `</span>`)
		},
		"hash":   ShortHash,
		"group4": group4,
		"static": a.URL,
		"state":  NewState,
		"langs":  lang.All,
	}
}

// lead cuts a message after its first sentence, which says what happened and is set in bold.
func lead(s string) (first, more string) {
	if before, after, ok := strings.Cut(s, ". "); ok {
		return before + ".", after
	}
	return s, ""
}

// ShortHash writes a hexadecimal hash in groups of four with its middle cut: 4be1 09a7 … 77c2 e01d.
func ShortHash(hex string) string {
	if len(hex) <= 20 {
		return group4(hex)
	}
	return group4(hex[:8]) + " … " + group4(hex[len(hex)-8:])
}

func group4(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
