package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/leitplanke/leitplanke/internal/register"
)

// Format is the first line of a file of what governs.
const Format = "leitplanke.config/v1"

// ValidID reports whether s can be an id: letters, digits, and . _ - : / inside.
func ValidID(s string) bool {
	return len(s) <= 100 && regexp.MustCompile(`^[\p{L}\p{N}]([\p{L}\p{N}._:/-]*[\p{L}\p{N}])?$`).MatchString(s)
}

// ParseGoverning reads a file of what governs. types are the types that the detectors of this build can mask. The error
// is Mistakes.
func ParseGoverning(file string, data []byte, types []string) (*register.State, error) {
	r, root := parse(file, data)
	st := new(register.State)
	if root == nil {
		return nil, r.result()
	}
	g := governing{reader: r, st: st, types: types, defined: map[string]*yaml.Node{}}
	r.mapping(root, "file", map[string]field{
		"format": {need: true, read: func(n *yaml.Node) {
			var s string
			r.oneOf(n, &s, Format)
		}},
		"providers": {read: func(n *yaml.Node) { r.list(n, 1000, g.provider) }},
		"models":    {read: func(n *yaml.Node) { r.list(n, 1000, g.model) }},
		"systems":   {read: func(n *yaml.Node) { r.list(n, 1000, g.system) }},
		"access":    {read: func(n *yaml.Node) { r.list(n, 10_000, g.access) }},
	})
	g.references()
	if err := r.result(); err != nil {
		return nil, err
	}
	st.Normal()
	return st, nil
}

type governing struct {
	*reader
	st      *register.State
	types   []string
	defined map[string]*yaml.Node // "provider/lokal" → where
	refers  []reference
}

// reference is a place that names an object which has to be defined somewhere in the file.
type reference struct {
	at       *yaml.Node
	kind, id string
}

// id reads an id and notes where the object is defined.
func (g *governing) id(n *yaml.Node, kind string, to *string) {
	var s string
	if g.text(n, &s); s == "" {
		return
	}
	if !ValidID(s) {
		g.at(n, "config.id", "value", s)
		return
	}
	if first, ok := g.defined[kind+"/"+s]; ok {
		g.at(n, "config.defined", "value", s, "line", first.Line)
		return
	}
	g.defined[kind+"/"+s] = n
	*to = s
}

func (g *governing) provider(n *yaml.Node) {
	var p register.Provider
	var address, key *yaml.Node
	g.mapping(n, "provider", map[string]field{
		"id":       {need: true, read: func(n *yaml.Node) { g.id(n, "provider", &p.ID) }},
		"kind":     {need: true, read: func(n *yaml.Node) { g.oneOf(n, &p.Kind, register.KindOpenAI, register.KindDemo) }},
		"base_url": {read: func(n *yaml.Node) { address = n; g.text(n, &p.BaseURL) }},
		"region":   {need: true, read: func(n *yaml.Node) { g.text(n, &p.Region) }},
		"operator": {need: true, read: func(n *yaml.Node) { g.text(n, &p.Operator) }},
		"key":      {read: func(n *yaml.Node) { key = n; g.text(n, &p.Key) }},
	})
	if p.Kind == register.KindOpenAI {
		if address == nil {
			g.at(n, "config.missing", "key", "base_url", "what", "provider")
		} else if p.BaseURL != "" {
			g.address(address, p)
		}
	}
	if p.Kind == register.KindDemo && address != nil {
		g.at(address, "config.demo_address")
	}
	if p.Key != "" {
		g.secret(key, p.Key)
	}
	g.st.Providers = append(g.st.Providers, p)
}

// address checks a base_url: http only to the own machine or network, no credentials, no query.
func (g *governing) address(n *yaml.Node, p register.Provider) {
	u, err := url.Parse(p.BaseURL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		g.at(n, "config.address", "value", p.BaseURL)
	case u.User != nil:
		g.at(n, "config.address_user")
	case u.Scheme == "http" && p.Region != "" && p.Region != register.RegionLocal:
		g.at(n, "config.address_plain", "region", p.Region)
	default:
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && p.Region != "" && p.Region != register.RegionLocal && (ip.IsPrivate() || ip.IsLoopback()) {
			g.at(n, "config.address_local", "value", u.Hostname())
		}
	}
}

// secret checks a reference to a secret: plain text is a mistake.
func (r *reader) secret(n *yaml.Node, s string) {
	kind, name, ok := strings.Cut(s, ":")
	if !ok || name == "" || !slices.Contains([]string{"file", "credential", "env"}, kind) {
		r.at(n, "config.secret")
	}
}

func (g *governing) model(n *yaml.Node) {
	var m register.Model
	g.mapping(n, "model", map[string]field{
		"id":       {need: true, read: func(n *yaml.Node) { g.id(n, "model", &m.ID) }},
		"provider": {need: true, read: func(n *yaml.Node) { g.refer(n, "provider", &m.Provider) }},
		"upstream": {need: true, read: func(n *yaml.Node) { g.text(n, &m.Upstream) }},
	})
	g.st.Models = append(g.st.Models, m)
}

