package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/record"
)

// open writes the opening entry. It is durable when open returns without an error; a rule that changed meanwhile gives
// audit.ErrStale.
func (g *Gateway) open(ctx context.Context, x *Exchange) error {
	if err := g.hook("open.before"); err != nil {
		return g.unrecorded(err)
	}
	leaf := g.leaf(x, bundle.CallOpen)
	leaf.Epoch = x.Snapshot.Epoch
	content := []audit.Content{
		{Name: bundle.FieldRequest, Value: x.Body, Commit: true},
		{Name: bundle.FieldOutbound, Value: x.Outbound, Commit: true},
		g.meta(x),
		detail(g.detail(x)),
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.c.RecordBy)
	defer cancel()
	r, err := g.c.Log.Append(ctx, audit.Record{Leaf: leaf, Content: content})
	if errors.Is(err, audit.ErrStale) {
		return err
	}
	if err != nil {
		return g.unrecorded(err)
	}
	x.Opening = &r
	x.steps = x.steps[:0:0] // the closing entry tells the steps after this one
	if err := g.hook("open.after"); err != nil {
		return g.unrecorded(err)
	}
	return nil
}

// closeCall writes the closing entry of a call that went its whole way.
func (g *Gateway) closeCall(ctx context.Context, x *Exchange) error {
	code := "complete"
	if x.Reply.Status != 200 {
		code = "upstream_error"
	}
	if err := g.end(context.WithoutCancel(ctx), x, code); err != nil {
		return g.unrecorded(err)
	}
	return nil
}

// end writes the closing entry with that end reason. A call that was ended by somebody else, because this process was
// taken for dead, cannot be closed; its answer is not released.
func (g *Gateway) end(ctx context.Context, x *Exchange, code string) error {
	if err := g.hook("close.before"); err != nil {
		return err
	}
	leaf := g.leaf(x, bundle.CallClose)
	leaf.Verdict, leaf.Rules, leaf.Findings = "", nil, nil
	leaf.Ref, leaf.Code = &x.Opening.N, code
	leaf.TokensIn, leaf.TokensOut, leaf.Estimated = uint64(x.Usage.Input), uint64(x.Usage.Output), x.Usage.Estimated
	leaf.Coverage = append(leaf.Coverage, bundle.Ran{Detector: "restore", Ran: uint64(x.Notes.Restored), Skipped: uint64(x.Notes.Unknown)})
	d := record.Detail{At: g.c.Now().UnixMicro(), Steps: x.times()}
	var content []audit.Content
	if x.Reply != nil {
		d.Status, d.Upstream = x.Reply.Status, x.Reply.Header.Get("X-Request-Id")
		if string(x.Reply.Body) != string(x.Answer) {
			content = append(content, audit.Content{Name: record.FieldUpstream, Value: x.Reply.Body})
		}
	}
	if x.Answer != nil {
		d.Notes = &x.Notes
		content = append(content, audit.Content{Name: bundle.FieldResponse, Value: x.Answer, Commit: true})
	}
	content = append(content, detail(d))
	ctx, cancel := context.WithTimeout(ctx, g.c.RecordBy)
	defer cancel()
	if _, err := g.c.Log.Append(ctx, audit.Record{Leaf: leaf, Content: content}); err != nil {
		return err
	}
	x.Closed = true
	return g.hook("close.after")
}

// endLater ends a call whose closing entry could not be written, as soon as one can be: its answer was not released, and
// until the abort is there the log shows it as open. It gives up when the log closes or somebody else ended the call; there
// are at most as many of these as calls in flight, since without a log none opens.
func (g *Gateway) endLater(common bundle.Leaf, opening uint64) {
	leaf := bundle.Leaf{
		Type: bundle.CallAbort, Ref: &opening, Code: problem.RecordUnavailable, Kind: common.Kind, System: common.System,
		Model: common.Model, Provider: common.Provider, Class: common.Class,
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		time.Sleep(wait)
		_, err := g.c.Log.Append(context.Background(), audit.Record{Leaf: leaf})
		if err == nil || errors.Is(err, audit.ErrEnded) || errors.Is(err, audit.ErrRefused) {
			return
		}
	}
}

// maxRefused is the largest body in bytes that is kept of a call that was not allowed: a broken client must not fill the log.
const maxRefused = 1 << 20

