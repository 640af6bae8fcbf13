// Package record is what the sealed part of a call holds beside the bodies: whose call it was, and everything that the leaf
// only sums up. The gateway writes it, pages and commands read it.
package record

import (
	"encoding/json"
	"fmt"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/guard"
)

// The names of sealed fields that have no commitment of their own.
const (
	FieldDetail   = "detail"   // JSON of Detail
	FieldUpstream = "upstream" // the provider's answer, where the caller was given another one
)

// Meta is the sealed field meta of a call: whose it is and what it belongs to.
type Meta struct {
	Access   string `json:"access"`
	Person   string `json:"person,omitempty"` // login of the owner of a personal Zugang
	Case     string `json:"case,omitempty"`
	Activity string `json:"activity,omitempty"`
}

// Detail is the sealed field detail of an opening, refusal or closing: what the leaf only sums up.
type Detail struct {
	At       int64             `json:"at"` // µs
	Steps    []Step            `json:"steps,omitempty"`
	Parts    []string          `json:"parts,omitempty"` // names of the parts, in order
	Findings [][]guard.Finding `json:"findings,omitempty"`
	Coverage []guard.Coverage  `json:"coverage,omitempty"` // rows that did not run; all others ran
	Tokens   *guard.Tokens     `json:"tokens,omitempty"`
	Notes    *guard.Notes      `json:"notes,omitempty"`
	Upstream string            `json:"upstream_request_id,omitempty"`
	Status   int               `json:"status,omitempty"` // of the provider
}

// Step is how long one step of the path took.
type Step struct {
	Name string `json:"name"`
	Took int64  `json:"us"`
}

// Bytes is the JSON of a Meta or Detail.
func Bytes(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // own structs of strings and numbers
		panic(err)
	}
	return b
}

// Read returns meta and detail of an opened sealed part; either may be empty.
func Read(s *bundle.Sealed) (m Meta, d Detail, err error) {
	if b := s.Get(bundle.FieldMeta); b != nil {
		if err := json.Unmarshal(b, &m); err != nil {
			return m, d, fmt.Errorf("meta: %w", err)
		}
	}
	if b := s.Get(FieldDetail); b != nil {
		if err := json.Unmarshal(b, &d); err != nil {
			return m, d, fmt.Errorf("detail: %w", err)
		}
	}
	return m, d, nil
}
