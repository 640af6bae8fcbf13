package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/wire/openai"
)

// Chat serves POST /v1/chat/completions.
func (g *Gateway) Chat(w http.ResponseWriter, r *http.Request) {
	x, done, err := g.newExchange(w, r)
	defer done()
	if err == nil {
		err = g.run(r.Context(), x)
	}
	code := ""
	if err != nil {
		code = problem.Of(err).Code()
	}
	g.c.Metrics.Call(x.Verdict, code, x.took(g.c.Now()))
	if err != nil {
		g.tell(w, x, err)
		return
	}
	h := w.Header()
	for name, values := range x.Reply.Header {
		if passBack(name) {
			h[name] = values
		}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("X-Leitplanke-Call", x.Opening.ID())
	h.Set("X-Leitplanke-Verdict", x.Verdict)
	w.WriteHeader(x.Reply.Status)
	w.Write(x.Answer) // the client may be gone; its answer is recorded
}

// tell writes a refusal with the number of its entry.
func (g *Gateway) tell(w http.ResponseWriter, x *Exchange, err error) {
	p := problem.Of(err)
	if p.Kind == problem.KindInternal && p.Code() != "client_left" {
		g.c.Program.Error("a call failed", "error", p)
	}
	link := ""
	entry := x.Refusal
	if entry == nil {
		entry = x.Opening
	}
	if entry != nil {
		w.Header().Set("X-Leitplanke-Call", entry.ID())
		link = g.c.Link(entry.ID())
	}
	verdict := VerdictBlock
	if x.Opening != nil {
		verdict = x.Verdict // it was let through, and something else went wrong
	}
	w.Header().Set("X-Leitplanke-Verdict", verdict)
	openai.Refuse(w, p, link)
}

// Models serves GET /v1/models: the names that this key may use.
func (g *Gateway) Models(w http.ResponseWriter, r *http.Request) {
	key, err := credential(r)
	if err == nil {
		s := g.c.Release.Snapshot()
		grant, admitErr := s.Admit(g.c.HashKey(key), g.c.Now())
		if err = admitErr; err == nil {
			openai.WriteModels(w, s.Names(grant.System))
			return
		}
	}
	p := problem.Of(err)
	g.c.Metrics.Rejected(p.Code())
	openai.Refuse(w, p, "")
}

// NotAllowed answers methods that a path below /v1 does not have.
func (g *Gateway) NotAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		openai.Refuse(w, problem.New(problem.KindMethod, "method_not_allowed", "method", strings.ToValidUTF8(r.Method, "")), "")
	}
}

// NotFound answers paths below /v1 that do not exist, in the dialect.
func (g *Gateway) NotFound(w http.ResponseWriter, r *http.Request) {
	openai.Refuse(w, problem.NotFound("path_not_found", "path", strings.ToValidUTF8(r.URL.Path, "")), "")
}

// newExchange takes in what the call says about itself and reserves room for it. The body is read only once the key is
// known to be good.
func (g *Gateway) newExchange(w http.ResponseWriter, r *http.Request) (x *Exchange, done func(), err error) {
	x = &Exchange{began: g.c.Now(), Header: http.Header{}}
	releases := []func(){}
	done = func() {
		for _, f := range releases {
			f()
		}
	}
	if g.calls.Add(1) > g.c.Limits.Calls {
		g.calls.Add(-1)
		return x, done, tooMany(w)
	}
	releases = append(releases, func() { g.calls.Add(-1) })
	if x.Credential, err = credential(r); err != nil {
		g.c.Metrics.Rejected(problem.InvalidAPIKey)
		return x, done, err
	}
	if !g.enter(x.Credential) {
		return x, done, tooMany(w)
	}
	releases = append(releases, func() { g.leave(x.Credential) })
	x.own = r.Header
	for name, values := range r.Header {
		if passOn(name) {
			x.Header[name] = values
		}
	}
	x.read = func() ([]byte, error) {
		body, held, err := g.readBody(w, r)
		releases = append(releases, func() { g.inFlight.Add(-held) })
		return body, err
	}
	return x, done, nil
}

