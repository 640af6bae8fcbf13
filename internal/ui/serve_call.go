package ui

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/record"
	"github.com/leitplanke/leitplanke/internal/register"
)

// fillCall fills the page of a call from its opening or refusal. own is nil unless the content is shown.
func (u *UI) fillCall(r *http.Request, p *CallPage, v *audit.View, own *ownCall, state Visibility) error {
	leaf := v.Leaf
	var end *bundle.Leaf
	if v.End != nil {
		x, err := u.c.Log.Get(r.Context(), v.Log, *v.End)
		if err != nil {
			return err
		}
		end = x.Leaf
		if end != nil {
			p.Proof.Hashes = append(p.Proof.Hashes, closingHashes(end)...)
		}
	}
	system := u.systems()[leaf.System]
	p.At, p.Verdict, p.SystemID, p.System, p.Purpose = leafTime(leaf), Verdict(leaf.Verdict), leaf.System, system.Name, system.Purpose
	if system.Name == "" {
		p.System = leaf.System
	}
	p.Open = leaf.Type == bundle.CallOpen && v.End == nil
	for _, f := range leaf.Findings {
		p.Finding = append(p.Finding, Count{f.Type, f.N})
	}
	l := u.views.Locale(p.Prefs)
	if leaf.Type == bundle.CallRefuse {
		p.Code = leaf.Code
		if p.Code == "" {
			p.Code = "internal"
		}
		p.Words = refusalWords(l, p.Code, leaf, p.System)
	}
	provider := u.provider(leaf.Provider)
	facts := CallFacts{
		Model: leaf.Model, Provider: leaf.Provider, Region: provider.Region, Policy: leaf.Policy, PolicyHash: hex.EncodeToString(leaf.PolicyHash),
		Kind: leaf.Kind, Class: leaf.Class, Instance: leaf.Instance, Epoch: leaf.Epoch, LeafUntil: p.At.Add(audit.DefaultLeafTerm),
	}
	if end != nil {
		facts.TokensIn, facts.TokensOut = end.TokensIn, end.TokensOut
	}
	if state != Erased && system.ID != "" {
		facts.ContentUntil = p.At.AddDate(0, 0, system.Keep())
	}
	p.Content.State = state
	switch state {
	case Shown:
		p.Case, p.Activity = own.meta.Case, own.meta.Activity
		facts.Case, facts.Activity, facts.Access = own.meta.Case, own.meta.Activity, own.meta.Access
		p.At = time.UnixMicro(own.detail.At).UTC()
		p.Exact = true
		p.Took = took(own, end)
		p.Coverage.Items = coverageItems(leaf, own.detail)
		u.fillContent(p, leaf, own, provider)
	case Hidden:
		var err error
		if p.Content.Ask, err = u.contacts(r, auth.WorksCouncil, auth.DataProtection); err != nil {
			return err
		}
	case Erased:
		by, found, err := u.c.Log.Destroyed(r.Context(), v.Log, v.N, leaf.Key, false)
		if err != nil {
			return err
		}
		if found {
			p.Content.ErasedBy = bundle.CallID(v.Log, by)
		}
	case Missing:
	}
	if len(p.Coverage.Items) == 0 {
		for _, c := range leaf.Coverage {
			p.Coverage.Sums = append(p.Coverage.Sums, CoverageSum(c))
		}
	}
	p.Facts = facts.Fields()
	p.Steps = steps(v, end, own, p.Finding, provider)
	return nil
}

// closingHashes are the commitment and the leaf hash that only the end of a call has.
func closingHashes(end *bundle.Leaf) []Hash {
	var out []Hash
	for _, h := range LeafHashes(end) {
		if h.Name == "c_response" {
			out = append(out, h)
		}
	}
	return out
}

// provider is the provider of that id as it is registered now.
func (u *UI) provider(id string) register.Provider {
	for _, p := range u.c.Release.Snapshot().State().Providers {
		if p.ID == id {
			return p
		}
	}
	return register.Provider{ID: id}
}

// refusalWords says why a call was refused. What the leaf does not hold is left open.
func refusalWords(l lang.Locale, code string, leaf *bundle.Leaf, system string) string {
	key := "problem." + code
	if !lang.Has(key) {
		return code
	}
	if code == "policy_blocked" && (len(leaf.Rules) == 0 || slices.Contains(leaf.Rules, "guards-ran")) {
		key = "problem.policy_blocked.failed"
	}
	model := leaf.Model
	if model == "" {
		model = "…"
	}
	return l.T(key, "system", system, "model", model, "rule", strings.Join(leaf.Rules, ", "), "part", "…", "limit", "…", "region", "…", "seconds", 1, "provider", leaf.Provider)
}

