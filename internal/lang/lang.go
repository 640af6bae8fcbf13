// Package lang speaks German and English: messages by key, numbers, dates, times with their zone, durations and sizes.
// It is the only place with German words; pages and errors carry keys. Every key stands in both languages, and a test
// fails for a key that nothing uses.
package lang

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lang is a language of the interface.
type Lang string

// The languages of the interface.
const (
	German  Lang = "de"
	English Lang = "en"
)

// String returns the language's tag.
func (l Lang) String() string { return string(l) }

// All returns the languages in the order in which a switch shows them.
func All() []Lang { return []Lang{German, English} }

// Parse returns the language that s names exactly ("de", "en").
func Parse(s string) (Lang, bool) {
	switch l := Lang(s); l {
	case German, English:
		return l, true
	}
	return German, false
}

// Accept chooses the language for an Accept-Language header: the listed language with the highest weight, the first of
// equals. Without a header it is German; with a header that lists neither it is English.
func Accept(header string) Lang {
	best, bestQ := English, 0.0
	if strings.TrimSpace(header) == "" {
		return German
	}
	for item := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		base, _, _ := strings.Cut(strings.ToLower(tag), "-")
		l, ok := Parse(base)
		if !ok {
			continue
		}
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = f
		}
		if q > bestQ {
			best, bestQ = l, q
		}
	}
	return best
}

// Locale is how one reader reads: a language and a time zone. Zone must not be nil.
type Locale struct {
	Lang Lang
	Zone *time.Location
}

// Key is an argument that is itself a message: T(key, "what", Key("finding.IBAN")).
type Key string

// Bytes is an argument that is shown as a size: 1.5 MiB.
type Bytes int64

// Local is an argument that knows how to say itself, for instance a list of counted findings.
type Local interface {
	// In returns the text in the reader's language.
	In(l Locale) string
}

// message is one key's text in both languages.
type message struct{ de, en string }

func lookup(key string) (message, bool) {
	for _, m := range catalogue {
		if msg, ok := m[key]; ok {
			return msg, true
		}
	}
	return message{}, false
}

// find is lookup for messages that are shown: a narrower problem without words of its own is said as the wider one,
// "problem.invalid_request.count" as "problem.invalid_request".
func find(key string) (message, bool) {
	for {
		msg, ok := lookup(key)
		wider := strings.LastIndexByte(key, '.')
		if ok || !strings.HasPrefix(key, "problem.") || wider < len("problem.") {
			return msg, ok
		}
		key = key[:wider]
	}
}

// Has reports whether the catalogue holds key.
func Has(key string) bool {
	_, ok := lookup(key)
	return ok
}

// T returns the message of key in language lang, with times in UTC. See [Locale.T].
func T(lang Lang, key string, args ...any) string {
	return Locale{Lang: lang, Zone: time.UTC}.T(key, args...)
}

// T returns the message of key. args are pairs of name and value; "{name}" in the message becomes the value as people
// of this locale write it, "{name|one|other}" chooses a word by a number. An unknown key is returned as it is, so that
// a person who meets it can report it; tests keep that from happening.
func (l Locale) T(key string, args ...any) string {
	msg, ok := find(key)
	if !ok {
		return key
	}
	text := msg.de
	if l.Lang == English {
		text = msg.en
	}
	if !strings.Contains(text, "{") {
		return text
	}
	return l.fill(text, args)
}

// Word returns the message of prefix+code, or code itself when the catalogue has none. It is for codes that come from
// stored data, where an old or a newer program may have used codes that this one does not know.
func (l Locale) Word(prefix, code string) string {
	if key := prefix + code; Has(key) {
		return l.T(key, "n", 1)
	}
	return code
}

func (l Locale) fill(text string, args []any) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		inside, after, ok := strings.Cut(rest, "}")
		if !ok {
			b.WriteString("{" + rest)
			return b.String()
		}
		b.WriteString(l.placeholder(inside, args))
		text = after
	}
}

func (l Locale) placeholder(inside string, args []any) string {
	name, forms, plural := strings.Cut(inside, "|")
	value, ok := argument(args, name)
	if !ok {
		return "{" + inside + "}"
	}
	if !plural {
		return l.Value(value)
	}
	one, other, _ := strings.Cut(forms, "|")
	if n, ok := whole(value); ok && n == 1 {
		return one
	}
	return other
}

func argument(args []any, name string) (any, bool) {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == name {
			return args[i+1], true
		}
	}
	return nil, false
}

// whole returns v as an integer, if it is one.
func whole(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), true //nolint:gosec // numbers of entries and counts, far below 2^63
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	}
	return 0, false
}

// Value writes v as people of this locale do.
func (l Locale) Value(v any) string {
	if n, ok := whole(v); ok {
		return l.Num(n)
	}
	switch v := v.(type) {
	case string:
		return v
	case Key:
		return l.T(string(v), "n", 1)
	case Bytes:
		return l.Size(int64(v))
	case time.Time:
		return l.DateTime(v)
	case time.Duration:
		return l.Short(v)
	case float64:
		return l.Decimal(v, 1)
	case Local:
		return v.In(l)
	}
	return fmt.Sprint(v)
}
