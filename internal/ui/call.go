package ui

import (
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/web"
)

// CallPage is the decision file of one call: what happened when, what was seen and decided, what left the house, and
// whether all of it can be proved.
type CallPage struct {
	web.Frame
	ID       string // log and number of the opening or refusing entry
	Number   uint64
	At       time.Time
	Verdict  Verdict
	Code     string // refusal code; "" when the call was let through
	Words    string // the refusal's sentence, in words
	SystemID string
	System   string // name
	Purpose  string
	Case     string // of process mining; only for whoever may see the content
	Activity string
	Open     bool // no closing entry yet

	Steps []Step
	Exact bool // steps know milliseconds
	Took  time.Duration

	Content  Content
	Finding  Counts
	Coverage Coverage

	Proof Proof
	Facts []Field     // what the call belongs to, in the order of the page
	Near  []Neighbour // entries before and after, and those of the same call
}

// Template names the page's file.
func (*CallPage) Template() string { return "call" }

// Visibility says whether and why content is shown.
type Visibility string

// Why content is shown or not.
const (
	Shown   Visibility = "shown"
	Hidden  Visibility = "hidden"  // this person may not see it
	Erased  Visibility = "erased"  // destroyed on request or after its term
	Missing Visibility = "missing" // the entry never held any
)

// Content is the text of a call in both directions.
type Content struct {
	State    Visibility
	Ask      []Contact // whom to ask for a reveal, when hidden
	ErasedBy string    // id of the entry that records the destruction, when erased
	Access   string    // id of the entry that records this view; "" when none is written
	Request  []web.SplitPart
	Response []web.SplitPart
	Provider *Received // what the demo provider recorded itself; nil when it keeps no record
	Cut      bool      // the texts are longer than what is shown
}

// Contact is somebody to ask.
type Contact struct {
	Name string
	Role string // role id
}

// Received is a provider's own record of a request.
type Received struct {
	Model string
	At    time.Time
	Parts []web.SplitPart // left: what left the house, right: what arrived
	Same  bool            // byte for byte
	Gone  bool            // it kept only the last ones, and this is no longer among them
}

// split compares one direction in the reader's language.
func split(l lang.Locale, left, right string, parts []web.SplitPart) web.Split {
	r := ""
	if right != "" {
		r = l.T(right)
	}
	return web.NewSplit(l.T(left), r, parts)
}

// RequestLines compares what came in with what left; of a refused call nothing did.
func (p *CallPage) RequestLines() web.Split {
	if !p.Left() {
		return split(p.locale(), "call.came_in", "", p.Content.Request)
	}
	return split(p.locale(), "call.came_in", "call.left", p.Content.Request)
}

// ResponseLines compares what came back with what the caller was given.
func (p *CallPage) ResponseLines() web.Split {
	return split(p.locale(), "call.came_back", "call.given", p.Content.Response)
}

// ReceivedLines compares what left with what the provider received.
func (p *CallPage) ReceivedLines() web.Split {
	return split(p.locale(), "call.left", "call.received", p.Content.Provider.Parts)
}

// locale is enough for words; times are written by the templates.
func (p *CallPage) locale() lang.Locale { return lang.Locale{Lang: p.Prefs.Lang, Zone: time.UTC} }

// Left reports whether something left the house: a refused call has no right side.
func (p *CallPage) Left() bool { return p.Code == "" }

// StepCount returns how many steps the call had.
func (p *CallPage) StepCount() int { return len(p.Steps) }

// Length returns how long the call took, in words.
func (p *CallPage) Length() string { return p.locale().Long(p.Took) }

// RailStep is a step in words.
type RailStep struct {
	At            time.Time
	Exact         bool
	Took          time.Duration
	Kind, Icon    string
	Heading, Text string
}

