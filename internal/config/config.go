// Package config reads the two YAML files of an installation: leitplanke.yaml, which holds only what the process needs
// before its database opens, and the file of what governs, for import and export. Every mistake of a file is reported at
// once, with line, column, the line itself and a caret.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/leitplanke/leitplanke/internal/lang"
)

// MaxFile is the largest file in bytes.
const MaxFile = 4 << 20

// Mistake is one thing that is wrong in a file. Its sentence is the message of Key in package lang.
type Mistake struct {
	File      string
	Line, Col int    // from 1, in characters; 0 = the file as a whole
	Source    string // the line
	Key       string
	Args      []any
}

// Mistakes are all that are wrong in a file, in the order of its lines. They are an error.
type Mistakes []Mistake

// Error gives all mistakes in English.
func (m Mistakes) Error() string { return m.Text(lang.English) }

// Text gives all mistakes, each as file:line:col, the sentence, the source line and a caret below the place.
func (m Mistakes) Text(l lang.Lang) string {
	var b strings.Builder
	for i, x := range m {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.File)
		if x.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", x.Line, x.Col)
		}
		b.WriteString(": " + lang.T(l, x.Key, x.Args...))
		if x.Line > 0 {
			b.WriteString("\n  " + strings.ReplaceAll(x.Source, "\t", " ") + "\n  " + strings.Repeat(" ", max(x.Col-1, 0)) + "^")
		}
	}
	return b.String()
}

// reader walks a YAML document and collects mistakes.
type reader struct {
	file     string
	lines    []string
	mistakes Mistakes
}

func (r *reader) wrong(line, col int, key string, args ...any) {
	source := ""
	if line >= 1 && line <= len(r.lines) {
		source = r.lines[line-1]
	}
	r.mistakes = append(r.mistakes, Mistake{r.file, line, col, source, key, args})
}

func (r *reader) at(n *yaml.Node, key string, args ...any) { r.wrong(n.Line, n.Column, key, args...) }

// parse returns the root mapping of the file, nil where there is none.
func parse(file string, data []byte) (*reader, *yaml.Node) {
	r := &reader{file: file, lines: splitLines(string(data))}
	switch {
	case len(data) > MaxFile:
		r.wrong(0, 0, "config.too_large", "limit", lang.Bytes(MaxFile))
		return r, nil
	case !utf8.Valid(data):
		line := bytes.Count(data[:invalidAt(data)], []byte("\n")) + 1
		r.wrong(line, 1, "config.utf8")
		return r, nil
	}
	var doc yaml.Node
	err := yaml.Load(data, &doc)
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		mark := e.Mark
		if e.ContextMark.Line > 0 && (strings.Contains(e.ContextMsg, "quoted scalar") || strings.Contains(e.ContextMsg, "flow")) {
			mark = e.ContextMark // where the quote or bracket opens, not where the file makes no sense any more
		}
		r.wrong(max(mark.Line, 1), max(mark.Column, 1), "config.syntax", "reason", e.Message)
		return r, nil
	}
	if err != nil {
		if strings.Contains(err.Error(), "EOF") || len(bytes.TrimSpace(data)) == 0 {
			r.wrong(0, 0, "config.empty")
		} else {
			r.wrong(1, 1, "config.syntax", "reason", err.Error())
		}
		return r, nil
	}
	root := &doc
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	if root.Kind == 0 || root.Tag == "!!null" {
		r.wrong(0, 0, "config.empty")
		return r, nil
	}
	if root.Kind != yaml.MappingNode {
		r.at(root, "config.mapping")
		return r, nil
	}
	return r, root
}

// splitLines splits a text as YAML counts its lines: at \n, \r\n, \r, and the line ends of Unicode.
func splitLines(s string) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(s), "\n")
}

func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// field is one key of a mapping: where its value goes. need makes it obligatory.
type field struct {
	read func(*yaml.Node)
	need bool
}

// mapping reads a mapping; unknown and repeated keys are mistakes.
func (r *reader) mapping(n *yaml.Node, what string, fields map[string]field) {
	if n.Kind == yaml.AliasNode {
		r.at(n, "config.alias")
		return
	}
	if n.Kind != yaml.MappingNode {
		r.at(n, "config.want_mapping", "what", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		f, ok := fields[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			r.at(k, "config.alias")
		case !ok:
			if near := nearest(k.Value, fields); near != "" {
				seen[near] = true // it is not missing, it is misspelt
				r.at(k, "config.unknown_near", "key", k.Value, "near", near)
			} else {
				r.at(k, "config.unknown", "key", k.Value)
			}
		case seen[k.Value]:
			r.at(k, "config.twice", "key", k.Value)
		default:
			f.read(v)
		}
		seen[k.Value] = true
	}
	var missing []string
	for name, f := range fields {
		if f.need && !seen[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	for _, name := range missing {
		r.at(n, "config.missing", "key", name, "what", what)
	}
}

// nearest is the known key that a misspelt one probably means.
func nearest(key string, fields map[string]field) string {
	best, at := "", 3
	for name := range fields {
		if d := distance(key, name); d < at || (d == at && name < best) {
			best, at = name, d
		}
	}
	return best
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (r *reader) text(n *yaml.Node, to *string) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.at(n, "config.alias")
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		r.at(n, "config.want_text")
	case strings.TrimSpace(n.Value) == "":
		r.at(n, "config.empty_text")
	case len(n.Value) > 4096:
		r.at(n, "config.long_text", "n", 4096)
	case strings.ContainsFunc(n.Value, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f }):
		r.at(n, "config.control")
	default:
		*to = n.Value
	}
}

func (r *reader) flag(n *yaml.Node, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.at(n, "config.want_bool")
		return
	}
	*to = n.Value == "true"
}

func (r *reader) number(n *yaml.Node, to *int, low, high int) {
	var v int
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Load(&v) != nil || v < low || v > high {
		r.at(n, "config.want_number", "low", low, "high", high)
		return
	}
	*to = v
}

// list reads a sequence; item reads each of its members.
func (r *reader) list(n *yaml.Node, limit int, item func(*yaml.Node)) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.at(n, "config.alias")
	case n.Kind != yaml.SequenceNode:
		r.at(n, "config.want_list")
	case len(n.Content) > limit:
		r.at(n, "config.long_list", "n", limit)
	default:
		for _, c := range n.Content {
			item(c)
		}
	}
}

// texts reads a list of texts without repetitions. check, where given, looks at each.
func (r *reader) texts(n *yaml.Node, to *[]string, check func(*yaml.Node, string)) {
	*to = []string{}
	r.list(n, 1000, func(c *yaml.Node) {
		var s string
		if r.text(c, &s); s == "" {
			return
		}
		if slices.Contains(*to, s) {
			r.at(c, "config.repeated", "value", s)
			return
		}
		*to = append(*to, s)
		if check != nil {
			check(c, s)
		}
	})
}

// oneOf reads a word out of a closed set.
func (r *reader) oneOf(n *yaml.Node, to *string, words ...string) {
	var s string
	if r.text(n, &s); s == "" {
		return
	}
	if !slices.Contains(words, s) {
		r.at(n, "config.one_of", "value", s, "words", strings.Join(words, ", "))
		return
	}
	*to = s
}

func (r *reader) result() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Col - b.Col
	})
	return r.mistakes
}
