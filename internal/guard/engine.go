package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/chat"
)

// consistencyName is the name of the engine's own second pass in findings and coverage: what was found once is found
// everywhere in the request.
const consistencyName = "document_consistency"

// Engine runs detectors over the parts of a request or an answer. It is immutable and safe for concurrent use.
type Engine struct {
	limits Limits
	list   []Registered
	types  []string
}

// Report is the result of an inspection.
type Report struct {
	// Findings of each part, in the order of the parts; within a part by Start, without overlaps.
	Findings [][]Finding
	// Coverage has one row for each part and detector, parts first, the engine's own second pass last.
	Coverage []Coverage
}

// New makes an engine. Names of detectors must be there and unique.
func New(limits Limits, list ...Registered) (*Engine, error) {
	e := &Engine{limits: limits.orDefault(), list: slices.Clone(list)}
	names := map[string]bool{"": true, consistencyName: true}
	for _, r := range list {
		if r.Detector == nil || names[r.Detector.Name()] {
			return nil, errors.New("guard: a detector without a name of its own")
		}
		if len(r.Types) == 0 {
			return nil, fmt.Errorf("guard: detector %s states no types", r.Detector.Name())
		}
		names[r.Detector.Name()] = true
		e.types = append(e.types, r.Types...)
	}
	slices.Sort(e.types)
	e.types = slices.Compact(e.types)
	return e, nil
}

// Types gives the types that the detectors can find, sorted.
func (e *Engine) Types() []string { return slices.Clone(e.types) }

// rows is the number of coverage rows of one part.
func (e *Engine) rows() int { return len(e.list) + 1 }

func (e *Engine) name(row int) string {
	if row < len(e.list) {
		return e.list[row].Detector.Name()
	}
	return consistencyName
}

// Inspect looks at every part with every detector. It has no error: what could not be done stands in the coverage, and
// Missing says whether that matters. Tool arguments are inspected decoded: keys, strings and numbers, a key being the
// context of its value.
func (e *Engine) Inspect(ctx context.Context, parts []chat.Part) Report {
	report := Report{Findings: make([][]Finding, len(parts)), Coverage: make([]Coverage, 0, len(parts)*e.rows())}
	opened := make([][]leaf, len(parts))
	found := false
	for i := range parts {
		for row := range e.rows() {
			report.Coverage = append(report.Coverage, Coverage{Part: parts[i].Name, Detector: e.name(row), Status: StatusRan})
		}
		rows := report.Coverage[i*e.rows():]
		opened[i] = e.open(parts[i], rows)
		if opened[i] == nil {
			continue
		}
		report.Findings[i] = e.inspect(ctx, string(parts[i].Text), opened[i], rows)
		found = found || len(report.Findings[i]) > 0
	}
	if found {
		e.consistency(ctx, parts, opened, report)
	} else if ctx.Err() != nil {
		e.failLast(report, ReasonTime)
	}
	return report
}

// open checks a part and splits it into leaves; nil with the rows marked when it cannot be inspected.
func (e *Engine) open(part chat.Part, rows []Coverage) []leaf {
	status, reason := StatusFailed, ""
	var list []leaf
	switch {
	case part.Kind != chat.KindText && part.Kind != chat.KindArguments:
		status, reason = StatusNotInspected, ReasonKind
	case len(part.Text) > e.limits.PartBytes:
		reason = ReasonSize
	case !utf8.ValidString(string(part.Text)):
		reason = ReasonUTF8
	default:
		var err error
		if list, err = leaves(part, e.limits); err == nil {
			return list
		}
		reason = ReasonJSON
	}
	for k := range rows {
		rows[k].Status, rows[k].Reason = status, reason
	}
	return nil
}

// inspect runs the detectors over the leaves of one part.
func (e *Engine) inspect(ctx context.Context, text string, list []leaf, rows []Coverage) []Finding {
	var found []Finding
	view := new(View)
	for i := range list {
		l := &list[i]
		view.reset(l.text, l.context)
		if l.context != "" {
			view.Context = NewView(l.context, "").Text
		}
		for row, r := range e.list {
			if rows[row].Status != StatusRan || r.Needs != 0 && !view.Has(r.Needs) && l.context == "" {
				continue
			}
			if ctx.Err() != nil {
				rows[row].Status, rows[row].Reason = StatusFailed, ReasonTime
				continue
			}
			before := len(found)
			var reason string
			if found, reason = detect(r.Detector, view, found); reason == "" {
				reason = place(found[before:], r.Detector.Name(), view, l)
			}
			if reason == "" && len(found) > e.limits.Findings {
				reason = ReasonFindings
			}
			if reason != "" {
				found = found[:before]
				rows[row].Status, rows[row].Reason = StatusFailed, reason
			}
		}
	}
	return resolve(text, found)
}

// detect calls a detector and turns an error or a panic into a reason without content.
func detect(d Detector, v *View, found []Finding) (out []Finding, reason string) {
	before := len(found)
	defer func() {
		if p := recover(); p != nil {
			out, reason = found[:before], fmt.Sprintf("%s %T", ReasonPanic, p)
		}
	}()
	out, err := d.Detect(v, found)
	if err != nil || len(out) < before {
		return found[:before], ReasonError
	}
	return out, ""
}

// place maps findings of a view to the text of the part.
func place(found []Finding, detector string, v *View, l *leaf) (reason string) {
	for k := range found {
		f := &found[k]
		from, to, ok := v.Original(f.Start, f.End)
		if !ok || f.Type == "" {
			return ReasonOffsets
		}
		f.Detector = detector
		f.Start, f.End = l.span(from, to)
	}
	return ""
}

func (e *Engine) failLast(report Report, reason string) {
	for i := len(e.list); i < len(report.Coverage); i += e.rows() {
		if row := &report.Coverage[i]; row.Status == StatusRan {
			row.Status, row.Reason = StatusFailed, reason
		}
	}
}

// Missing gives the rows that stand between a request and the statement "everything demanded was looked for": one for
// each part and detector that finds a demanded type and did not run, and one for each type that no detector finds.
// SECRET is always demanded. The gateway refuses the call unless the result is empty.
func (e *Engine) Missing(parts []chat.Part, report Report, types []string) []Coverage {
	demanded := map[string]bool{TypeSecret: true}
	for _, t := range types {
		demanded[t] = true
	}
	var missing []Coverage
	for t := range demanded {
		if !slices.Contains(e.types, t) {
			missing = append(missing, Coverage{Detector: t, Status: StatusFailed, Reason: ReasonNone})
		}
	}
	slices.SortFunc(missing, func(a, b Coverage) int { return strings.Compare(a.Detector, b.Detector) })
	for i, part := range parts {
		for row := range e.rows() {
			if row < len(e.list) && !slices.ContainsFunc(e.list[row].Types, func(t string) bool { return demanded[t] }) {
				continue
			}
			want := Coverage{Part: part.Name, Detector: e.name(row), Status: StatusRan}
			at := i*e.rows() + row
			switch {
			case at >= len(report.Coverage):
				want.Status = StatusFailed
				missing = append(missing, want)
			case report.Coverage[at] != want:
				missing = append(missing, report.Coverage[at])
			}
		}
	}
	return missing
}
