// Package register is the register of AI systems: what they are for, which models of which providers they may use, what
// they mask, and who may call them. It owns these rows and writes an entry into the log, in the same transaction, for
// each change.
package register

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Provider kinds.
const (
	KindOpenAI = "openai-compatible" // an HTTP server with the OpenAI dialect
	KindDemo   = "demo"              // the built-in demo model: rules, no LLM
)

// RegionLocal is the region of a provider on the firm's own machines; only there may an address be private or loopback.
const RegionLocal = "local"

// Access kinds.
const (
	Person  = "person"  // its owner is a person who signs in
	Service = "service" // a program
)

// Output modes of a system.
const (
	Live = "live" // an answer is passed on while it comes
	Held = "held" // an answer is completed, judged, then passed on
)

// Provider is where a model is asked.
type Provider struct {
	ID       string `yaml:"id" json:"id"`
	Kind     string `yaml:"kind" json:"kind"`
	BaseURL  string `yaml:"base_url,omitempty" json:"base_url"`
	Region   string `yaml:"region" json:"region"`     // local, eu, de, us, … as the contract with the provider says
	Operator string `yaml:"operator" json:"operator"` // who runs it
	Key      string `yaml:"key,omitempty" json:"key"` // reference of its API key: file:PATH, credential:NAME or env:NAME
}

// Model is what callers may name.
type Model struct {
	ID       string `yaml:"id" json:"id"`
	Provider string `yaml:"provider" json:"provider"`
	Upstream string `yaml:"upstream" json:"upstream"` // what the provider is asked for
}

// System is one AI system with one purpose.
type System struct {
	ID       string            `yaml:"id" json:"id"`
	Name     string            `yaml:"name" json:"name"`
	Purpose  string            `yaml:"purpose" json:"purpose"`
	Models   []string          `yaml:"models" json:"models"`
	Aliases  map[string]string `yaml:"aliases,omitempty" json:"aliases"` // name in a client → model
	Mask     []string          `yaml:"mask,omitempty" json:"mask"`       // types that are replaced by pseudonyms
	Regions  []string          `yaml:"regions,omitempty" json:"regions"` // where its models may run; empty = anywhere
	Output   string            `yaml:"output,omitempty" json:"output"`
	HighRisk bool              `yaml:"high_risk,omitempty" json:"high_risk"`
	KeepDays int               `yaml:"keep_days,omitempty" json:"keep_days"` // of sealed content; 0 = the default of its class
}

// Default days that sealed content is kept (audit.md section 11): six months for high-risk systems, which is the floor
// of Art. 26(6) AI Act, and 30 days for others.
const (
	KeepHighRisk = 184
	KeepOther    = 30
)

// Keep is how many days the content of the system's calls is kept.
func (s *System) Keep() int {
	switch {
	case s.KeepDays > 0:
		return s.KeepDays
	case s.HighRisk:
		return KeepHighRisk
	}
	return KeepOther
}

// Class is the retention class of the system's entries, as it stands in leaves.
func (s *System) Class() string {
	if s.HighRisk {
		return "high_risk"
	}
	return "standard"
}

// Access is a Zugang: a key that is bound to one system.
type Access struct {
	ID      string `yaml:"id" json:"id"`
	System  string `yaml:"system" json:"system"`
	Kind    string `yaml:"kind" json:"kind"`
	Owner   string `yaml:"owner,omitempty" json:"owner"` // login of the person, for kind person
	Key     string `yaml:"key,omitempty" json:"key"`     // file:PATH that holds the key, or gets a new one; import only
	Created int64  `yaml:"-" json:"created"`             // µs
	Expires int64  `yaml:"-" json:"expires"`             // µs, 0 = never
	Revoked int64  `yaml:"-" json:"revoked"`             // µs, 0 = not
	Hash    []byte `yaml:"-" json:"hash"`                // HMAC of the key, see HashKey
}

// Good reports whether the Zugang is usable at that time.
func (a *Access) Good(now time.Time) bool {
	return a.Revoked == 0 && (a.Expires == 0 || now.UnixMicro() < a.Expires)
}

// State is everything that the register holds, in the order of ids.
type State struct {
	Providers []Provider `yaml:"providers,omitempty"`
	Models    []Model    `yaml:"models,omitempty"`
	Systems   []System   `yaml:"systems,omitempty"`
	Access    []Access   `yaml:"access,omitempty"`
	Stops     []Stop     `yaml:"-"`
}

// Stop is a stop that is on.
type Stop struct {
	Scope  string // "all", "system/ID" or "access/ID"
	Reason string
	Actor  string
	Since  time.Time
}

// KeyPrefix begins every key of a Zugang.
const KeyPrefix = "lp-"

// NewKey makes a key: 256 random bits. It is shown once and stored as HashKey only.
func NewKey() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails since Go 1.24
	return KeyPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// HashKey is what is stored of a key: HMAC-SHA256 under the installation's pepper.
func HashKey(pepper []byte, key string) []byte {
	h := hmac.New(sha256.New, pepper)
	h.Write([]byte(key))
	return h.Sum(nil)
}

// ValidKey reports whether s has the form of a key.
func ValidKey(s string) bool {
	rest, ok := strings.CutPrefix(s, KeyPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return ok && err == nil && len(b) == 32 && len(rest) == 43 // the decoder passes over line ends
}

// canonical is the text of a row that its commitment covers: JSON with fields in a fixed order.
func canonical(row any) []byte {
	b, err := json.Marshal(row) // strings, numbers, and maps with sorted keys only
	if err != nil {
		panic(err)
	}
	return b
}
