package ui

import (
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/web"
)

// Proof is what makes an entry provable, and the result of the last press of "verify this entry".
type Proof struct {
	ID      string // of the entry; where the button posts to
	Result  *Checked
	Hashes  []Hash
	Command string // that does the same without this page
}

// VerifyPath returns where the button posts to.
func (p Proof) VerifyPath() string { return VerifyPath(p.ID) }

// Hash is a named hash or commitment in hexadecimal. Name is a field of the leaf ("c_request"), or "root", "leaf".
type Hash struct{ Name, Hex string }

// Sealed is the state of an entry's sealed part.
type Sealed string

// States of the sealed part.
const (
	SealedNone   Sealed = "none"   // the entry has none
	SealedSame   Sealed = "same"   // its hash is the leaf's
	SealedOther  Sealed = "other"  // its hash is not the leaf's
	SealedErased Sealed = "erased" // destroyed under an entry that says so
)

// Commitments is the result of comparing the opened content with its commitments.
type Commitments string

// Results of the comparison.
const (
	CommitNone   Commitments = "none"   // there are none
	CommitClosed Commitments = "closed" // the content was not opened for this check
	CommitSame   Commitments = "same"
	CommitOther  Commitments = "other"
)

// Checked is the result of checking one entry.
type Checked struct {
	At         time.Time
	Took       time.Duration
	Leaf       bool   // the stored leaf has the stored hash
	Tree       bool   // the hash is at its place in the tree
	Checkpoint uint64 // size of the checkpoint that covers the entry; 0 = not yet covered
	Signature  bool   // of that checkpoint
	Sealed     Sealed
	Commit     Commitments
}

// OK reports whether nothing is wrong.
func (c Checked) OK() bool {
	return c.Leaf && c.Tree && (c.Checkpoint == 0 || c.Signature) && c.Sealed != SealedOther && c.Commit != CommitOther
}

// States returns the result as one state per check. Locale l is the reader's.
func (c Checked) States(l lang.Locale) []web.State {
	yes := func(ok bool, key string) web.State {
		if ok {
			return web.NewState("ok", l.T(key+".ok"))
		}
		return web.NewState("bad", l.T(key+".bad"))
	}
	out := []web.State{yes(c.Leaf, "check.leaf"), yes(c.Tree, "check.tree")}
	if c.Checkpoint == 0 {
		out = append(out, web.NewState("none", l.T("check.checkpoint.wait")))
	} else {
		out = append(out, web.NewState("ok", l.T("check.checkpoint", "n", c.Checkpoint)), yes(c.Signature, "check.signature"))
	}
	switch c.Sealed {
	case SealedSame, SealedOther:
		out = append(out, yes(c.Sealed == SealedSame, "check.sealed"))
	case SealedErased:
		out = append(out, web.NewState("none", l.T("check.sealed.erased")))
	case SealedNone:
	}
	switch c.Commit {
	case CommitSame, CommitOther:
		out = append(out, yes(c.Commit == CommitSame, "check.commit"))
	case CommitClosed:
		out = append(out, web.NewState("none", l.T("check.commit.closed")))
	case CommitNone:
	}
	return out
}

// EntryPage is an entry that is not a call: a change, a stop, an erasure, a start of the log.
type EntryPage struct {
	web.Frame
	ID      string
	Number  uint64
	At      time.Time
	Type    string
	Subject string // AI system or object, in words; may be empty
	Facts   []Field
	Content []Field // from the sealed part, when this person may see it
	Hidden  bool    // there is a sealed part that this person may not see
	Gone    bool    // the leaf was destroyed after its term; only number and hash are left
	GoneBy  string  // id of the entry that records it
	Ask     []Contact
	Proof   Proof
	Near    []Neighbour
}

// Template names the page's file.
func (*EntryPage) Template() string { return "entry" }

// States returns the check's result in the reader's language.
func (p *EntryPage) States() []web.State { return states(p.Proof, p.Prefs.Lang) }

// States returns the check's result in the reader's language.
func (p *CallPage) States() []web.State { return states(p.Proof, p.Prefs.Lang) }

func states(p Proof, l lang.Lang) []web.State {
	if p.Result == nil {
		return nil
	}
	return p.Result.States(lang.Locale{Lang: l, Zone: time.UTC})
}

// TransparencyPage is public: what this installation is, what it records, and how to check its log.
type TransparencyPage struct {
	web.Frame
	Org         string
	Contact     string // whom to ask; may be empty
	Demo        bool
	Systems     []PublicSystem
	Origin      string // of the log
	VerifierKey string // in the form that `leitplanke verify --trust` reads
	Fingerprint string // SHA-256 of the key, hexadecimal
	Checkpoint  string // latest signed checkpoint as text; may be empty
	SignedAt    time.Time
	ContentDays int // how long content is kept, at most
	LeafMonths  int // how long entries are kept
}

// Template names the page's file.
func (*TransparencyPage) Template() string { return "transparency" }

// PublicSystem is an AI system as the public sees it.
type PublicSystem struct{ ID, Name, Purpose string }
