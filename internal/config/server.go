package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/leitplanke/leitplanke/internal/lang"
)

// Server is leitplanke.yaml: what the process needs before its database opens. Paths are absolute after loading.
type Server struct {
	File      string // where it was read
	Listen    string // host:port
	PublicURL string // how people reach it; http://Listen where it is not given
	TLSCert   string // PEM files; empty: no TLS here
	TLSKey    string
	Proxy     bool   // tls: proxy; TLS ends at a proxy in front
	Data      string // folder
	Database  Secret // PostgreSQL URL; empty: SQLite in Data
	KeysDB    Secret // PostgreSQL URL of the key store; needed beside Database
	Keys      string // folder with root.key, log.key and pepper.key
	Mark      string // file with the last signed checkpoint
	Name      string // of the installation: the log's origin is Name/1
	Org       string // of the firm, for pages
	Log       string // level of the program log: debug, info, warn, error
	Zone      string // time zone of pages
	BodyMiB   int
	MinFree   int // MiB of disk below which new calls are refused
}

// Secret is a value that has no printable form.
type Secret struct{ v *string }

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{&v} }

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// Format implements fmt.Formatter: three stars, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "***") }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// LoadServer reads leitplanke.yaml. The error is Mistakes, or that the file cannot be read.
func LoadServer(path string) (*Server, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return parseServer(path, filepath.Dir(abs), data)
}

// parseServer reads the text of leitplanke.yaml; file names it in messages, dir is what its relative paths start from.
func parseServer(file, dir string, data []byte) (*Server, error) {
	s := &Server{File: file, Listen: "127.0.0.1:8088", Data: "data", Keys: "keys", Log: "info", Zone: "Europe/Berlin", BodyMiB: 32, MinFree: 1024}
	r, root := parse(file, data)
	if root == nil {
		return nil, r.result()
	}
	var listen, tls *yaml.Node
	path := func(to *string) func(*yaml.Node) { return func(n *yaml.Node) { r.text(n, to) } }
	r.mapping(root, "file", map[string]field{
		"name":          {need: true, read: func(n *yaml.Node) { r.name(n, &s.Name) }},
		"organisation":  {read: func(n *yaml.Node) { r.text(n, &s.Org) }},
		"listen":        {read: func(n *yaml.Node) { listen = n; r.listen(n, &s.Listen) }},
		"public_url":    {read: func(n *yaml.Node) { r.publicURL(n, &s.PublicURL) }},
		"tls":           {read: func(n *yaml.Node) { tls = n; r.tls(n, s) }},
		"data":          {read: path(&s.Data)},
		"database":      {read: func(n *yaml.Node) { r.secretText(n, dir, &s.Database) }},
		"keys_database": {read: func(n *yaml.Node) { r.secretText(n, dir, &s.KeysDB) }},
		"keys":          {read: path(&s.Keys)},
		"mark":          {need: true, read: path(&s.Mark)},
		"log":           {read: func(n *yaml.Node) { r.oneOf(n, &s.Log, "debug", "info", "warn", "error") }},
		"zone":          {read: path(&s.Zone)},
		"limits": {read: func(n *yaml.Node) {
			r.mapping(n, "limits", map[string]field{
				"body_mib":     {read: func(n *yaml.Node) { r.number(n, &s.BodyMiB, 1, 256) }},
				"min_free_mib": {read: func(n *yaml.Node) { r.number(n, &s.MinFree, 1, 1<<20) }},
			})
		}},
	})
	if s.Database.Reveal() != "" && s.KeysDB.Reveal() == "" {
		r.at(root, "config.missing", "key", "keys_database", "what", "file")
	}
	if host, _, err := net.SplitHostPort(s.Listen); err == nil && tls == nil && !loopback(host) {
		n := root
		if listen != nil {
			n = listen
		}
		r.at(n, "config.no_tls", "listen", s.Listen, "open", "{", "close", "}")
	}
	if err := r.result(); err != nil {
		return nil, err
	}
	for _, p := range []*string{&s.Data, &s.Keys, &s.Mark, &s.TLSCert, &s.TLSKey} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if s.PublicURL == "" {
		s.PublicURL = "http://" + s.Listen
		if s.TLSCert != "" {
			s.PublicURL = "https://" + s.Listen
		}
	}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// name reads the installation's name: it stands in the log's key, so it has no blank and no plus sign.
func (r *reader) name(n *yaml.Node, to *string) {
	var s string
	if r.text(n, &s); s == "" {
		return
	}
	if len(s) > 100 || strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-')
	}) {
		r.at(n, "config.name", "value", s)
		return
	}
	*to = s
}

func (r *reader) listen(n *yaml.Node, to *string) {
	var s string
	if r.text(n, &s); s == "" {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		r.at(n, "config.listen", "value", s)
		return
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		r.at(n, "config.listen", "value", s)
		return
	}
	*to = s
}

func (r *reader) publicURL(n *yaml.Node, to *string) {
	var s string
	if r.text(n, &s); s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || (u.Path != "" && u.Path != "/") || u.User != nil || u.RawQuery != "" {
		r.at(n, "config.public_url", "value", s)
		return
	}
	*to = strings.TrimRight(s, "/")
}

func (r *reader) tls(n *yaml.Node, s *Server) {
	if n.Kind == yaml.ScalarNode {
		var word string
		r.oneOf(n, &word, "proxy")
		s.Proxy = word == "proxy"
		return
	}
	r.mapping(n, "tls", map[string]field{
		"cert": {need: true, read: func(n *yaml.Node) { r.text(n, &s.TLSCert) }},
		"key":  {need: true, read: func(n *yaml.Node) { r.text(n, &s.TLSKey) }},
	})
}

// secretText reads a reference and the secret behind it.
func (r *reader) secretText(n *yaml.Node, dir string, to *Secret) {
	var s string
	if r.text(n, &s); s == "" {
		return
	}
	before := len(r.mistakes)
	if r.secret(n, s); len(r.mistakes) > before {
		return
	}
	v, err := ReadSecret(dir, s)
	if err != nil {
		r.at(n, "config.secret_missing", "value", s)
		return
	}
	*to = NewSecret(v)
}

const maxSecret = 64 << 10

// ReadSecret returns the secret that a reference names: file:PATH (relative to dir), credential:NAME (of systemd), or
// env:NAME.
func ReadSecret(dir, ref string) (string, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch kind {
	case "file":
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
	case "credential":
		base := os.Getenv("CREDENTIALS_DIRECTORY")
		if base == "" || strings.ContainsAny(name, "/\\") {
			return "", errors.New("no credentials are passed by systemd")
		}
		name = filepath.Join(base, name)
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return v, nil
	default:
		return "", errors.New("not a reference to a secret")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", errors.New("the file is too large for a secret")
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// Language is the language of messages on the shell: German where the locale says so.
func Language() lang.Lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(v, "de") {
				return lang.German
			}
			return lang.English
		}
	}
	return lang.English
}
