package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/ui"
)

// PageOptions are what the pages show beside the contexts.
type PageOptions struct {
	Version string
	Demo    []DemoPerson // people of the demo; none in production
	Curl    string       // the demo's first call
}

// Pages builds the handler of all pages.
func (a *App) Pages(o PageOptions) (http.Handler, error) {
	zone, err := time.LoadLocation(a.Config.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	c := ui.Config{
		Log: a.Log, Users: a.Users, Release: a.Release, Org: a.Config.Org, Version: o.Version, Zone: zone,
		Secure: strings.HasPrefix(a.Config.PublicURL, "https://"), Now: a.now, Program: a.Program, Health: a.health.get,
	}
	if a.demo {
		c.DemoLinks, c.Demo, c.Curl = map[auth.Role]string{}, a.Demo, o.Curl
		for _, p := range o.Demo {
			c.DemoLinks[p.User.Roles[0]] = p.Token
		}
	}
	return ui.NewHandler(c)
}

// health is the result of the last full check of the log.
type health struct {
	mu   sync.Mutex
	last ui.LogHealth
}

func (h *health) get() ui.LogHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

func (h *health) set(rep *bundle.Report, at time.Time, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = ui.LogHealth{Newest: max(rep.Size, 1) - 1, Entries: rep.Size, CheckedAt: at, CheckTook: took}
	if rep.FirstBad != nil {
		n := max(rep.Size, 1) - 1
		if rep.FirstBad.Entry != nil {
			n = *rep.FirstBad.Entry
		}
		h.last.FirstBad = &n
	}
}

const (
	verifyMax = 24 * time.Hour // at least daily
	verifyMin = time.Minute
)

// verifyLoop checks the whole log in the background after the start and again and again: a small log every minute, a large
// one daily, so that it never takes more than a thousandth of a core.
func (a *App) verifyLoop(ctx context.Context) {
	for {
		at := time.Now()
		rep, err := a.Log.Verify(ctx)
		took := time.Since(at)
		switch {
		case err != nil && ctx.Err() == nil:
			a.Program.Warn("the log could not be verified", "error", err)
		case err == nil:
			a.health.set(rep, a.now(), took)
			if !rep.OK {
				a.Program.Error("the log does not verify", "what", rep.FirstBad.What)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(max(1000*took, verifyMin), verifyMax)):
		}
	}
}
