// Package gateway is the one narrow gate: every call to a model passes the steps of path, in this order, or is refused.
// It asks the Snapshot of package release what may run, and it writes exactly one thing, entries of the log: no record, no
// call; no record, no answer; a refusal is recorded too.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/chat"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/provider"
	"github.com/leitplanke/leitplanke/internal/release"
)

// path is the way of one call. The names are also the labels of its metrics and of the time line on its page.
//
// Up to "open" a step that fails refuses the call, and the refusal is recorded before it is told. At "open" the entry is
// durable before a byte leaves; if the rules changed meanwhile the call is judged again. After it whatever happens ends in
// a closing entry that is durable before the last byte reaches the caller.
var path = []struct {
	name string
	step func(*Gateway, context.Context, *Exchange) error
}{
	{"admit", (*Gateway).admit},     // key → system → stop
	{"decode", (*Gateway).decode},   // body → parts
	{"route", (*Gateway).route},     // model name → model, provider, region
	{"inspect", (*Gateway).inspect}, // parts → findings, coverage
	{"decide", (*Gateway).decide},   // findings → verdict
	{"enforce", (*Gateway).enforce}, // body → what may leave
	{"open", (*Gateway).open},       // entry: no record, no call
	{"forward", (*Gateway).forward}, // provider
	{"restore", (*Gateway).restore}, // pseudonyms → originals
	{"close", (*Gateway).closeCall}, // entry: no record, no answer
}

// Exchange is one call on its way. Each field is written once, by the step that its comment names.
type Exchange struct {
	Credential string                  // newExchange: the key
	own        http.Header             // newExchange: the caller's headers
	Case       string                  // decode: X-Leitplanke-Case
	Activity   string                  // decode: X-Leitplanke-Activity
	Header     http.Header             // newExchange: headers that pass on to the provider
	read       func() ([]byte, error)  // newExchange: reads the body
	began      time.Time               // newExchange
	Snapshot   *release.Snapshot       // admit
	Grant      *release.Grant          // admit
	Body       []byte                  // decode
	Request    *chat.Request           // decode
	Route      *release.Route          // route
	Report     guard.Report            // inspect
	Inspected  bool                    // inspect
	Verdict    string                  // decide: allow, redact
	Rules      []string                // decide
	Outbound   []byte                  // enforce
	Tokens     *guard.Tokens           // enforce
	Opening    *audit.Receipt          // open
	Reply      *provider.Reply         // forward
	Usage      chat.Usage              // restore
	Answer     []byte                  // restore: what the caller is given
	Notes      guard.Notes             // restore
	Refusal    *audit.Receipt          // refuse
	Closed     bool                    // closeCall
	steps      []stepTime              // run
	cancel     context.CancelCauseFunc // flight
}

type stepTime struct {
	name string
	took time.Duration
}

// The verdicts of this release.
const (
	VerdictAllow  = "allow"
	VerdictRedact = "redact"
	VerdictBlock  = "block"
)

// Config is what a Gateway is made of.
type Config struct {
	Log      *audit.Log
	Release  *release.Holder
	Guard    *guard.Engine
	Pool     *provider.Pool
	HashKey  func(key string) []byte // of a Zugang's key
	Now      func() time.Time
	Program  *slog.Logger
	Link     func(callID string) string // page of an entry, for refusals
	Metrics  Metrics
	Fail     func(step string) error // test hook at each durable step; nil in production
	Limits   Limits
	RecordBy time.Duration // how long an entry may take until the call is refused, default 10 s
}

// Limits bound what one gateway takes on at a time. A zero field means its default.
type Limits struct {
	Body     int64         // bytes of one body, default 32 MiB
	InFlight int64         // bytes of all bodies that are being served, default 256 MiB
	Calls    int64         // calls at a time, default 2,048
	PerKey   int64         // calls of one Zugang at a time, default 256
	Idle     time.Duration // without progress while a body is read, default 30 s
}

// Metrics is told what happens, in closed sets of words.
type Metrics interface {
	Call(verdict, code string, took time.Duration)
	Step(name string, took time.Duration)
	Rejected(code string) // before a Zugang was known: counted, not recorded
}

