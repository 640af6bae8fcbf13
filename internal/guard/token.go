package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/leitplanke/leitplanke/internal/chat"
)

// secretToken stands for every secret. It has no value and is never restored.
const secretToken = "[SECRET]"

// mostTokens bounds the tokens of one call; Redact refuses a request that needs more.
const mostTokens = 4096

// Token stands for one byte string of a request. Its printable form is its name.
type Token struct {
	Name  string    `json:"token"` // as issued: [PERSON_1], or [PERSON_1B] for another spelling of the same value
	Type  string    `json:"type"`
	Value chat.Text `json:"value"` // exactly the bytes that the token replaced, decoded
	// Number says that the value stood as a JSON number in tool arguments; it comes back as one when the token is the
	// whole string there.
	Number bool `json:"number,omitempty"`
}

// String gives the name, never the value.
func (t Token) String() string { return t.Name }

// GoString gives the name, never the value.
func (t Token) GoString() string { return t.Name }

// LogValue implements slog.LogValuer.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.Name) }

// Tokens are the tokens of one call, in the order of issue. They are sealed into the log; the zero value has none.
type Tokens struct{ list []Token }

// List gives the tokens in the order of issue. The slice is the caller's.
func (t *Tokens) List() []Token {
	if t == nil {
		return nil
	}
	return append([]Token(nil), t.list...)
}

// Len counts the tokens.
func (t *Tokens) Len() int {
	if t == nil {
		return 0
	}
	return len(t.list)
}

// MarshalJSON gives an array of Token.
func (t *Tokens) MarshalJSON() ([]byte, error) {
	if t == nil || t.list == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(t.list)
}

// UnmarshalJSON reads what MarshalJSON gave and refuses names that Redact does not issue.
func (t *Tokens) UnmarshalJSON(raw []byte) error {
	var list []Token
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	if len(list) > mostTokens {
		return errors.New("guard: too many tokens")
	}
	seen := map[string]bool{}
	for _, token := range list {
		name, n := readToken(token.Name)
		if n != len(token.Name) || "["+name+"]" != token.Name || seen[name] {
			return fmt.Errorf("guard: %q is no token", token.Name)
		}
		seen[name] = true
	}
	t.list = list
	return nil
}

// LogValue implements slog.LogValuer: the number of tokens.
func (t *Tokens) LogValue() slog.Value { return slog.IntValue(t.Len()) }

// String gives the number of tokens, never a value.
func (t *Tokens) String() string { return strconv.Itoa(t.Len()) + " tokens" }

// spellings gives every form in which an answer may repeat a token, apart from the case of its letters: as issued, with
// the separator escaped for Markdown or replaced by a blank, and with JSON escapes for the brackets.
func spellings(token string) []string {
	n := token[1 : len(token)-1]
	last := strings.LastIndexByte(n, '_')
	escaped, blank := strings.ReplaceAll(n, "_", `\_`), strings.ReplaceAll(n, "_", " ")
	return []string{
		token, "[" + escaped + "]", "[" + blank + "]", "[" + n[:last] + " " + n[last+1:] + "]",
		`\[` + n + `\]`, `\[` + escaped + `\]`, `\u005b` + n + `\u005d`,
	}
}

// longestToken bounds what is read as a look-alike, in bytes.
const longestToken = 96

// readToken reads a look-alike of a token at the start of s, in any mix of the accepted spellings. It gives the name
// without brackets in its issued form and the length in bytes; 0 when there is none.
func readToken(s string) (name string, n int) {
	s = s[:min(len(s), longestToken)]
	i := bracket(s, '[', "5b")
	if i == 0 {
		return "", 0
	}
	var buf [longestToken]byte
	out := buf[:0]
	for i < len(s) {
		if size := bracket(s[i:], ']', "5d"); size > 0 {
			if wellFormed(out) {
				return string(out), i + size
			}
			return "", 0
		}
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			out, i = append(out, c-'a'+'A'), i+1
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			out, i = append(out, c), i+1
		case c == '_' || c == ' ':
			out, i = append(out, '_'), i+1
		case strings.HasPrefix(s[i:], `\_`):
			out, i = append(out, '_'), i+2
		case len(s)-i >= 6 && strings.EqualFold(s[i:i+6], `\u005f`):
			out, i = append(out, '_'), i+6
		default:
			return "", 0
		}
	}
	return "", 0
}

// bracket gives the length of a bracket at the start of s in one of its spellings.
func bracket(s string, plain byte, hex string) int {
	switch {
	case s == "":
		return 0
	case s[0] == plain:
		return 1
	case s[0] != '\\':
		return 0
	case len(s) > 1 && s[1] == plain:
		return 2
	case len(s) > 5 && strings.EqualFold(s[1:6], "u00"+hex):
		return 6
	}
	return 0
}

// wellFormed says whether a name has the form TYPE_1 or TYPE_1B.
func wellFormed(name []byte) bool {
	i := len(name)
	if i > 0 && 'A' <= name[i-1] && name[i-1] <= 'Z' {
		i--
	}
	last := i
	for i > 0 && '0' <= name[i-1] && name[i-1] <= '9' {
		i--
	}
	if i == last || i < 2 || name[i-1] != '_' || name[i] == '0' {
		return false
	}
	for k, c := range name[:i-1] {
		if !('A' <= c && c <= 'Z') && (c != '_' || k == 0 || k == i-2) {
			return false
		}
	}
	return true
}

// eachToken calls yield for every look-alike of a token in text.
func eachToken(text string, yield func(name string)) {
	for i := 0; i < len(text); {
		k := strings.IndexAny(text[i:], `[\`)
		if k < 0 {
			return
		}
		i += k
		name, n := readToken(text[i:])
		if n > 0 {
			yield(name)
		}
		i += max(n, 1)
	}
}
