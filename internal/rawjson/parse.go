package rawjson

import (
	"encoding/binary"
	"unicode/utf8"
)

// Parse reads one document. The error is an *Error.
func Parse(raw []byte, limits Limits) (*Document, error) {
	limits = limits.orDefault()
	if len(raw) > limits.Bytes {
		return nil, &Error{limits.Bytes, ReasonBytes}
	}
	if !utf8.Valid(raw) {
		return nil, &Error{invalidUTF8(raw), ReasonUTF8}
	}
	p := parser{raw: raw, limits: limits, nodes: make([]node, 0, min(len(raw)/32, 4096)+8)}
	end, err := p.value(p.space(0), 0)
	if err != nil {
		return nil, err
	}
	if end = p.space(end); end != len(raw) {
		return nil, &Error{end, ReasonTrailing}
	}
	return &Document{raw: raw, nodes: p.nodes}, nil
}

func invalidUTF8(raw []byte) int {
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(raw)
}

type parser struct {
	raw    []byte
	limits Limits
	nodes  []node
}

// space gives the offset of the first byte at or after i that is no white space.
func (p *parser) space(i int) int {
	for i < len(p.raw) {
		switch p.raw[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// add appends a node that starts at i; the caller fills in its end.
func (p *parser) add(i int, kind Kind) (int, error) {
	if len(p.nodes) >= p.limits.Values {
		return 0, &Error{i, ReasonValues}
	}
	p.nodes = append(p.nodes, node{start: int32(i), kind: kind})
	return len(p.nodes) - 1, nil
}

func (p *parser) close(at, end int) int {
	p.nodes[at].end, p.nodes[at].next = int32(end), int32(len(p.nodes))
	return end
}

// value reads the value that starts at i and gives the offset behind it.
func (p *parser) value(i, depth int) (int, error) {
	if i >= len(p.raw) {
		return 0, &Error{i, ReasonEnd}
	}
	switch p.raw[i] {
	case '{':
		return p.object(i, depth+1)
	case '[':
		return p.array(i, depth+1)
	case '"':
		return p.str(i)
	case 't':
		return p.word(i, "true", Bool)
	case 'f':
		return p.word(i, "false", Bool)
	case 'n':
		return p.word(i, "null", Null)
	}
	return p.number(i)
}

func (p *parser) word(i int, word string, kind Kind) (int, error) {
	for k := range len(word) {
		if i+k >= len(p.raw) {
			return 0, &Error{i + k, ReasonEnd}
		}
		if p.raw[i+k] != word[k] {
			return 0, &Error{i + k, ReasonSyntax}
		}
	}
	at, err := p.add(i, kind)
	if err != nil {
		return 0, err
	}
	return p.close(at, i+len(word)), nil
}

func (p *parser) digits(i int) (int, error) {
	first := i
	for i < len(p.raw) && '0' <= p.raw[i] && p.raw[i] <= '9' {
		i++
	}
	if i > first {
		return i, nil
	}
	if i >= len(p.raw) {
		return 0, &Error{i, ReasonEnd}
	}
	return 0, &Error{i, ReasonSyntax}
}

func (p *parser) number(i int) (int, error) {
	end := i
	if p.raw[end] == '-' {
		end++
	}
	var err error
	if end < len(p.raw) && p.raw[end] == '0' {
		end++
	} else if end, err = p.digits(end); err != nil {
		return 0, err
	}
	if end < len(p.raw) && p.raw[end] == '.' {
		if end, err = p.digits(end + 1); err != nil {
			return 0, err
		}
	}
	if end < len(p.raw) && (p.raw[end] == 'e' || p.raw[end] == 'E') {
		end++
		if end < len(p.raw) && (p.raw[end] == '+' || p.raw[end] == '-') {
			end++
		}
		if end, err = p.digits(end); err != nil {
			return 0, err
		}
	}
	at, err := p.add(i, Number)
	if err != nil {
		return 0, err
	}
	return p.close(at, end), nil
}

func (p *parser) str(i int) (int, error) {
	at, err := p.add(i, String)
	if err != nil {
		return 0, err
	}
	end, escaped, err := literal(p.raw, i)
	if err != nil {
		return 0, err
	}
	p.nodes[at].escaped = escaped
	return p.close(at, end), nil
}

func (p *parser) array(i, depth int) (int, error) {
	if depth > p.limits.Depth {
		return 0, &Error{i, ReasonDepth}
	}
	at, err := p.add(i, Array)
	if err != nil {
		return 0, err
	}
	i = p.space(i + 1)
	if i < len(p.raw) && p.raw[i] == ']' {
		return p.close(at, i+1), nil
	}
	for {
		if i, err = p.value(i, depth); err != nil {
			return 0, err
		}
		if i = p.space(i); i >= len(p.raw) {
			return 0, &Error{i, ReasonEnd}
		}
		switch p.raw[i] {
		case ',':
			i = p.space(i + 1)
		case ']':
			return p.close(at, i+1), nil
		default:
			return 0, &Error{i, ReasonSyntax}
		}
	}
}

func (p *parser) object(i, depth int) (int, error) {
	if depth > p.limits.Depth {
		return 0, &Error{i, ReasonDepth}
	}
	at, err := p.add(i, Object)
	if err != nil {
		return 0, err
	}
	i = p.space(i + 1)
	if i < len(p.raw) && p.raw[i] == '}' {
		return p.close(at, i+1), nil
	}
	for {
		if i, err = p.field(i, depth); err != nil {
			return 0, err
		}
		if i = p.space(i); i >= len(p.raw) {
			return 0, &Error{i, ReasonEnd}
		}
		switch p.raw[i] {
		case ',':
			i = p.space(i + 1)
		case '}':
			end := p.close(at, i+1)
			return end, p.unique(at)
		default:
			return 0, &Error{i, ReasonSyntax}
		}
	}
}

func (p *parser) field(i, depth int) (int, error) {
	if i >= len(p.raw) {
		return 0, &Error{i, ReasonEnd}
	}
	if p.raw[i] != '"' {
		return 0, &Error{i, ReasonSyntax}
	}
	i, err := p.str(i)
	if err != nil {
		return 0, err
	}
	if i = p.space(i); i >= len(p.raw) {
		return 0, &Error{i, ReasonEnd}
	}
	if p.raw[i] != ':' {
		return 0, &Error{i, ReasonSyntax}
	}
	return p.value(p.space(i+1), depth)
}

// manyKeys is the number of keys from which on a set is cheaper than comparing each pair.
const manyKeys = 16

// unique refuses an object whose decoded keys repeat.
func (p *parser) unique(at int) error {
	var few [manyKeys][]byte
	var seen map[string]struct{}
	count := 0
	for i, last := int32(at+1), p.nodes[at].next; i < last; i = p.nodes[i+1].next {
		key := p.nodes[i]
		text := p.raw[key.start+1 : key.end-1]
		if key.escaped {
			text = []byte(decode(p.raw[key.start:key.end], 0).Text)
		}
		if seen != nil {
			if _, found := seen[string(text)]; found {
				return &Error{int(key.start), ReasonDuplicate}
			}
			seen[string(text)] = struct{}{}
			continue
		}
		for _, other := range few[:count] {
			if string(other) == string(text) {
				return &Error{int(key.start), ReasonDuplicate}
			}
		}
		if count < manyKeys {
			few[count] = text
			count++
			continue
		}
		seen = make(map[string]struct{}, 4*manyKeys)
		for _, other := range few {
			seen[string(other)] = struct{}{}
		}
		seen[string(text)] = struct{}{}
	}
	return nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain counts the bytes at the start of b, in steps of eight, that are neither quote, backslash nor control.
func plain(b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		special := (quote - ones) & ^quote
		special |= (slash - ones) & ^slash
		special |= (w - ones*0x20) & ^w
		if special&highs != 0 {
			break
		}
		n += 8
	}
	return n
}

// literal checks the string literal whose opening quote stands at i and gives the offset behind its closing quote.
// The bytes are valid UTF-8 already.
func literal(raw []byte, i int) (end int, escaped bool, err error) {
	i++
	for {
		i += plain(raw[i:])
		for stop := min(i+8, len(raw)); i < stop; {
			switch c := raw[i]; {
			case c == '"':
				return i + 1, escaped, nil
			case c == '\\':
				n, err := escape(raw, i)
				if err != nil {
					return 0, false, err
				}
				i, escaped = i+n, true
			case c < 0x20:
				return 0, false, &Error{i, ReasonControl}
			default:
				i++
			}
		}
		if i >= len(raw) {
			return 0, false, &Error{len(raw), ReasonEnd}
		}
	}
}
