package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
)

// The demo is a whole installation in one folder: a fictional firm, its people, one AI system, the built-in demo model.

const (
	demoOrg    = "Alpenwerk Maschinenbau GmbH"
	demoSystem = "KI-2026-001"
	demoClerk  = "clerk"
	demoKey    = "demo-clerk.key"
)

// demoPeople are invented. The clerk owns the Zugang whose key the demo prints.
func demoPeople() []auth.User {
	return []auth.User{
		{Login: demoClerk, Name: "Jonas Winkler", Roles: []auth.Role{auth.CaseWorker}},
		{Login: "it", Name: "Miriam Koch", Roles: []auth.Role{auth.IT}},
		{Login: "ki", Name: "Dr. Selin Aydın", Roles: []auth.Role{auth.AIOfficer}},
		{Login: "datenschutz", Name: "Peter Lindner", Roles: []auth.Role{auth.DataProtection}},
		{Login: "betriebsrat", Name: "Katarzyna Nowak", Roles: []auth.Role{auth.WorksCouncil}},
		{Login: "leitung", Name: "Andrea Huber", Roles: []auth.Role{auth.Management}},
		{Login: "pruefung", Name: "Claudia Brandt", Roles: []auth.Role{auth.Auditor}},
	}
}

const demoGoverning = `format: leitplanke.config/v1
providers:
  - {id: demo, kind: demo, region: local, operator: Demo-Modell}
models:
  - {id: standard, provider: demo, upstream: demo}
  - {id: demo-echo, provider: demo, upstream: demo-echo}
  - {id: demo-tool, provider: demo, upstream: demo-tool}
  - {id: demo-slow, provider: demo, upstream: demo-slow}
  - {id: demo-long, provider: demo, upstream: demo-long}
  - {id: demo-429, provider: demo, upstream: demo-429}
  - {id: demo-cut, provider: demo, upstream: demo-cut}
systems:
  - id: KI-2026-001
    name: Briefassistent
    purpose: Briefe und Mails der Verwaltung zusammenfassen und entwerfen
    models: [standard, demo-echo, demo-tool, demo-slow, demo-long, demo-429, demo-cut]
    aliases: {demo: standard, gpt-4o-mini: standard}
    mask: [PERSON, IBAN, EMAIL, PHONE, CREDIT_CARD, TAX_ID]
access:
  - {id: demo-clerk, system: KI-2026-001, kind: person, owner: clerk, key: "file:demo-clerk.key"}
`

// MakeDemo writes the configuration and keys of a demo into a folder that has none yet, and returns the configuration.
func MakeDemo(dir, addr string) (*config.Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "leitplanke.yaml")
	text := fmt.Sprintf("# The demo. Everything in this folder is made up and may be deleted.\nname: demo.leitplanke\norganisation: %q\nlisten: %q\npublic_url: %q\ndata: data\nkeys: keys\nmark: mark/checkpoint\nlimits: {min_free_mib: 64}\n", demoOrg, addr, DemoURL(addr))
	if err := audit.WriteFile(file, []byte(text)); err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "mark"), 0o700), MakeKeys(filepath.Join(dir, "keys"))); err != nil {
		return nil, err
	}
	return config.LoadServer(file)
}

// DemoURL is how people reach a demo that listens on that address: by name on this machine, so that cookies and links agree.
func DemoURL(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || (ip != nil && (ip.IsLoopback() || ip.IsUnspecified()))) {
		return "http://localhost:" + port
	}
	return "http://" + addr
}

// DemoPerson is somebody whom the demo lets one be.
type DemoPerson struct {
	User  auth.User
	Token string // of the sign-in link
}

// FillDemo adds the demo's people, system and key where they are missing, and returns the people with their sign-in links
// and the key of the clerk's Zugang.
func (a *App) FillDemo(ctx context.Context) (people []DemoPerson, key string, err error) {
	by := auth.Actor{Name: "demo"}
	for _, u := range demoPeople() {
		if u.Roles[0] == auth.Auditor {
			u.Ends = a.now().AddDate(1, 0, 0)
		}
		known, err := a.Users.ByLogin(ctx, u.Login)
		if err != nil {
			if _, err := a.Users.Add(ctx, by, u); err != nil {
				return nil, "", err
			}
			if known, err = a.Users.ByLogin(ctx, u.Login); err != nil {
				return nil, "", err
			}
		}
		people = append(people, DemoPerson{*known, a.demoToken(u.Login)})
	}
	engine, err := Engine()
	if err != nil {
		return nil, "", err
	}
	want, err := config.ParseGoverning("demo", []byte(demoGoverning), engine.Types())
	if err != nil {
		return nil, "", err
	}
	if _, err := a.Import(ctx, by, want, false, false); err != nil {
		return nil, "", err
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(a.Config.File), demoKey))
	return people, strings.TrimSpace(string(b)), err
}

// demoToken is the same at every start, and cannot be guessed without the pepper.
func (a *App) demoToken(login string) string {
	h := hmac.New(sha256.New, a.keys.pepper)
	h.Write([]byte("demo sign-in " + login))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// DemoCurl is the line that a newcomer pastes.
func DemoCurl(base, key string) string {
	return `curl -s ` + base + `/v1/chat/completions -H "Authorization: Bearer ` + key + `" -H "Content-Type: application/json" -d '` +
		`{"model":"demo","messages":[{"role":"user","content":"Bitte zusammenfassen: Sehr geehrte Frau Dr. Katharina Brenner, bitte überweisen Sie 1.190,00 € auf DE02 1005 0000 0024 2906 61. Rückfragen unter +49 861 555 01 24. Mit freundlichen Grüßen\nJonas Winkler"}]}'`
}