// refuse writes the one entry of a call that was not allowed.
func (g *Gateway) refuse(ctx context.Context, x *Exchange, p *problem.Error) error {
	if err := g.hook("refuse.before"); err != nil {
		return err
	}
	leaf := g.leaf(x, bundle.CallRefuse)
	leaf.Verdict, leaf.Code, leaf.Epoch = VerdictBlock, p.Code(), x.Snapshot.Epoch
	content := []audit.Content{g.meta(x), detail(g.detail(x))}
	if x.Body != nil && len(x.Body) <= maxRefused {
		content = append(content, audit.Content{Name: bundle.FieldRequest, Value: x.Body, Commit: true})
	}
	ctx, cancel := context.WithTimeout(ctx, g.c.RecordBy)
	defer cancel()
	r, err := g.c.Log.Append(ctx, audit.Record{Leaf: leaf, Content: content})
	if err != nil {
		return err
	}
	x.Refusal = &r
	return g.hook("refuse.after")
}

// leaf is what all entries of a call have in common.
func (g *Gateway) leaf(x *Exchange, t bundle.Type) bundle.Leaf {
	l := bundle.Leaf{
		Type: t, Kind: "user", System: x.Grant.System.ID, Class: x.Grant.System.Class(), Verdict: x.Verdict, Rules: x.Rules,
		Findings: x.findings(), Coverage: sumCoverage(x.Report.Coverage), Policy: "builtin/1",
	}
	if x.Route != nil {
		l.Model, l.Provider = x.Route.Model.ID, x.Route.Provider.ID
	}
	return l
}

func (g *Gateway) meta(x *Exchange) audit.Content {
	m := record.Meta{Access: x.Grant.Access.ID, Person: x.Grant.Access.Owner, Case: x.Case, Activity: x.Activity}
	return audit.Content{Name: bundle.FieldMeta, Value: record.Bytes(m), Commit: true}
}

func (g *Gateway) detail(x *Exchange) record.Detail {
	d := record.Detail{At: x.began.UnixMicro(), Steps: x.times(), Findings: x.Report.Findings, Tokens: x.Tokens}
	if x.Request != nil {
		for _, p := range x.Request.Parts {
			d.Parts = append(d.Parts, p.Name)
		}
	}
	for _, c := range x.Report.Coverage {
		if c.Status != guard.StatusRan {
			d.Coverage = append(d.Coverage, c)
		}
	}
	return d
}

func (x *Exchange) times() []record.Step {
	list := make([]record.Step, len(x.steps))
	for i, s := range x.steps {
		list[i] = record.Step{Name: s.name, Took: s.took.Microseconds()}
	}
	return list
}

func detail(d record.Detail) audit.Content {
	return audit.Content{Name: record.FieldDetail, Value: record.Bytes(d)}
}

func (g *Gateway) unrecorded(err error) error {
	g.c.Program.Error("an entry could not be written", "error", err)
	return problem.Unavailable(problem.RecordUnavailable).Because(err)
}

func countFindings(parts [][]guard.Finding) []bundle.Count {
	var list []bundle.Count
	for _, found := range parts {
		for _, f := range found {
			i := slices.IndexFunc(list, func(c bundle.Count) bool { return c.Type == f.Type })
			if i < 0 {
				i, list = len(list), append(list, bundle.Count{Type: f.Type})
			}
			list[i].N++
		}
	}
	slices.SortFunc(list, func(a, b bundle.Count) int { return cmp.Compare(a.Type, b.Type) })
	return list
}

func sumCoverage(rows []guard.Coverage) []bundle.Ran {
	var list []bundle.Ran
	at := 0
	for _, c := range rows {
		// Rows come part by part with the detectors in the same order, so the next one is usually the one after the last.
		if at++; at >= len(list) || list[at].Detector != c.Detector {
			if at = slices.IndexFunc(list, func(r bundle.Ran) bool { return r.Detector == c.Detector }); at < 0 {
				at, list = len(list), append(list, bundle.Ran{Detector: c.Detector})
			}
		}
		switch c.Status {
		case guard.StatusRan:
			list[at].Ran++
		case guard.StatusSkipped:
			list[at].Skipped++
		case guard.StatusFailed:
			list[at].Failed++
		default:
			list[at].NotInspected++
		}
	}
	return list
}

// endReason is the word for the end of a call that did not go its whole way.
func endReason(_ context.Context, p *problem.Error) string {
	switch p.Code() {
	case "client_left", problem.SystemStopped, "upstream_unavailable", "upstream_unreadable", problem.PolicyBlocked, problem.RecordUnavailable:
		return p.Code()
	}
	return "internal_error"
}

func panicType(p any) string {
	if err, ok := p.(error); ok {
		return fmt.Sprintf("%T", err)
	}
	return fmt.Sprintf("%T", p)
}

// took is how long the call has been going on.
func (x *Exchange) took(now time.Time) time.Duration { return now.Sub(x.began) }
