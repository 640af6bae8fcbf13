package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/provider"
	"github.com/leitplanke/leitplanke/internal/wire/openai"
)

// admit finds out what the key opens, under the newest rules that this process knows.
func (g *Gateway) admit(_ context.Context, x *Exchange) error {
	x.Snapshot = g.c.Release.Snapshot()
	grant, err := x.Snapshot.Admit(g.c.HashKey(x.Credential), g.c.Now())
	x.Grant = grant
	return err
}

// decode reads the body and finds its parts.
func (g *Gateway) decode(_ context.Context, x *Exchange) (err error) {
	if x.Request != nil { // judged again
		return nil
	}
	if x.Case, err = ownHeader(x.own, "X-Leitplanke-Case"); err == nil {
		x.Activity, err = ownHeader(x.own, "X-Leitplanke-Activity")
	}
	if err == nil && len(x.own["X-Leitplanke-User"]) > 0 {
		err = problem.Invalid("invalid_request.user").With("X-Leitplanke-User")
	}
	if err != nil {
		return err
	}
	if x.Body, err = x.read(); err != nil {
		return err
	}
	if x.Request, err = openai.DecodeChat(x.Body); err != nil {
		return err
	}
	if x.Request.Stream {
		return problem.Invalid("invalid_request.stream").With("stream")
	}
	return nil
}

// route finds where the model that the caller named is asked.
func (g *Gateway) route(_ context.Context, x *Exchange) (err error) {
	x.Route, err = x.Snapshot.Route(x.Grant.System, x.Request.Model)
	return err
}

// inspect runs every detector over every part, and over the values of our own headers.
func (g *Gateway) inspect(ctx context.Context, x *Exchange) error {
	if x.Inspected {
		return nil
	}
	x.Report = g.c.Guard.Inspect(ctx, x.Request.Parts)
	x.Inspected = true
	if err := context.Cause(ctx); err != nil {
		return err
	}
	head := []chat.Part{{Name: "X-Leitplanke-Case", Kind: chat.KindText, Text: chat.Text(x.Case)}, {Name: "X-Leitplanke-Activity", Kind: chat.KindText, Text: chat.Text(x.Activity)}}
	for i, found := range g.c.Guard.Inspect(ctx, head).Findings {
		if len(found) > 0 {
			return problem.Invalid("invalid_request.header", "header", head[i].Name).With(head[i].Name)
		}
	}
	return nil
}

// decide says what happens to the call. A part that no detector reads, or a detector that did not run, refuses it where
// the system masks.
func (g *Gateway) decide(_ context.Context, x *Exchange) error {
	mask := x.Grant.System.Mask
	x.Rules = nil
	readable := x.Request.Parts
	if i := slices.IndexFunc(readable, func(p chat.Part) bool { return p.Kind == chat.KindOther }); i >= 0 {
		if len(mask) > 0 {
			x.Verdict, x.Rules = VerdictBlock, []string{"parts-inspectable"}
			return problem.Invalid(problem.PartNotInspectable, "part", readable[i].Name).With(readable[i].Name)
		}
		readable = slices.DeleteFunc(slices.Clone(readable), func(p chat.Part) bool { return p.Kind == chat.KindOther })
	}
	if missing := g.c.Guard.Missing(readable, x.Report, mask); len(missing) > 0 {
		x.Verdict, x.Rules = VerdictBlock, []string{"guards-ran"}
		if missing[0].Reason == guard.ReasonSize || missing[0].Reason == guard.ReasonFindings {
			return problem.TooLarge("body_too_large.part", "part", missing[0].Part).With(missing[0].Part)
		}
		return problem.Blocked(problem.GuardFailed).With(missing[0].Detector)
	}
	x.Verdict = VerdictAllow
	for i, list := range x.Report.Findings {
		for _, f := range list {
			if p := x.Request.Parts[i]; x.Request.Raw[p.Start] != '"' && (f.Type == guard.TypeSecret || slices.Contains(mask, f.Type)) {
				x.Verdict, x.Rules = VerdictBlock, []string{"parts-inspectable"}
				return problem.Invalid("part_not_inspectable.number", "part", p.Name).With(p.Name)
			}
			switch {
			case f.Type == guard.TypeSecret:
				x.Verdict, x.Rules = VerdictRedact, add(x.Rules, "secrets-removed")
			case slices.Contains(mask, f.Type):
				x.Verdict, x.Rules = VerdictRedact, add(x.Rules, "personal-data-masked")
			}
		}
	}
	return nil
}

func add(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// enforce makes the body that may leave: the model's name at the provider, and tokens in place of what was found.
func (g *Gateway) enforce(_ context.Context, x *Exchange) error {
	req := x.Request
	if up := x.Route.Model.Upstream; up != req.Model {
		literal, err := json.Marshal(up)
		if err != nil {
			return err
		}
		req = req.WithModel(up, literal)
	}
	var err error
	x.Outbound, x.Tokens, err = guard.Redact(req.Raw, req.Parts, x.Report.Findings, x.Grant.System.Mask)
	if err != nil {
		return problem.Blocked(problem.GuardFailed).With("redact").Because(err)
	}
	return nil
}

// forward asks the provider.
func (g *Gateway) forward(ctx context.Context, x *Exchange) error {
	ctx, done := g.takeOff(ctx, x)
	defer done()
	p, err := g.c.Pool.For(x.Route.Provider)
	if err == nil {
		x.Reply, err = p.Complete(ctx, provider.Call{ID: x.Opening.ID(), Body: x.Outbound, Model: x.Route.Model.Upstream, Header: x.Header})
	}
	if err == nil {
		return nil
	}
	if stop, ok := errors.AsType[*problem.Error](context.Cause(ctx)); ok {
		return stop
	}
	if cause := context.Cause(ctx); cause != nil {
		return problem.New(problem.KindInternal, "client_left").Because(cause)
	}
	return problem.New(problem.KindUpstream, "upstream_unavailable", "provider", x.Route.Provider.ID).With(x.Route.Provider.ID).Because(err)
}

// takeOff puts the call among those in flight, which a stop ends. It is checked once more there: a stop that came
// between the opening and now is not missed.
func (g *Gateway) takeOff(ctx context.Context, x *Exchange) (context.Context, func()) {
	ctx, x.cancel = context.WithCancelCause(ctx)
	g.mu.Lock()
	g.flying[x] = true
	g.mu.Unlock()
	g.land(g.c.Release.Snapshot())
	return ctx, func() {
		g.mu.Lock()
		delete(g.flying, x)
		g.mu.Unlock()
		x.cancel(nil)
	}
}

// restore puts the originals back into the answer. An error of the provider passes as it is.
func (g *Gateway) restore(_ context.Context, x *Exchange) error {
	if x.Reply.Status != http.StatusOK {
		x.Answer = x.Reply.Body
		return nil
	}
	a, err := openai.DecodeAnswer(x.Reply.Body)
	if err != nil {
		return problem.New(problem.KindUpstream, "upstream_unreadable", "provider", x.Route.Provider.ID).With(x.Route.Provider.ID).Because(err)
	}
	x.Usage = a.Usage
	if x.Usage.Input == 0 {
		x.Usage.Input, x.Usage.Estimated = chat.EstimateTokens(len(x.Outbound)), true
	}
	if x.Answer, x.Notes, err = x.Tokens.Restore(a.Raw, a.Parts); err != nil {
		return problem.Blocked(problem.GuardFailed).With("restore").Because(err)
	}
	return nil
}
