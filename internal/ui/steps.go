package ui

import (
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
)

// Step is one step of a call on its rail. Use the constructors; they know the words and the icons.
type Step struct {
	At   time.Time
	Took time.Duration // 0 = not shown
	Kind string        // ok, mask, warn, bad, or ""
	Icon string
	Key  string // "step.…": heading; Key + ".text" is the line below
	Args []any
}

// StepAccepted says that the request was taken and by which Zugang.
func StepAccepted(at time.Time, took time.Duration, access string) Step {
	return Step{At: at, Took: took, Kind: "ok", Icon: "key", Key: "step.accepted", Args: []any{"access", access}}
}

// StepGuards says what the guards found.
func StepGuards(at time.Time, took time.Duration, found Counts, parts int) Step {
	s := Step{At: at, Took: took, Kind: "ok", Icon: "shield", Key: "step.guards_none", Args: []any{"parts", parts}}
	if len(found) > 0 {
		s.Kind, s.Icon, s.Key = "mask", "mask", "step.guards"
		s.Args = append(s.Args, "n", found.Sum(), "found", found)
	}
	return s
}

// StepPolicy says what was decided, by which rules of which policy.
func StepPolicy(at time.Time, took time.Duration, v Verdict, rules []string, policy string) Step {
	s := Step{At: at, Took: took, Kind: v.Kind(), Icon: "scale", Key: "step.policy", Args: []any{"verdict", lang.Key("decision." + string(v)), "policy", policy}}
	if len(rules) > 0 {
		s.Key = "step.policy_rules"
		s.Args = append(s.Args, "n", len(rules), "rules", Words(rules))
	}
	return s
}

// StepRecorded says that the opening entry is durable.
func StepRecorded(at time.Time, took time.Duration, number uint64) Step {
	return Step{
		At: at, Took: took, Kind: "ok", Icon: "chain", Key: "step.recorded", Args: []any{"n", number},
	}
}

// StepAttempt says that bytes went to another route than the opening names.
func StepAttempt(at time.Time, took time.Duration, number uint64, model, provider string) Step {
	return Step{
		At: at, Took: took, Kind: "warn", Icon: "chain", Key: "step.attempt", Args: []any{"n", number, "model", model, "provider", provider},
	}
}

// Answered describes a model's part in a call.
type Answered struct {
	Model, Provider, Region string
	In, Out                 uint64 // tokens
	Estimated               bool   // the counts are estimates
	Demo                    bool   // the built-in demo model
}

// StepModel says which model answered, where, and with how many tokens.
func StepModel(at time.Time, took time.Duration, a Answered) Step {
	s := Step{
		At: at, Took: took, Kind: "ok", Icon: "model", Key: "step.model",
		Args: []any{"model", a.Model, "provider", a.Provider, "region", a.Region, "in", a.In, "out", a.Out},
	}
	switch {
	case a.Demo:
		s.Key = "step.model_demo"
	case a.Estimated:
		s.Key = "step.model_estimated"
	}
	return s
}

// StepAnswer says what was checked and put back in the answer. kept counts secrets that are never put back.
func StepAnswer(at time.Time, took time.Duration, restored, kept int) Step {
	s := Step{At: at, Took: took, Kind: "ok", Icon: "shield", Key: "step.answer", Args: []any{"n", restored, "kept", kept}}
	if kept > 0 {
		s.Key = "step.answer_kept"
	}
	if restored == 0 && kept == 0 {
		s.Key = "step.answer_plain"
	}
	return s
}

// StepClosed says that the closing entry is durable. reason is the end reason: "complete", "client_left", ….
func StepClosed(at time.Time, took time.Duration, number uint64, reason string) Step {
	s := Step{
		At: at, Took: took, Kind: "ok", Icon: "check", Key: "step.closed", Args: []any{"n", number, "reason", lang.Key("end." + reason)},
	}
	if reason != "complete" {
		s.Kind, s.Icon, s.Key = "warn", "warn", "step.closed_early"
		if !lang.Has("end." + reason) {
			s.Args = []any{"n", number, "reason", reason}
		}
	}
	return s
}

// StepRefused says that the refusal is recorded, and that nothing left.
func StepRefused(at time.Time, took time.Duration, number uint64) Step {
	return Step{
		At: at, Took: took, Kind: "bad", Icon: "deny", Key: "step.refused", Args: []any{"n", number},
	}
}

// StepAborted says that the call had no end and was closed at the next start.
func StepAborted(at time.Time, number uint64) Step {
	return Step{
		At: at, Kind: "bad", Icon: "warn", Key: "step.aborted", Args: []any{"n", number},
	}
}
