// Package guard finds what must not leave: personal data and secrets. It says which detector looked at which part,
// replaces what was found by tokens, and puts the values back into the answer.
//
// A detector that could not look is never reported as one that found nothing: Engine.Missing names every gap, and the
// gateway refuses the call.
package guard

import "log/slog"

// The types of findings that this package itself treats in a special way. Every other type is a word of the contract
// that only its detector knows.
const (
	TypePerson = "PERSON"
	TypeSecret = "SECRET" // always removed, never restored
)

// Scores say how strong the evidence of a finding is. They are compared by policy and order overlapping findings.
// Source: detection.md section 5.
const (
	ScoreChecksumContext = 1.0  // a check digit holds and a word nearby says what it is
	ScoreChecksum        = 0.99 // a check digit holds
	ScoreContext         = 0.85 // shape plus a label or another word that says what it is
	ScoreGrammar         = 0.75 // a shape that hardly occurs by chance
)

// Finding is one place in the text of a part. It holds no text.
type Finding struct {
	Detector string  `json:"detector"`
	Type     string  `json:"type"`
	Start    int     `json:"start"` // byte offset in the Part's decoded Text, on a rune boundary
	End      int     `json:"end"`   // byte offset behind the last byte
	Score    float64 `json:"score"` // 0 to 1, see the Score constants
	// Source is set by the engine's second pass: 1 + the index of the part whose own finding made the value known.
	Source int `json:"-"`
}

// LogValue implements slog.LogValuer: type and length, no place that would help to find the content.
func (f Finding) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", f.Type), slog.Int("bytes", f.End-f.Start))
}

// Status says what a detector did with a part.
type Status string

// The four statuses of the contract.
const (
	StatusRan          Status = "ran"
	StatusSkipped      Status = "skipped" // switched off on purpose; this package never reports it by itself
	StatusFailed       Status = "failed"
	StatusNotInspected Status = "not_inspected" // no text detector reads this kind of part
)

// The reasons of a Coverage whose status is not "ran". A panic has its Go type behind the word.
const (
	ReasonKind     = "kind"       // the part is no text
	ReasonSize     = "size"       // longer than Limits.PartBytes
	ReasonTime     = "time"       // the deadline passed or the call was cancelled
	ReasonUTF8     = "utf8"       // the text is no valid UTF-8
	ReasonJSON     = "json"       // tool arguments that two readers may understand differently
	ReasonFindings = "findings"   // more than Limits.Findings
	ReasonOffsets  = "offsets"    // a detector pointed outside of the text
	ReasonError    = "error"      // a detector returned an error
	ReasonPanic    = "panic"      // a detector panicked
	ReasonNone     = "undetected" // no detector of this engine finds the type
)

// Coverage says what one detector did with one part.
type Coverage struct {
	Part     string `json:"part"`
	Detector string `json:"detector"`
	Status   Status `json:"status"`
	Reason   string `json:"reason,omitempty"`
}

// Detector finds one kind of thing. It keeps no state between calls and is safe for concurrent use.
type Detector interface {
	// Name is unique in an engine and stands in findings and coverage.
	Name() string
	// Detect appends what it finds to found and returns the longer slice. Start and End are byte offsets into v.Text;
	// the engine maps them to the original and fills in Finding.Detector. Time is linear in the length of v.Text.
	Detect(v *View, found []Finding) ([]Finding, error)
}

// Registered is a detector together with what the engine must know about it.
type Registered struct {
	Detector Detector
	Types    []string // the types it can find
	// Needs is the set of triggers without which it cannot find anything; the engine then does not call it and still
	// reports "ran". A text that has any one of them is enough. Zero: call it always.
	Needs Trigger
}

// Limits bound an inspection. A zero field means its default.
type Limits struct {
	PartBytes int // length of one part's text; default 1 MiB
	Findings  int // findings of one part before overlaps are resolved; default 20,000
	Values    int // values and keys of one tool argument document; default 100,000
}

func (l Limits) orDefault() Limits {
	if l.PartBytes <= 0 {
		l.PartBytes = 1 << 20
	}
	if l.Findings <= 0 {
		l.Findings = 20_000
	}
	if l.Values <= 0 {
		l.Values = 100_000
	}
	return l
}
