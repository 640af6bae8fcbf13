package ui

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/web"
)

// ListPage is the log, newest entry first.
type ListPage struct {
	web.Frame
	Filter  Filter
	Systems []Option // to choose from
	Types   []string // finding types to choose from
	Events  []string // entry types to choose from
	Rows    []Row
	Newer   string        // address of the page with newer entries; "" = none
	Older   string        // address of the page with older entries; "" = none
	AsOf    time.Time     // up to when the index has read the log
	Behind  time.Duration // how far that is behind now
	Curl    string        // a line that makes a first call; for a log without calls
	Log     LogHealth
}

// Template names the page's file.
func (*ListPage) Template() string { return "list" }

// Option is a choice of a select; Label is in words.
type Option struct{ Value, Label string }

// Row is one entry in the list.
type Row struct {
	ID      string // log and number
	Number  uint64
	At      time.Time
	Exact   bool   // At knows milliseconds
	Type    string // entry type, such as "call.close"
	Subject string // AI system with its name, or what changed; may be empty
	Verdict Verdict
	Code    string // refusal code or end reason
	Finding Counts
	Model   string // "" = none was reached
	Tokens  uint64
}

// Path returns the entry's page.
func (r Row) Path() string { return EntryPath(r.ID) }

// Verdicts returns the verdicts to choose from.
func (p *ListPage) Verdicts() []string { return []string{"allow", "redact", "block"} }

// Age returns how far the index is behind, in whole seconds.
func (p *ListPage) Age() time.Duration { return p.Behind.Round(time.Second) }

// Refused reports whether the entry refuses a call.
func (r Row) Refused() bool { return r.Verdict == "block" }

// First returns the number of the newest entry on the page.
func (p *ListPage) First() uint64 {
	if len(p.Rows) == 0 {
		return 0
	}
	return p.Rows[0].Number
}

// Last returns the number of the oldest entry on the page.
func (p *ListPage) Last() uint64 {
	if len(p.Rows) == 0 {
		return 0
	}
	return p.Rows[len(p.Rows)-1].Number
}

// Filter is the search form. Before and After are paging keys ("1-482113"), at most one of them is set.
type Filter struct {
	Query   string // number of an entry, "482113" or "1-482113"
	From    string // local time as the form sends it: 2026-11-23T14:00
	To      string
	System  string
	Verdict string
	Finding string
	Event   string
	Before  string
	After   string

	BadFrom, BadTo, BadQuery bool // what was typed cannot be read
}

// names of the parameters in the address
const (
	paramQuery, paramFrom, paramTo     = "q", "von", "bis"
	paramSystem, paramVerdict          = "system", "urteil"
	paramFinding, paramEvent           = "fund", "art"
	paramBefore, paramAfter            = "vor", "nach"
	timeLayout, timeLayoutLong, dayFmt = "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"
)

// ReadFilter reads the search form from an address.
func ReadFilter(q url.Values) Filter {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f := Filter{
		Query: get(paramQuery), From: get(paramFrom), To: get(paramTo), System: get(paramSystem),
		Verdict: get(paramVerdict), Finding: get(paramFinding), Event: get(paramEvent),
		Before: get(paramBefore), After: get(paramAfter),
	}
	_, _, f.BadFrom = readTime(f.From, time.UTC)
	_, _, f.BadTo = readTime(f.To, time.UTC)
	if f.Query != "" {
		_, err := strconv.ParseUint(f.number(), 10, 64)
		f.BadQuery = err != nil
	}
	return f
}

// number is the number inside the query: people write 48.197, 48,197 and 1-48197.
func (f Filter) number() string {
	s := f.Query
	if _, after, ok := strings.Cut(s, "-"); ok {
		s = after
	}
	return strings.NewReplacer(".", "", ",", "", " ", "", "\u202f", "").Replace(s)
}

// Number returns the entry number that the query names.
func (f Filter) Number() (n uint64, ok bool) {
	n, err := strconv.ParseUint(f.number(), 10, 64)
	return n, err == nil
}

// Times returns the beginning and the end of the wanted period in a zone; zero = open. The end is exclusive.
func (f Filter) Times(zone *time.Location) (from, to time.Time) {
	from, _, _ = readTime(f.From, zone)
	to, step, _ := readTime(f.To, zone)
	if !to.IsZero() {
		to = to.Add(step)
	}
	return from, to
}

// readTime reads a local time; step is the unit to which it is exact.
func readTime(s string, zone *time.Location) (t time.Time, step time.Duration, bad bool) {
	if s == "" {
		return time.Time{}, 0, false
	}
	for _, l := range []struct {
		layout string
		step   time.Duration
	}{{timeLayout, time.Minute}, {timeLayoutLong, time.Second}, {dayFmt, 24 * time.Hour}} {
		if t, err := time.ParseInLocation(l.layout, s, zone); err == nil {
			return t, l.step, false
		}
	}
	return time.Time{}, 0, true
}

// Bad reports whether something of the form cannot be read.
func (f Filter) Bad() bool { return f.BadFrom || f.BadTo || f.BadQuery }

// Any reports whether the form narrows the list.
func (f Filter) Any() bool {
	f.Before, f.After = "", ""
	return f != Filter{}
}

// Address returns the list's address with this filter.
func (f Filter) Address() string {
	q := url.Values{}
	for _, p := range [][2]string{
		{paramQuery, f.Query},
		{paramFrom, f.From},
		{paramTo, f.To},
		{paramSystem, f.System},
		{paramVerdict, f.Verdict},
		{paramFinding, f.Finding},
		{paramEvent, f.Event},
		{paramBefore, f.Before},
		{paramAfter, f.After},
	} {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	if len(q) == 0 {
		return PathEvidence
	}
	return PathEvidence + "?" + q.Encode()
}

// Older returns the address of the page that continues below the entry id.
func (f Filter) Older(id string) string {
	f.Before, f.After = id, ""
	return f.Address()
}

// Newer returns the address of the page that continues above the entry id.
func (f Filter) Newer(id string) string {
	f.Before, f.After = "", id
	return f.Address()
}
