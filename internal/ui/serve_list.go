package ui

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/register"
)

const (
	pageRows = 50
	maxInput = 200 // bytes of one value of the search form
)

// eventTypes are the entry types to choose from. The closing of a call stands in the row of its opening.
func eventTypes() []string {
	return []string{
		string(bundle.CallOpen), string(bundle.CallRefuse), string(bundle.StopOn), string(bundle.StopOff), string(bundle.ChangeRegister),
		string(bundle.ChangeAccess), string(bundle.ChangeRole), string(bundle.Erase), string(bundle.Retain), string(bundle.Export),
		string(bundle.LogStart), string(bundle.LogFork), string(bundle.LogRestart),
	}
}

// findingTypes are the finding types to choose from: those that any detector of this release can find.
func findingTypes() []string {
	return []string{"PERSON", "EMAIL", "PHONE", "IBAN", "CREDIT_CARD", "TAX_ID", "SECRET"}
}

func (u *UI) list(w http.ResponseWriter, r *http.Request, who *auth.User) error {
	f := ReadFilter(r.URL.Query())
	for _, s := range []string{f.Query, f.From, f.To, f.System, f.Verdict, f.Finding, f.Event, f.Before, f.After} {
		if !plain(s) {
			return problem.Invalid(inputUnreadable)
		}
	}
	p := &ListPage{Frame: u.frame(r, who, f.Address()), Filter: f, Types: findingTypes(), Events: eventTypes(), Log: u.health()}
	systems := u.systems()
	for _, y := range u.c.Release.Snapshot().State().Systems {
		p.Systems = append(p.Systems, Option{y.ID, systemName(systems, y.ID)})
	}
	if f.Query != "" && !f.BadQuery {
		id, err := u.find(r, f)
		if err != nil {
			return err
		}
		if id != "" {
			http.Redirect(w, r, EntryPath(id), http.StatusSeeOther)
			return nil
		}
	}
	if f.Bad() || f.Query != "" { // nothing to search for
		return u.show(w, r, http.StatusOK, p)
	}
	q, err := u.query(f)
	if err != nil {
		return err
	}
	res, err := u.c.Log.Search(r.Context(), q)
	if err != nil {
		return err
	}
	if err := u.fillList(r, p, res, systems); err != nil {
		return err
	}
	return u.show(w, r, http.StatusOK, p)
}

// plain reports whether what was typed is short text that every database takes.
func plain(s string) bool {
	return len(s) <= maxInput && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// find returns the id of the entry that the query names, "" where there is none.
func (u *UI) find(r *http.Request, f Filter) (string, error) {
	log, n, err := bundle.ParseCallID(f.Query)
	if err != nil {
		log = u.c.Log.Ordinal()
		var ok bool
		if n, ok = f.Number(); !ok || n > 1<<62 {
			return "", nil
		}
	}
	v, err := u.c.Log.Get(r.Context(), log, n)
	if errors.Is(err, audit.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return v.ID(), nil
}

func (u *UI) query(f Filter) (audit.Query, error) {
	q := audit.Query{System: f.System, Verdict: f.Verdict, Type: f.Event, Finding: f.Finding, Limit: pageRows}
	q.From, q.To = f.Times(u.c.Zone)
	for _, k := range []struct {
		id   string
		into **uint64
	}{{f.Before, &q.Before}, {f.After, &q.After}} {
		if k.id == "" {
			continue
		}
		log, n, err := bundle.ParseCallID(k.id)
		if err != nil || log != u.c.Log.Ordinal() || n > 1<<62 {
			return q, problem.Invalid(inputUnreadable)
		}
		*k.into = &n
	}
	return q, nil
}

func (u *UI) fillList(r *http.Request, p *ListPage, res *audit.Result, systems map[string]register.System) error {
	calls := false
	for _, x := range res.Rows {
		row := Row{
			ID: x.ID(), Number: x.N, At: x.Time, Type: string(x.Type), Subject: systemName(systems, x.System), Verdict: Verdict(x.Verdict),
			Code: x.Code, Model: x.Model, Tokens: uint64(max(x.TokensIn, 0) + max(x.TokensOut, 0)),
		}
		for _, t := range x.Findings {
			row.Finding = append(row.Finding, Count{Type: t})
		}
		if strings.HasPrefix(row.Type, "call.") {
			calls = true
		} else if row.Subject == "" { // what changed stands in the leaf only
			v, err := u.c.Log.Get(r.Context(), x.Log, x.N)
			if err != nil {
				return err
			}
			if v.Leaf != nil {
				row.Subject = u.views.Locale(p.Prefs).Word("object.", v.Leaf.Object)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	p.AsOf = res.AsOf
	if res.Lag > 0 {
		next, err := u.c.Log.Get(r.Context(), u.c.Log.Ordinal(), u.c.Log.Size()-min(res.Lag, u.c.Log.Size()))
		if err != nil && !errors.Is(err, audit.ErrNotFound) {
			return err
		}
		if next != nil && next.Leaf != nil {
			p.Behind = max(u.c.Now().Sub(leafTime(next.Leaf)), 0)
		}
	}
	if n := len(p.Rows); n > 0 {
		if res.Newer {
			p.Newer = p.Filter.Newer(p.Rows[0].ID)
		}
		if res.Older {
			p.Older = p.Filter.Older(p.Rows[n-1].ID)
		}
	}
	if u.c.Curl != "" && !calls {
		first, err := u.c.Log.Search(r.Context(), audit.Query{Type: "call", Limit: 1})
		if err != nil {
			return err
		}
		if len(first.Rows) == 0 {
			p.Curl = u.c.Curl
		}
	}
	return nil
}

// systems are the registered AI systems by id.
func (u *UI) systems() map[string]register.System {
	out := map[string]register.System{}
	for _, y := range u.c.Release.Snapshot().State().Systems {
		out[y.ID] = y
	}
	return out
}

// systemName is the id with the name behind it, as far as it is registered.
func systemName(systems map[string]register.System, id string) string {
	return strings.TrimSpace(id + " " + systems[id].Name)
}

func leafTime(l *bundle.Leaf) time.Time { return time.Unix(int64(l.Time), 0).UTC() } //nolint:gosec // seconds since 1970
