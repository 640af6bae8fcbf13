// Package chat is the vocabulary of a conversation with a language model, free of any vendor's dialect.
//
// A Request keeps the bytes that arrived. What a guard reads is a list of Parts, each of which knows where in those
// bytes its text stands, so that a change replaces the text in place and every other byte leaves as it came.
package chat

import (
	"log/slog"
	"unicode/utf8"
)

// Text is content of a conversation. It has no printable form in the program log: LogValue gives its length only.
type Text string

// LogValue implements slog.LogValuer: the length in bytes, never the content.
func (t Text) LogValue() slog.Value { return slog.IntValue(len(t)) }

// Kind says what a Part holds, and so how a guard may read and edit it.
type Kind string

const (
	KindText      Kind = "text"           // running text
	KindArguments Kind = "tool_arguments" // a JSON document inside a JSON string
	KindOther     Kind = "other"          // image, audio, file: no text detector reads it
)

// Role says who speaks, in the words of the OpenAI dialect.
type Role string

const (
	RoleSystem    Role = "system" // also "developer"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"   // the result of a tool call: text from outside
	RoleSchema    Role = "schema" // descriptions of tools and of the answer's format
)

// Part is one string value of a body. Start and End are byte offsets of its JSON string literal in the body,
// quotes included; Text is the decoded value. A Part of KindOther spans the whole value, which need not be a string.
type Part struct {
	Name       string // where it stands, as a path: messages[2].content[0].text
	Role       Role
	Kind       Kind
	Text       Text
	Start, End int
}

// Request is one question to a model as the client sent it.
type Request struct {
	Raw       []byte // the body, untouched
	Model     string // the name the caller used: a model or an alias
	ModelSpan [2]int // byte offsets of the model's JSON string literal in Raw
	Stream    bool
	MaxTokens int // 0 = the caller gave none
	Parts     []Part
}

// Usage counts tokens as the provider reported them, or as estimated where it did not.
type Usage struct {
	Input, Output int
	Estimated     bool
}

// Answer is a complete answer of a model: the body as the provider sent it and the parts that a guard reads.
type Answer struct {
	Raw   []byte
	Parts []Part
	Usage Usage
}

// EstimateTokens gives a rough count for text whose provider reports none: one token for four characters.
func EstimateTokens(n int) int { return (n + 3) / 4 }

// Runes counts the characters of t.
func (t Text) Runes() int { return utf8.RuneCountInString(string(t)) }

// WithModel returns a copy of the request whose body asks for another model; all parts keep their place in it. literal is
// the new name as a JSON string literal, quotes included.
func (r *Request) WithModel(name string, literal []byte) *Request {
	c := *r
	from, to := r.ModelSpan[0], r.ModelSpan[1]
	grow := len(literal) - (to - from)
	c.Raw = make([]byte, 0, len(r.Raw)+grow)
	c.Raw = append(append(append(c.Raw, r.Raw[:from]...), literal...), r.Raw[to:]...)
	c.Model, c.ModelSpan = name, [2]int{from, to + grow}
	c.Parts = make([]Part, len(r.Parts))
	for i, p := range r.Parts {
		if p.Start >= to {
			p.Start, p.End = p.Start+grow, p.End+grow
		}
		c.Parts[i] = p
	}
	return &c
}