// refer reads a reference; references checks it once everything is known.
func (g *governing) refer(n *yaml.Node, kind string, to *string) {
	if g.text(n, to); *to != "" {
		g.refers = append(g.refers, reference{n, kind, *to})
	}
}

func (g *governing) references() {
	for _, r := range g.refers {
		if g.defined[r.kind+"/"+r.id] == nil {
			g.at(r.at, "config.not_defined."+r.kind, "value", r.id)
		}
	}
}

func (g *governing) system(n *yaml.Node) {
	var y register.System
	var models, keep *yaml.Node
	var aliases []*yaml.Node
	g.mapping(n, "system", map[string]field{
		"id":      {need: true, read: func(n *yaml.Node) { g.id(n, "system", &y.ID) }},
		"name":    {need: true, read: func(n *yaml.Node) { g.text(n, &y.Name) }},
		"purpose": {need: true, read: func(n *yaml.Node) { g.text(n, &y.Purpose) }},
		"models": {need: true, read: func(n *yaml.Node) {
			models = n
			g.texts(n, &y.Models, func(c *yaml.Node, s string) { g.refers = append(g.refers, reference{c, "model", s}) })
		}},
		"aliases": {read: func(n *yaml.Node) { aliases = g.aliases(n, &y) }},
		"mask": {read: func(n *yaml.Node) {
			g.texts(n, &y.Mask, func(c *yaml.Node, s string) {
				if !slices.Contains(g.types, s) {
					g.at(c, "config.one_of", "value", s, "words", strings.Join(g.types, ", "))
				}
			})
		}},
		"regions":   {read: func(n *yaml.Node) { g.texts(n, &y.Regions, nil) }},
		"output":    {read: func(n *yaml.Node) { g.oneOf(n, &y.Output, register.Live, register.Held) }},
		"high_risk": {read: func(n *yaml.Node) { g.flag(n, &y.HighRisk) }},
		"keep_days": {read: func(n *yaml.Node) { keep = n; g.number(n, &y.KeepDays, 1, 3650) }},
	})
	if models != nil && models.Kind == yaml.SequenceNode && len(models.Content) == 0 {
		g.at(models, "config.no_models")
	}
	if y.HighRisk && y.KeepDays > 0 && y.KeepDays < register.KeepHighRisk {
		g.at(keep, "config.keep_floor", "days", register.KeepHighRisk)
	}
	for _, n := range aliases {
		if !slices.Contains(y.Models, n.Value) {
			g.at(n, "config.alias_model", "value", n.Value)
		}
	}
	g.st.Systems = append(g.st.Systems, y)
}

// aliases reads a mapping from names in clients to models, and returns where the models stand.
func (g *governing) aliases(n *yaml.Node, y *register.System) (models []*yaml.Node) {
	if n.Kind != yaml.MappingNode {
		g.at(n, "config.want_mapping", "what", "aliases")
		return nil
	}
	y.Aliases = map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		var name, to string
		g.text(n.Content[i], &name)
		g.text(n.Content[i+1], &to)
		if name == "" || to == "" {
			continue
		}
		if _, ok := y.Aliases[name]; ok {
			g.at(n.Content[i], "config.twice", "key", name)
		}
		y.Aliases[name] = to
		models = append(models, n.Content[i+1])
	}
	return models
}

func (g *governing) access(n *yaml.Node) {
	var a register.Access
	var owner, key *yaml.Node
	g.mapping(n, "access", map[string]field{
		"id":     {need: true, read: func(n *yaml.Node) { g.id(n, "access", &a.ID) }},
		"system": {need: true, read: func(n *yaml.Node) { g.refer(n, "system", &a.System) }},
		"kind":   {need: true, read: func(n *yaml.Node) { g.oneOf(n, &a.Kind, register.Person, register.Service) }},
		"owner":  {read: func(n *yaml.Node) { owner = n; g.text(n, &a.Owner) }},
		"key":    {read: func(n *yaml.Node) { key = n; g.text(n, &a.Key) }},
	})
	if a.Kind == register.Person && owner == nil {
		g.at(n, "config.no_owner")
	}
	if a.Kind == register.Service && owner != nil {
		g.at(owner, "config.service_owner")
	}
	if a.Key != "" {
		g.secret(key, a.Key)
	}
	g.st.Access = append(g.st.Access, a)
}

// file is the order of an exported file.
type file struct {
	Format         string `yaml:"format"`
	register.State `yaml:",inline"`
}

// Governing writes what governs as YAML: secrets as references only.
func Governing(st *register.State) ([]byte, error) {
	out := file{Format: Format, State: *st}
	out.Access = nil
	for _, a := range st.Access {
		if a.Revoked == 0 {
			out.Access = append(out.Access, a)
		}
	}
	return yaml.Dump(out, yaml.WithV4Defaults())
}