// Rail returns the steps in words.
func (p *CallPage) Rail() []RailStep {
	l := p.locale()
	out := make([]RailStep, 0, len(p.Steps))
	for _, s := range p.Steps {
		out = append(out, RailStep{
			At: s.At, Exact: p.Exact, Took: s.Took, Kind: s.Kind, Icon: s.Icon,
			Heading: l.T(s.Key, s.Args...), Text: l.T(s.Key+".text", s.Args...),
		})
	}
	return out
}

// Kinds returns the kinds of marks that the texts hold, for the legend.
func (c Content) Kinds() []LegendItem {
	n := map[web.MarkKind]int{}
	for _, parts := range [][]web.SplitPart{c.Request, c.Response} {
		for _, p := range parts {
			for _, m := range p.Left.Marks {
				n[m.Kind]++
			}
			for _, m := range p.Right.Marks {
				n[m.Kind]++
			}
		}
	}
	var out []LegendItem
	for _, k := range []web.MarkKind{web.MarkPersonal, web.MarkSecret, web.MarkInjection, web.MarkPlaceholder} {
		if n[k] > 0 {
			out = append(out, LegendItem{Kind: k, Key: "mark." + string(k)})
		}
	}
	return out
}

// LegendItem explains one kind of mark.
type LegendItem struct {
	Kind web.MarkKind
	Key  string
}

// CoverageItem says whether one detector ran on one part.
type CoverageItem struct {
	Part     string // "messages.0", or a name in words
	Detector string
	Status   string // ran, skipped, failed, not_inspected
	Reason   string // code, may be empty
}

// CoverageSum says for one detector on how many parts it ran and did not: all that the leaf tells to everybody.
type CoverageSum struct {
	Detector                           string
	Ran, Skipped, Failed, NotInspected uint64
}

// Coverage says which guard ran on which part. Items need the sealed part of the entry; Sums do not.
type Coverage struct {
	Items []CoverageItem
	Sums  []CoverageSum
}

// maxColumns is how many parts stand side by side before the table is turned.
const maxColumns = 5

// Matrix is a table of coverage: rows and columns are detectors and parts, whichever fits.
type Matrix struct {
	PartsAcross bool // columns are parts
	Columns     []string
	Rows        []MatrixRow
}

// MatrixRow is a row of a Matrix; a cell without status means that the pair was not stated.
type MatrixRow struct {
	Name  string
	Cells []CoverageItem
}

// Matrix arranges the items.
func (c Coverage) Matrix() Matrix {
	var parts, detectors []string
	at := map[[2]string]CoverageItem{}
	for _, it := range c.Items {
		if !slices.Contains(parts, it.Part) {
			parts = append(parts, it.Part)
		}
		if !slices.Contains(detectors, it.Detector) {
			detectors = append(detectors, it.Detector)
		}
		at[[2]string{it.Detector, it.Part}] = it
	}
	m := Matrix{PartsAcross: len(parts) <= maxColumns}
	rows := parts
	m.Columns = detectors
	if m.PartsAcross {
		rows, m.Columns = detectors, parts
	}
	for _, name := range rows {
		row := MatrixRow{Name: name}
		for _, col := range m.Columns {
			key := [2]string{col, name}
			if m.PartsAcross {
				key = [2]string{name, col}
			}
			row.Cells = append(row.Cells, at[key])
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// ReasonCode returns the reason without the detail that may follow it.
func (i CoverageItem) ReasonCode() string {
	code, _, _ := strings.Cut(i.Reason, " ")
	return code
}

// Kind is the kind of the item's state.
func (i CoverageItem) Kind() string {
	switch i.Status {
	case "ran":
		return "ok"
	case "failed":
		return "bad"
	case "not_inspected":
		return "warn"
	}
	return "none"
}

// Neighbour is a related entry.
type Neighbour struct {
	ID     string
	Number uint64
	Type   string
	Same   bool // belongs to the same call
}

// Path returns the entry's page.
func (n Neighbour) Path() string { return EntryPath(n.ID) }
