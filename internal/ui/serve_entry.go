package ui

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/record"
	"github.com/leitplanke/leitplanke/internal/web"
)

// entry shows one entry: a call with everything that belongs to it, or what else the log records.
func (u *UI) entry(w http.ResponseWriter, r *http.Request, who *auth.User) error {
	v, err := u.get(r)
	if err != nil {
		return err
	}
	if l := v.Leaf; l != nil && l.Ref != nil && strings.HasPrefix(string(l.Type), "call.") { // it belongs to a call
		http.Redirect(w, r, EntryPath(bundle.CallID(v.Log, *l.Ref)), http.StatusSeeOther)
		return nil
	}
	page, err := u.page(r, who, v, false)
	if err != nil {
		return err
	}
	return u.show(w, r, http.StatusOK, page)
}

// verify checks an entry now and shows its page with the result. It changes nothing, so it is not recorded.
func (u *UI) verify(w http.ResponseWriter, r *http.Request, who *auth.User) error {
	v, err := u.get(r)
	if err != nil {
		return err
	}
	page, err := u.page(r, who, v, true)
	if err != nil {
		return err
	}
	return u.show(w, r, http.StatusOK, page)
}

// get reads the entry that the address names.
func (u *UI) get(r *http.Request) (*audit.View, error) {
	log, n, err := bundle.ParseCallID(r.PathValue("id"))
	if err != nil || n > 1<<62 {
		return nil, problem.NotFound(problem.PageNotFound)
	}
	v, err := u.c.Log.Get(r.Context(), log, n)
	if errors.Is(err, audit.ErrNotFound) {
		return nil, problem.NotFound(problem.EntryNotFound, "id", bundle.CallID(log, n), "newest", u.health().Newest)
	}
	return v, err
}

// page fills the page of an entry. With check the entry is checked first.
func (u *UI) page(r *http.Request, who *auth.User, v *audit.View, check bool) (web.Page, error) {
	frame := u.frame(r, who, EntryPath(v.ID()))
	own, state, err := u.openOwn(r.Context(), who, v)
	if err != nil {
		return nil, err
	}
	proof := u.proof(v)
	if check {
		if proof.Result, err = u.check(r, v, state == Shown, &proof); err != nil {
			return nil, err
		}
		key, l := ToastCheckedOK, u.views.Locale(frame.Prefs)
		if !proof.Result.OK() {
			key = ToastCheckedBad
		}
		frame.Toast = l.T(key, "n", v.N)
	}
	near, err := u.near(r.Context(), v)
	if err != nil {
		return nil, err
	}
	if v.Leaf == nil || v.Leaf.Type != bundle.CallOpen && v.Leaf.Type != bundle.CallRefuse {
		p := &EntryPage{Frame: frame, ID: v.ID(), Number: v.N, Proof: proof, Near: near}
		return p, u.fillEntry(r, p, who, v)
	}
	p := &CallPage{Frame: frame, ID: v.ID(), Number: v.N, Proof: proof, Near: near}
	return p, u.fillCall(r, p, v, own, state)
}

// openOwn is the only place where these pages open the content of a call. Whose call it is stands in the sealed part, so
// it is opened to find out; where the owner of the Zugang is not who asks, nothing of it is returned.
func (u *UI) openOwn(ctx context.Context, who *auth.User, v *audit.View) (*ownCall, Visibility, error) {
	switch {
	case v.Leaf == nil || v.Destroy:
		return nil, Erased, nil
	case len(v.Leaf.HSealed) == 0:
		return nil, Missing, nil
	case v.Leaf.Type != bundle.CallOpen && v.Leaf.Type != bundle.CallRefuse:
		return nil, Hidden, nil
	}
	opening, err := u.c.Log.Unseal(ctx, v.Log, v.N)
	if errors.Is(err, audit.ErrKeyDestroyed) {
		return nil, Erased, nil
	}
	if ctx.Err() != nil {
		return nil, Hidden, ctx.Err()
	}
	if err != nil { // altered: the check says so to everybody, and nobody sees what it has become
		u.c.Program.Error("a sealed part cannot be opened", "entry", v.ID(), "error", err)
		return nil, Hidden, nil
	}
	own := new(ownCall)
	if own.meta, own.detail, err = record.Read(opening); err != nil {
		return nil, Hidden, err
	}
	if own.meta.Person == "" || strings.ToLower(own.meta.Person) != who.Login {
		return nil, Hidden, nil
	}
	own.opening = opening
	if v.End == nil {
		return own, Shown, nil
	}
	own.closing, err = u.c.Log.Unseal(ctx, v.Log, *v.End)
	if ctx.Err() != nil {
		return nil, Hidden, ctx.Err()
	}
	if err != nil {
		if !errors.Is(err, audit.ErrKeyDestroyed) {
			u.c.Program.Error("a sealed part cannot be opened", "entry", bundle.CallID(v.Log, *v.End), "error", err)
		}
		own.closing = nil
		return own, Shown, nil
	}
	_, own.end, err = record.Read(own.closing)
	return own, Shown, err
}

// ownCall is the content of a call for its owner.
type ownCall struct {
	meta             record.Meta
	detail, end      record.Detail  // of the opening or refusal, and of its end
	opening, closing *bundle.Sealed // closing is nil where the call has no end, or one without content
}

// proof is what makes the entry provable.
func (u *UI) proof(v *audit.View) Proof {
	p := Proof{ID: v.ID(), Command: "leitplanke log show " + v.ID() + "\nleitplanke verify --config leitplanke.yaml"}
	if v.Leaf != nil {
		p.Hashes = LeafHashes(v.Leaf)
	}
	p.Hashes = append(p.Hashes, Hash{Name: "leaf", Hex: hex.EncodeToString(v.Hash[:])})
	return p
}

