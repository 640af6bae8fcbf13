package ui

import (
	"encoding/hex"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/lang"
)

// LeafFacts lists what a leaf says, in the order in which people ask. Commitments and hashes are in LeafHashes.
func LeafFacts(l *bundle.Leaf) []Field {
	var f facts
	f.code("fact.type", string(l.Type))
	f.text("fact.system", l.System)
	f.code("fact.object", l.Object)
	f.num("fact.revision", l.Revision)
	f.code("fact.code", l.Code)
	f.add(Field{Label: "fact.time", Value: time.Unix(int64(l.Time), 0)}) //nolint:gosec // seconds
	f.text("fact.model", l.Model)
	f.text("fact.provider", l.Provider)
	f.code("fact.policy", l.Policy)
	f.hash("fact.policy_hash", l.PolicyHash)
	f.code("fact.rules", strings.Join(l.Rules, ", "))
	f.num("fact.tokens_in", l.TokensIn)
	f.num("fact.tokens_out", l.TokensOut)
	f.code("fact.kind", l.Kind)
	f.code("fact.class", l.Class)
	f.num("fact.epoch", l.Epoch)
	if len(l.Entries) > 0 {
		f.add(Field{Label: "fact.entries", Value: spans(l.Entries)})
	}
	f.code("fact.keys", strings.Join(l.Keys, ", "))
	f.code("fact.key", l.Key)
	f.hash("fact.digest", l.Digest)
	f.code("fact.prior_log", l.PriorLog)
	f.num("fact.prior_size", l.PriorSize)
	f.hash("fact.prior_root", l.PriorRoot)
	f.num("fact.found_size", l.FoundSize)
	f.code("fact.instance", l.Instance)
	return f
}

// LeafHashes lists the commitments of a leaf and the hash of its sealed part. Leaf hash and tree root are the caller's.
func LeafHashes(l *bundle.Leaf) []Hash {
	var out []Hash
	for _, h := range []struct {
		name  string
		value []byte
	}{
		{"c_request", l.CRequest},
		{"c_outbound", l.COutbound},
		{"c_response", l.CResponse},
		{"c_meta", l.CMeta},
		{"c_row", l.CRow},
		{"h_sealed", l.HSealed},
	} {
		if len(h.value) > 0 {
			out = append(out, Hash{Name: h.name, Hex: hex.EncodeToString(h.value)})
		}
	}
	return out
}

// CallFacts is what a call belongs to, for the side of its page. Empty fields are left out.
type CallFacts struct {
	Case, Activity          string // only for whoever may see the content
	Access                  string // kind of Zugang in words, never a person's
	Model, Provider, Region string
	TokensIn, TokensOut     uint64
	Policy, PolicyHash      string
	Kind, Class             string
	ContentUntil, LeafUntil time.Time
	Instance                string
	Epoch                   uint64
}

// Fields returns the facts in the order of the page.
func (c CallFacts) Fields() []Field {
	var f facts
	f.text("fact.case", c.Case)
	f.text("fact.activity", c.Activity)
	f.text("fact.access", c.Access)
	f.text("fact.model", c.Model)
	f.text("fact.provider", c.Provider)
	f.text("fact.region", c.Region)
	f.num("fact.tokens_in", c.TokensIn)
	f.num("fact.tokens_out", c.TokensOut)
	f.code("fact.policy", c.Policy)
	if c.PolicyHash != "" {
		f.add(Field{Label: "fact.policy_hash", Hash: c.PolicyHash})
	}
	f.code("fact.kind", c.Kind)
	f.code("fact.class", c.Class)
	f.day("fact.content_until", c.ContentUntil)
	f.day("fact.leaf_until", c.LeafUntil)
	f.code("fact.instance", c.Instance)
	f.num("fact.epoch", c.Epoch)
	return f
}

// SealedFacts lists what the sealed part of an entry that is not a call says about people, for whoever may see it.
func SealedFacts(person, reason string) []Field {
	var f facts
	f.text("fact.person", person)
	f.text("fact.reason", reason)
	return f
}

// facts collects fields and leaves out empty ones.
type facts []Field

func (f *facts) add(x Field) { *f = append(*f, x) }

func (f *facts) text(label, s string) {
	if s != "" {
		f.add(Field{Label: label, Text: s})
	}
}

func (f *facts) code(label, s string) {
	if s != "" {
		f.add(Field{Label: label, Code: s})
	}
}

func (f *facts) num(label string, n uint64) {
	if n != 0 {
		f.add(Field{Label: label, Value: n})
	}
}

func (f *facts) hash(label string, b []byte) {
	if len(b) > 0 {
		f.add(Field{Label: label, Hash: hex.EncodeToString(b)})
	}
}

func (f *facts) day(label string, t time.Time) {
	if !t.IsZero() {
		f.add(Field{Label: label, Value: day(t)})
	}
}

// day is a time that is shown as a date.
type day time.Time

// In writes the date.
func (d day) In(l lang.Locale) string { return l.Date(time.Time(d)) }

// spans are ranges of entries; they are shown with both ends included.
type spans []bundle.Span

// In writes the ranges.
func (s spans) In(l lang.Locale) string {
	words := make([]string, 0, len(s))
	for _, r := range s {
		if r.To <= r.From+1 {
			words = append(words, l.Value(r.From))
		} else {
			words = append(words, l.Value(r.From)+"–"+l.Value(r.To-1))
		}
	}
	return strings.Join(words, ", ")
}