// coverageItems are all pairs of part and detector: all ran, unless a row says otherwise. A call with very many parts
// gives none; its sums are shown instead.
func coverageItems(leaf *bundle.Leaf, d record.Detail) []CoverageItem {
	const most = 400
	if len(d.Parts)*len(leaf.Coverage) > most {
		return nil
	}
	var out []CoverageItem
	for _, part := range d.Parts {
		for _, c := range leaf.Coverage {
			it := CoverageItem{Part: part, Detector: c.Detector, Status: string(guard.StatusRan)}
			for _, row := range d.Coverage {
				if row.Part == part && row.Detector == c.Detector {
					it.Status, it.Reason = string(row.Status), row.Reason
				}
			}
			out = append(out, it)
		}
	}
	return out
}

// took is how long the call took, as exactly as the sealed parts say.
func took(own *ownCall, end *bundle.Leaf) time.Duration {
	switch {
	case end == nil:
		return sumSteps(own.detail.Steps)
	case own.end.At > own.detail.At:
		return time.Duration(own.end.At-own.detail.At) * time.Microsecond
	}
	return 0
}

func sumSteps(list []record.Step) (sum time.Duration) {
	for _, s := range list {
		sum += time.Duration(s.Took) * time.Microsecond
	}
	return sum
}

// clock tells when the steps of a call began. For those who may not see the content it knows the seconds of the leaves.
type clock struct {
	at    time.Time
	steps []record.Step
}

// next returns when the named steps began and how long they took together, and moves on behind them.
func (c *clock) next(names ...string) (time.Time, time.Duration) {
	var took time.Duration
	at := c.at
	for len(c.steps) > 0 && slices.Contains(names, c.steps[0].Name) {
		took += time.Duration(c.steps[0].Took) * time.Microsecond
		c.steps = c.steps[1:]
	}
	c.at = at.Add(took)
	return at, took
}

// steps tells a call as the gateway's path went. The leaves say what happened, the sealed parts exactly when.
func steps(v *audit.View, end *bundle.Leaf, own *ownCall, found Counts, provider register.Provider) []Step {
	leaf := v.Leaf
	c := clock{at: leafTime(leaf)}
	if own != nil {
		c = clock{at: time.UnixMicro(own.detail.At).UTC(), steps: own.detail.Steps}
	}
	var out []Step
	refused := leaf.Type == bundle.CallRefuse
	if at, took := c.next("admit", "decode", "route"); own != nil {
		out = append(out, StepAccepted(at, took, own.meta.Access))
	}
	at, took := c.next("inspect")
	if parts := inspected(leaf); parts > 0 {
		out = append(out, StepGuards(at, took, found, parts))
	}
	at, took = c.next("decide", "enforce")
	if !refused || len(leaf.Rules) > 0 {
		out = append(out, StepPolicy(at, took, Verdict(leaf.Verdict), leaf.Rules, leaf.Policy))
	}
	if refused {
		return append(out, StepRefused(c.at, 0, v.N))
	}
	if own != nil && own.end.At > 0 {
		c = clock{at: time.UnixMicro(own.end.At).UTC().Add(-sumSteps(own.end.Steps)), steps: own.end.Steps}
	} else {
		c.steps = nil
	}
	at, took = c.next("open")
	out = append(out, StepRecorded(at, took, v.N))
	if end == nil {
		return out
	}
	if at := leafTime(end); (own == nil || own.end.At == 0) && at.After(c.at) {
		c.at = at
	}
	if end.Type == bundle.CallAbort {
		return append(out, StepAborted(c.at, *v.End))
	}
	at, took = c.next("forward")
	if slices.Contains([]string{"complete", "upstream_error", "upstream_unreadable", "policy_blocked"}, end.Code) {
		out = append(out, StepModel(at, took, Answered{
			Model: leaf.Model, Provider: leaf.Provider, Region: region(provider), In: end.TokensIn, Out: end.TokensOut, Estimated: end.Estimated,
			Demo: provider.Kind == register.KindDemo,
		}))
	}
	at, took = c.next("restore")
	if end.Code == "complete" {
		out = append(out, StepAnswer(at, took, restored(end), secrets(leaf)))
	}
	return append(out, StepClosed(c.at, 0, *v.End, end.Code))
}

func region(p register.Provider) string {
	if p.Region == "" {
		return "–"
	}
	return p.Region
}

// inspected is on how many parts the guards were to run.
func inspected(l *bundle.Leaf) int {
	most := uint64(0)
	for _, c := range l.Coverage {
		most = max(most, c.Ran+c.Skipped+c.Failed+c.NotInspected)
	}
	return int(most) //nolint:gosec // parts of one call
}

// restored is how many places of the answer got their value back.
func restored(end *bundle.Leaf) int {
	for _, c := range end.Coverage {
		if c.Detector == "restore" {
			return int(c.Ran) //nolint:gosec // places of one answer
		}
	}
	return 0
}

// secrets is how many passwords and keys were taken out, which are never put back.
func secrets(l *bundle.Leaf) int {
	for _, f := range l.Findings {
		if f.Type == guard.TypeSecret {
			return int(f.N) //nolint:gosec // findings of one call
		}
	}
	return 0
}