// check checks an entry, and with an opening also its end: they are one page.
func (u *UI) check(r *http.Request, v *audit.View, open bool, p *Proof) (*Checked, error) {
	began := u.c.Now()
	numbers := []uint64{v.N}
	if v.End != nil {
		numbers = append(numbers, *v.End)
	}
	var sum *Checked
	for _, n := range numbers {
		c, err := u.c.Log.CheckEntry(r.Context(), v.Log, n, open)
		if err != nil {
			return nil, err
		}
		if !c.OK() {
			u.c.Program.Error("an entry does not verify", "entry", bundle.CallID(v.Log, n), "what", c.What)
		}
		one := &Checked{Leaf: c.Leaf, Tree: c.Tree, Checkpoint: c.Checkpoint, Signature: c.Signature, Sealed: sealedState(c.Sealed), Commit: commitState(c.Commit)}
		if sum == nil {
			sum = one
			p.Hashes = append(p.Hashes, Hash{Name: "root", Hex: hex.EncodeToString(c.Root[:])})
		} else {
			sum.add(one)
		}
	}
	sum.At, sum.Took = began, u.c.Now().Sub(began)
	return sum, nil
}

// add joins the result of a second entry: what is wrong with one of them is wrong.
func (c *Checked) add(d *Checked) {
	c.Leaf, c.Tree = c.Leaf && d.Leaf, c.Tree && d.Tree
	c.Signature = c.Signature && (d.Signature || d.Checkpoint == 0)
	c.Checkpoint = min(c.Checkpoint, d.Checkpoint)
	sealed, commit := []Sealed{SealedNone, SealedSame, SealedErased, SealedOther}, []Commitments{CommitNone, CommitSame, CommitClosed, CommitOther}
	c.Sealed = sealed[max(slices.Index(sealed, c.Sealed), slices.Index(sealed, d.Sealed))]
	c.Commit = commit[max(slices.Index(commit, c.Commit), slices.Index(commit, d.Commit))]
}

func sealedState(s audit.PartState) Sealed {
	switch s {
	case audit.PartSame:
		return SealedSame
	case audit.PartErased:
		return SealedErased
	case audit.PartNone:
		return SealedNone
	}
	return SealedOther
}

func commitState(s audit.PartState) Commitments {
	switch s {
	case audit.PartSame:
		return CommitSame
	case audit.PartClosed:
		return CommitClosed
	case audit.PartNone, audit.PartErased:
		return CommitNone
	}
	return CommitOther
}

// near are the entries before and after, and the end of the same call.
func (u *UI) near(ctx context.Context, v *audit.View) ([]Neighbour, error) {
	from, limit := v.N, 2
	if from > 0 {
		from, limit = from-1, 3
	}
	list, err := u.c.Log.Since(ctx, v.Log, from, limit)
	if err != nil {
		return nil, err
	}
	if v.End != nil && *v.End > v.N+1 {
		end, err := u.c.Log.Since(ctx, v.Log, *v.End, 1)
		if err != nil {
			return nil, err
		}
		list = append(list, end...)
	}
	var out []Neighbour
	for _, e := range list {
		leaf, err := bundle.DecodeLeaf(e.Leaf)
		if err != nil || e.N == v.N { // gone after its term, or altered
			continue
		}
		out = append(out, Neighbour{ID: bundle.CallID(v.Log, e.N), Number: e.N, Type: string(leaf.Type), Same: v.End != nil && e.N == *v.End})
	}
	return out, nil
}

// fillEntry fills the page of an entry that is not a call. Its sealed part says who caused it and why; it is shown to
// nobody but that person.
func (u *UI) fillEntry(r *http.Request, p *EntryPage, who *auth.User, v *audit.View) error {
	if v.Leaf == nil {
		by, found, err := u.c.Log.Destroyed(r.Context(), v.Log, v.N, "", true)
		if found {
			p.GoneBy = bundle.CallID(v.Log, by)
		}
		p.Gone = true
		return err
	}
	p.At, p.Type = leafTime(v.Leaf), string(v.Leaf.Type)
	p.Subject = systemName(u.systems(), v.Leaf.System)
	if p.Subject == "" {
		p.Subject = u.views.Locale(p.Prefs).Word("object.", v.Leaf.Object)
	}
	p.Facts = LeafFacts(v.Leaf)
	if !v.Sealed {
		return nil
	}
	var err error
	if p.Content, err = u.openAction(r.Context(), who, v); err != nil || p.Content != nil {
		return err
	}
	p.Hidden = true
	p.Ask, err = u.contacts(r, auth.WorksCouncil, auth.DataProtection)
	return err
}

// openAction opens the sealed part of an entry that is not a call for the person whose own action it records.
func (u *UI) openAction(ctx context.Context, who *auth.User, v *audit.View) ([]Field, error) {
	if strings.HasPrefix(string(v.Leaf.Type), "call.") {
		return nil, nil
	}
	sealed, err := u.c.Log.Unseal(ctx, v.Log, v.N)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil // destroyed or altered: the check of the entry says which
	}
	var meta struct{ Actor, User, Reason, Ground string }
	if json.Unmarshal(sealed.Get(bundle.FieldMeta), &meta) != nil || meta.User == "" || meta.User != who.ID {
		return nil, nil
	}
	return SealedFacts(meta.Actor, meta.Reason+meta.Ground), nil
}