func tooMany(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", "1")
	return problem.TooMany(problem.RateLimited, "seconds", 1)
}

func (g *Gateway) enter(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.perKey[key] >= g.c.Limits.PerKey {
		return false
	}
	g.perKey[key]++
	return true
}

func (g *Gateway) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.perKey[key]--; g.perKey[key] == 0 {
		delete(g.perKey, key)
	}
}

// credential takes the key from a request. Two different ones in one request are refused, so that no two readers of the
// request can disagree about whose it is.
func credential(r *http.Request) (string, error) {
	var found []string
	for _, v := range r.Header.Values("Authorization") {
		scheme, key, ok := strings.Cut(v, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return "", problem.Unauthenticated(problem.InvalidAPIKey)
		}
		found = append(found, strings.TrimSpace(key))
	}
	found = append(found, r.Header.Values("X-Api-Key")...)
	if len(found) == 0 {
		return "", problem.Unauthenticated(problem.InvalidAPIKey)
	}
	for _, k := range found[1:] {
		if k != found[0] {
			return "", problem.Invalid("invalid_request.two_keys").With("Authorization")
		}
	}
	return found[0], nil
}

// ownHeader reads one of our request headers: percent-encoded UTF-8, at most 128 bytes.
func ownHeader(h http.Header, name string) (string, error) {
	v := h.Values(name)
	if len(v) == 0 {
		return "", nil
	}
	s, err := url.PathUnescape(v[0])
	if len(v) > 1 || err != nil || len(s) > 128 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", problem.Invalid("invalid_request.header", "header", name).With(name)
	}
	return s, nil
}

// passOn reports whether a header of the client goes on to the provider.
func passOn(name string) bool {
	switch name {
	case "Openai-Beta", "Openai-Organization", "Openai-Project", "Idempotency-Key":
		return true
	}
	return strings.HasPrefix(name, "X-Stainless-")
}

// passBack reports whether a header of the provider goes back to the client.
func passBack(name string) bool {
	switch name {
	case "Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry", "X-Request-Id", "Openai-Processing-Ms", "Openai-Organization", "Openai-Version", "Openai-Model":
		return true
	}
	return strings.HasPrefix(name, "X-Ratelimit-")
}

// readBody reads the whole body within the limits: of one body, of all bodies together, and of time without progress. It
// returns how many bytes it holds of the limit of all.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) (body []byte, held int64, err error) {
	limit := g.c.Limits.Body
	if r.ContentLength > limit {
		return nil, 0, tooLarge(limit)
	}
	control := http.NewResponseController(w)
	defer control.SetReadDeadline(time.Time{})
	var b bytes.Buffer
	if r.ContentLength > 0 {
		if held = r.ContentLength; g.inFlight.Add(held) > g.c.Limits.InFlight {
			return nil, held, tooMany(w)
		}
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	in := io.LimitReader(r.Body, limit+1)
	for {
		control.SetReadDeadline(time.Now().Add(g.c.Limits.Idle)) // not supported only in tests
		n, err := b.ReadFrom(io.LimitReader(in, 256<<10))
		if int64(b.Len()) > held {
			more := int64(b.Len()) - held
			held += more
			if g.inFlight.Add(more) > g.c.Limits.InFlight {
				return nil, held, tooMany(w)
			}
		}
		switch {
		case int64(b.Len()) > limit:
			return nil, held, tooLarge(limit)
		case err != nil:
			return nil, held, problem.Invalid("invalid_request.body").With("body").Because(errors.New("the body did not arrive in full"))
		case n == 0:
			return b.Bytes(), held, nil
		}
	}
}

func tooLarge(limit int64) error {
	return problem.TooLarge(problem.BodyTooLarge, "limit", lang.Bytes(limit))
}