// Gateway serves calls. It is safe for concurrent use.
type Gateway struct {
	c        Config
	calls    atomic.Int64
	inFlight atomic.Int64 // bytes

	mu     sync.Mutex
	perKey map[string]int64
	flying map[*Exchange]bool // calls that have opened and not closed
}

// New returns a gateway. From then on it ends calls in flight when a stop covers them.
func New(c Config) *Gateway {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Limits.Body, 32<<20)
	def(&c.Limits.InFlight, 256<<20)
	def(&c.Limits.Calls, 2048)
	def(&c.Limits.PerKey, 256)
	if c.Limits.Idle == 0 {
		c.Limits.Idle = 30 * time.Second
	}
	if c.RecordBy == 0 {
		c.RecordBy = 10 * time.Second
	}
	g := &Gateway{c: c, perKey: map[string]int64{}, flying: map[*Exchange]bool{}}
	c.Release.OnChange(g.land)
	return g
}

// maxJudge is how often one call is judged again because the rules changed while it was being judged.
const maxJudge = 20

// run takes the exchange through the path. The error is what the caller is told; everything else has been recorded.
func (g *Gateway) run(ctx context.Context, x *Exchange) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.c.Program.Error("a panic ended a call", "step", x.last(), "panic", panicType(p))
			err = problem.Internal(errors.New("panic"))
			err = g.fail(ctx, x, err)
		}
	}()
	again := 0
	for i := 0; i < len(path); i++ {
		at := time.Now()
		err := path[i].step(g, ctx, x)
		x.steps = append(x.steps, stepTime{path[i].name, time.Since(at)})
		g.c.Metrics.Step(path[i].name, time.Since(at))
		if errors.Is(err, audit.ErrStale) && again < maxJudge {
			if err := g.c.Release.Reload(ctx); err != nil {
				return g.fail(ctx, x, problem.Unavailable(problem.RecordUnavailable).Because(err))
			}
			again++
			i = -1 // from the beginning, under the new rules
			continue
		}
		if err != nil {
			return g.fail(ctx, x, err)
		}
	}
	return nil
}

// fail records why the call ends and returns what the caller is told. A call that never opened gets a refusal, one that
// opened gets its closing entry. If that cannot be recorded, the caller learns that instead.
func (g *Gateway) fail(ctx context.Context, x *Exchange, err error) error {
	p := problem.Of(err)
	ctx = context.WithoutCancel(ctx) // the client may be gone, its entry is written all the same
	switch {
	case x.Closed:
		return p
	case x.Opening != nil:
		if err := g.end(ctx, x, endReason(ctx, p)); err != nil {
			go g.endLater(g.leaf(x, bundle.CallAbort), x.Opening.N)
			return problem.Unavailable(problem.RecordUnavailable).Because(err)
		}
		return p
	case x.Grant == nil:
		g.c.Metrics.Rejected(p.Code())
		return p
	}
	if err := g.refuse(ctx, x, p); err != nil {
		return problem.Unavailable(problem.RecordUnavailable).Because(err)
	}
	return p
}

// land ends the calls in flight that a stop of the new Snapshot covers.
func (g *Gateway) land(s *release.Snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for x := range g.flying {
		if stop := s.Stopped(x.Grant); stop != nil {
			x.cancel(stop)
		}
	}
}

// Failpoints lists the durable steps of a call at which tests inject faults. The steps of the log are audit.Steps.
func Failpoints() []string {
	return []string{"open.before", "open.after", "close.before", "close.after", "refuse.before", "refuse.after"}
}

func (g *Gateway) hook(step string) error {
	if g.c.Fail == nil {
		return nil
	}
	return g.c.Fail(step)
}

func (x *Exchange) last() string {
	if len(x.steps) == 0 {
		return "begin"
	}
	return x.steps[len(x.steps)-1].name
}

// finding sums up the findings for the leaf: types with counts, sorted.
func (x *Exchange) findings() []bundle.Count { return countFindings(x.Report.Findings) }
