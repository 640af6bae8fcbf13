package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/leitplanke/leitplanke/internal/app"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/lang"
)

type serveCmd struct {
	Config string `help:"Configuration file." type:"path" default:"leitplanke.yaml" placeholder:"FILE"`
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(e *env) error {
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return err
	}
	a, err := app.Open(e.ctx, app.Options{Config: conf})
	if err != nil {
		return err
	}
	err = serve(e, a, app.PageOptions{Version: Version()}, func() {
		fmt.Fprintf(e.errOut, "leitplanke %s on %s\n", Version(), conf.PublicURL)
		if why := a.Log.Refused(); why != "" {
			fmt.Fprintf(e.errOut, "THE LOG REFUSES TO WRITE, so every call is refused: %s\n", why)
		}
	})
	return errors.Join(err, a.Close(context.WithoutCancel(e.ctx)))
}

const gcPercent = 200

func serve(e *env, a *app.App, o app.PageOptions, started func()) error {
	pages, err := a.Pages(o)
	if err != nil {
		return err
	}
	l, err := a.Listen(e.ctx)
	if err != nil {
		return usage("%w", err)
	}
	// A larger heap for fewer collections: a fifth less CPU a call, within the memory that a call's figures promise.
	debug.SetGCPercent(gcPercent)
	started()
	return a.Serve(e.ctx, l, pages)
}

type demoCmd struct {
	Addr string `help:"Address to listen on." default:"127.0.0.1:8088" placeholder:"HOST:PORT"`
	Data string `help:"Folder of the demo (default: under the user's cache)." type:"path" placeholder:"DIR"`
}

// Run makes or continues the demo and serves it.
func (c *demoCmd) Run(e *env) error {
	dir := c.Data
	if dir == "" {
		var err error
		if dir, err = demoDir(); err != nil {
			return err
		}
	}
	conf, err := app.MakeDemo(dir, c.Addr)
	if err != nil {
		return err
	}
	a, err := app.Open(e.ctx, app.Options{Config: conf, Demo: true})
	if err != nil {
		return err
	}
	people, key, err := a.FillDemo(e.ctx)
	if err != nil {
		return errors.Join(err, a.Close(context.WithoutCancel(e.ctx)))
	}
	base := conf.PublicURL
	curl := app.DemoCurl(base, key)
	err = serve(e, a, app.PageOptions{Version: Version(), Demo: people, Curl: curl}, func() {
		fmt.Fprintf(e.out, "Leitplanke demo (Demo-Modell, regelbasiert, kein LLM): %s\n\n", base)
		for _, p := range people {
			fmt.Fprintf(e.out, "  %-28s %s/demo/%s\n", p.User.Name+" ("+string(p.User.Roles[0])+")", base, p.Token)
		}
		fmt.Fprintf(e.out, "\nkey: %s\n\n%s\n", key, curl)
	})
	return errors.Join(err, a.Close(context.WithoutCancel(e.ctx)))
}

type initCmd struct {
	Dir    string `help:"Folder of the installation." type:"path" default:"."`
	Listen string `help:"Address to listen on." placeholder:"HOST:PORT"`
	Mark   string `help:"File for the last signed checkpoint, best on another disk." type:"path" placeholder:"FILE"`
	Org    string `help:"Name of the firm, for pages."`
	Admin  string `help:"Sign-in name of the first account." placeholder:"LOGIN"`
	Yes    bool   `help:"Ask nothing; take defaults."`
}

const initText = `# Leitplanke: what the process needs before its database opens. Everything that governs (AI systems, models, keys, people)
# is in the database and goes in and out with "leitplanke import config" and "leitplanke export config".
name: %s              # of this installation; stands in the log and cannot be changed later
organisation: %q
listen: %q            # host:port; outside of loopback it needs tls
# tls: {cert: tls/cert.pem, key: tls/key.pem}   # or: tls: proxy
# public_url: "https://leitplanke.example.de"   # how people and programs reach it
data: data            # database; "database: file:PATH" with a PostgreSQL URL instead, and "keys_database" beside it
keys: keys            # never in a data backup: leitplanke keys backup
mark: %q              # last signed checkpoint; best on another disk or host
log: info             # program log: debug, info, warn, error; never content
`

// Run writes configuration and keys and makes the first account.
func (c *initCmd) Run(e *env) error {
	in := bufio.NewReader(e.in)
	ask := func(given *string, question, def string) error {
		if *given != "" || c.Yes {
			if *given == "" {
				*given = def
			}
			return nil
		}
		fmt.Fprintf(e.errOut, "%s [%s]: ", question, def)
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if *given = strings.TrimSpace(line); *given == "" {
			*given = def
		}
		return nil
	}
	file := filepath.Join(c.Dir, "leitplanke.yaml")
	if exists(file) {
		return usage("%s is there already; an installation is not made twice", file)
	}
	if err := errors.Join(
		ask(&c.Org, "Name of the firm", "Unsere Firma"),
		ask(&c.Listen, "Address to listen on", "127.0.0.1:8088"),
		ask(&c.Mark, "File for the mark, the last signed checkpoint; best on another disk", filepath.Join(filepath.Dir(c.Dir), filepath.Base(c.Dir)+"-mark", "checkpoint")),
		ask(&c.Admin, "Sign-in name of the first account", "admin"),
	); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(c.Dir, 0o700), os.MkdirAll(filepath.Dir(c.Mark), 0o700)); err != nil {
		return usage("%w", err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, initText, app.NewName(), c.Org, c.Listen, c.Mark), 0o600); err != nil {
		return err
	}
	conf, err := config.LoadServer(file)
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	if err := app.MakeKeys(conf.Keys); err != nil {
		return err
	}
	var link app.Link
	p := place{Config: file}
	if err := p.run(e, "user.add", app.UserArgs{Login: c.Admin, Name: c.Admin, Roles: []string{string(auth.IT), string(auth.AIOfficer)}}, &link, nil); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "%s and keys are written. Next: leitplanke serve --config %s, then open this link once:\n", file, file)
	fmt.Fprintln(e.out, link.URL)
	return nil
}

type versionCmd struct {
	SBOM bool `name:"sbom" help:"Print the bill of materials (CycloneDX JSON)."`
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints version and build.
func (c *versionCmd) Run(e *env) error {
	switch {
	case c.SBOM:
		return printJSON(e.out, sbom())
	case c.JSON:
		return printJSON(e.out, build())
	}
	b := build()
	fmt.Fprintf(e.out, "leitplanke %s (%s, %s)\n", b.Version, b.Commit, b.Go)
	return nil
}

type doctorCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
	place
}

// Run looks after the installation; it fails when something is red.
func (c *doctorCmd) Run(e *env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	list := app.Doctor(e.ctx, conf)
	red := false
	for _, x := range list {
		red = red || x.State == app.Red
	}
	if c.JSON {
		if err := printJSON(e.out, list); err != nil {
			return err
		}
	} else {
		l := config.Language()
		for _, x := range list {
			fmt.Fprintf(e.out, "%-6s  %s\n", lang.T(l, "doctor."+string(x.State)), lang.T(l, x.Key, x.Args...))
		}
	}
	if red {
		return errNo
	}
	return nil
}
