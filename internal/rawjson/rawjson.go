// Package rawjson reads a JSON document in place: it gives the byte range of every value, so that a change can replace
// one string and leave every other byte as it arrived.
//
// It is stricter than encoding/json: invalid UTF-8, duplicate keys and lone surrogates are errors, because two readers
// that understand one body differently are a way around a guard.
package rawjson

import (
	"fmt"
	"iter"
	"math"
	"strconv"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The kinds of a value. Absent is the kind of a value that does not exist.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Limits bound a document. A zero field means its default.
type Limits struct {
	Depth  int // nested arrays and objects; default 64
	Values int // values and keys; default 1,000,000
	Bytes  int // length of the document; default 64 MiB, at most 2 GiB - 1
}

const (
	defaultDepth  = 64
	defaultValues = 1_000_000
	defaultBytes  = 64 << 20
)

func (l Limits) orDefault() Limits {
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Values <= 0 {
		l.Values = defaultValues
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	l.Bytes = min(l.Bytes, math.MaxInt32)
	return l
}

// Reason says in one machine-readable word why a document was refused.
type Reason string

// The reasons of an Error.
const (
	ReasonSyntax    Reason = "syntax"         // not JSON
	ReasonEnd       Reason = "unexpected_end" // the document stops in the middle
	ReasonTrailing  Reason = "trailing_bytes" // something follows the document
	ReasonUTF8      Reason = "invalid_utf8"
	ReasonEscape    Reason = "bad_escape"
	ReasonSurrogate Reason = "lone_surrogate"
	ReasonControl   Reason = "control_character" // unescaped, in a string
	ReasonDuplicate Reason = "duplicate_key"
	ReasonDepth     Reason = "too_deep"
	ReasonValues    Reason = "too_many_values"
	ReasonBytes     Reason = "too_large"
	ReasonEdit      Reason = "bad_edit" // edits overlap or lie outside
)

// Error is the refusal of a document. It holds no content.
type Error struct {
	Offset int // bytes from the start of the document
	Reason Reason
}

func (e *Error) Error() string { return fmt.Sprintf("json: %s at byte %d", e.Reason, e.Offset) }

// Position turns a byte offset into line and column, both counted from 1, the column in bytes.
func Position(raw []byte, offset int) (line, column int) {
	line, column = 1, 1
	for _, c := range raw[:min(max(offset, 0), len(raw))] {
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// node is one value or key. The nodes of a container follow it directly; next is the index behind its last one.
type node struct {
	start, end, next int32
	kind             Kind
	escaped          bool // a string with at least one escape
}

// Document is a parsed document. It refers to the bytes it was made from; they must not change.
type Document struct {
	raw   []byte
	nodes []node
}

// Raw gives the bytes of the document.
func (d *Document) Raw() []byte { return d.raw }

// Len counts values and keys.
func (d *Document) Len() int { return len(d.nodes) }

// Root gives the outermost value.
func (d *Document) Root() Value { return Value{doc: d} }

// All gives every value and key in the order of the bytes.
func (d *Document) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i := range d.nodes {
			if !yield(Value{doc: d, index: int32(i)}) {
				return
			}
		}
	}
}

// Value is one value or key of a Document. The zero Value does not exist: its Kind is Absent.
type Value struct {
	doc   *Document
	index int32
}

func (v Value) node() node { return v.doc.nodes[v.index] }

// Exists says whether there is such a value.
func (v Value) Exists() bool { return v.doc != nil }

// Kind gives the kind of the value.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Absent
	}
	return v.node().kind
}

// Span gives the byte range of the value in the document, the quotes of a string included. Absent: 0, 0.
func (v Value) Span() (start, end int) {
	if v.doc == nil {
		return 0, 0
	}
	n := v.node()
	return int(n.start), int(n.end)
}

// Raw gives the bytes of the value. Absent: nil.
func (v Value) Raw() []byte {
	if v.doc == nil {
		return nil
	}
	n := v.node()
	return v.doc.raw[n.start:n.end]
}

// Escaped says whether the value is a string that holds an escape.
func (v Value) Escaped() bool { return v.doc != nil && v.node().escaped }

// Text decodes a string. Any other kind gives "".
func (v Value) Text() string {
	if v.Kind() != String {
		return ""
	}
	return v.Decode().Text
}

// Decode decodes a string together with the map from its text to the bytes of the document. Any other kind gives the
// zero Decoded.
func (v Value) Decode() Decoded {
	if v.Kind() != String {
		return Decoded{}
	}
	n := v.node()
	if !n.escaped {
		return Decoded{Text: string(v.doc.raw[n.start+1 : n.end-1]), start: int(n.start) + 1}
	}
	return decode(v.doc.raw[n.start:n.end], int(n.start))
}

// Equal says whether the value is a string with this text. It does not allocate unless the string holds escapes.
func (v Value) Equal(text string) bool {
	if v.Kind() != String {
		return false
	}
	n := v.node()
	if n.escaped {
		return v.Text() == text
	}
	return string(v.doc.raw[n.start+1:n.end-1]) == text
}

// Int gives a number that is an integer in the range of int64; ok is false for anything else.
func (v Value) Int() (i int64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	i, err := strconv.ParseInt(string(v.Raw()), 10, 64)
	return i, err == nil
}

// Bool gives a boolean; ok is false for anything else.
func (v Value) Bool() (b, ok bool) {
	if v.Kind() != Bool {
		return false, false
	}
	return v.Raw()[0] == 't', true
}

// Fields gives the fields of an object, key and value, in the order of the bytes. Any other kind gives none.
func (v Value) Fields() iter.Seq2[Value, Value] {
	return func(yield func(key, value Value) bool) {
		if v.Kind() != Object {
			return
		}
		for i, last := v.index+1, v.node().next; i < last; {
			key, value := Value{v.doc, i}, Value{v.doc, i + 1}
			if !yield(key, value) {
				return
			}
			i = value.node().next
		}
	}
}

// Items gives the items of an array. Any other kind gives none.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for i, last := v.index+1, v.node().next; i < last; {
			item := Value{v.doc, i}
			if !yield(item) {
				return
			}
			i = item.node().next
		}
	}
}

// Get gives the value of a key of an object. It does not exist when there is no such key or v is no object.
func (v Value) Get(key string) Value {
	for k, value := range v.Fields() {
		if k.Equal(key) {
			return value
		}
	}
	return Value{}
}
