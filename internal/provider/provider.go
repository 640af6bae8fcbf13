// Package provider asks a model: one file per kind of provider. It dials registered hosts only and adds the provider's own
// key; nothing of the caller's credentials leaves.
package provider

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/leitplanke/leitplanke/internal/register"
)

// Call is one question as it leaves the house.
type Call struct {
	ID     string      // of the opening entry, for the demo provider's own record
	Body   []byte      // in the provider's dialect
	Model  string      // what the provider is asked for
	Header http.Header // headers that pass on; no credentials
}

// Reply is a complete answer, whatever its status.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Provider asks a model. Complete ends when ctx does. An error means that no complete answer came; an answer with an error
// status is a Reply. The reply's body never holds the provider's key.
type Provider interface {
	Complete(ctx context.Context, c Call) (*Reply, error)
}

// Secret reads the secret that a reference names (file:, credential:, env:).
type Secret func(ref string) (string, error)

// Pool keeps one Provider for each registered one. It is safe for concurrent use.
type Pool struct {
	secret Secret
	demo   *Demo

	mu    sync.Mutex
	known map[string]entry // by id
}

type entry struct {
	of register.Provider
	p  Provider
}

// NewPool returns a pool that reads keys with secret and answers for providers of kind demo with d.
func NewPool(secret Secret, d *Demo) *Pool {
	return &Pool{secret: secret, demo: d, known: map[string]entry{}}
}

// For returns the Provider for a registered one; a changed registration gets a new one.
func (p *Pool) For(r register.Provider) (Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.known[r.ID]; ok && e.of == r {
		return e.p, nil
	}
	var made Provider
	switch r.Kind {
	case register.KindDemo:
		made = p.demo
	case register.KindOpenAI:
		key := ""
		if r.Key != "" {
			var err error
			if key, err = p.secret(r.Key); err != nil {
				return nil, fmt.Errorf("key of provider %s: %w", r.ID, err)
			}
		}
		h, err := newOpenAI(r, key)
		if err != nil {
			return nil, err
		}
		made = h
	default:
		return nil, fmt.Errorf("provider %s has the unknown kind %q", r.ID, r.Kind)
	}
	p.known[r.ID] = entry{r, made}
	return made, nil
}

const (
	maxReply     = 50 << 20 // bytes of one answer
	dialTimeout  = 5 * time.Second
	firstTimeout = 10 * time.Minute // until the first byte of an answer: models think
	maxIdle      = 256
)
