package app

import (
	"encoding/hex"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
)

// Entry is an entry as the shell shows it: what the leaf says, no content.
type Entry struct {
	ID          string            `json:"id"`
	N           uint64            `json:"n"`
	Time        time.Time         `json:"time"`
	Type        bundle.Type       `json:"type"`
	Call        string            `json:"call,omitempty"` // the opening it belongs to
	System      string            `json:"system,omitempty"`
	Model       string            `json:"model,omitempty"`
	Provider    string            `json:"provider,omitempty"`
	Verdict     string            `json:"verdict,omitempty"`
	Rules       []string          `json:"rules,omitempty"`
	Code        string            `json:"code,omitempty"`
	Findings    []bundle.Count    `json:"findings,omitempty"`
	Coverage    []bundle.Ran      `json:"coverage,omitempty"`
	TokensIn    uint64            `json:"tokens_in,omitempty"`
	TokensOut   uint64            `json:"tokens_out,omitempty"`
	Estimated   bool              `json:"tokens_estimated,omitempty"`
	Object      string            `json:"object,omitempty"`
	Revision    uint64            `json:"revision,omitempty"`
	Epoch       uint64            `json:"epoch,omitempty"`
	Commitments map[string]string `json:"commitments,omitempty"` // hexadecimal
	Entries     []bundle.Span     `json:"entries,omitempty"`
	Keys        []string          `json:"keys,omitempty"`
	Sealed      bool              `json:"sealed,omitempty"`    // a sealed part is there
	Destroyed   bool              `json:"destroyed,omitempty"` // it was there, and is gone; or the leaf is gone
}

func entryOf(log int, n uint64, leaf []byte) (Entry, error) {
	if leaf == nil {
		return leafEntry(log, n, nil), nil
	}
	l, err := bundle.DecodeLeaf(leaf)
	if err != nil {
		return Entry{}, err
	}
	return leafEntry(log, n, l), nil
}

func leafEntry(log int, n uint64, l *bundle.Leaf) Entry {
	e := Entry{ID: bundle.CallID(log, n), N: n}
	if l == nil {
		e.Destroyed = true
		return e
	}
	e.Time, e.Type, e.System, e.Model, e.Provider = time.Unix(int64(l.Time), 0).UTC(), l.Type, l.System, l.Model, l.Provider
	e.Verdict, e.Rules, e.Code, e.Findings, e.Coverage = l.Verdict, l.Rules, l.Code, l.Findings, l.Coverage
	e.TokensIn, e.TokensOut, e.Estimated = l.TokensIn, l.TokensOut, l.Estimated
	e.Object, e.Revision, e.Epoch, e.Entries, e.Keys = l.Object, l.Revision, l.Epoch, l.Entries, l.Keys
	if l.Ref != nil {
		e.Call = bundle.CallID(log, *l.Ref)
	}
	for name, sum := range map[string][]byte{"request": l.CRequest, "outbound": l.COutbound, "response": l.CResponse, "meta": l.CMeta, "sealed": l.HSealed} {
		if len(sum) > 0 {
			if e.Commitments == nil {
				e.Commitments = map[string]string{}
			}
			e.Commitments[name] = hex.EncodeToString(sum)
		}
	}
	return e
}
