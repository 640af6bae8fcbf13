// Package secret finds what gives access: passwords, keys, tokens, and private keys. What it finds is removed for good.
//
// One pass of an automaton over the keywords of all rules; around each keyword a rule looks at a window of 200 bytes; then
// entropy and a list of placeholders decide. The rules are our own, from the vendors' published forms of their keys.
package secret

import (
	"math"
	"strings"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// window is how far a rule looks from its keyword, in bytes. Private keys and cookies have bounds of their own.
const window = 200

// Detector finds secrets.
//
// Rule: see tokenRules (keys with a prefix of their own), assignment (passwords and settings), header, userInfo (URLs and
// DSNs), block (private keys, also truncated), pin and awsSecret. Source: detection.md section 8.
// Finds: Passwort: Sommer2024!, postgres://admin:Geheim123@db, ghp_ and 36 characters, -----BEGIN PRIVATE KEY-----.
// Leaves: Passwort: ********, password=${DB_PASSWORD}, AKIAIOSFODNN7EXAMPLE, a UUID behind "token", "Das Passwort ist falsch".
type Detector struct {
	keywords *guard.Automaton
	rules    []rule // by keyword
}

// rule looks at the keyword at start:end of s and gives the range of the secret.
type rule func(s string, start, end int) (from, to int, ok bool)

// New makes the detector.
func New() *Detector {
	d := &Detector{}
	var words []string
	add := func(r rule, keywords ...string) {
		for _, w := range keywords {
			words = append(words, w)
			d.rules = append(d.rules, r)
		}
	}
	for _, t := range tokenRules() {
		add(t.match, t.prefix)
	}
	add(jwt, "eyj")
	add(block, "-----begin", "putty-user-key-file")
	add(userInfo, "://")
	add(dsn, "@tcp(", "@unix(")
	add(header, "authorization", "cookie", "x-api-key", "x-auth-token", "bearer ", "basic ")
	add(assignment, passwordWords()...)
	add(assignment, settingWords()...)
	add(pin, "pin", "tan", "puk")
	add(awsSecret, "akia", "asia", "aws")
	d.keywords = guard.NewAutomaton(words, true)
	return d
}

// Detectors gives the detector, ready for guard.New.
func Detectors() []guard.Registered {
	return []guard.Registered{{Detector: New(), Types: []string{guard.TypeSecret}}}
}

// Name implements guard.Detector.
func (*Detector) Name() string { return "secret" }

// Detect implements guard.Detector.
func (d *Detector) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	if secretKey(v.Context) && s != "" && !placeholder(s) && !uuid(s) && strings.TrimSpace(s) == s && len(s) <= window {
		found = append(found, guard.Finding{Type: guard.TypeSecret, Start: 0, End: len(s), Score: guard.ScoreContext})
		return found, nil
	}
	behind := 0 // end of the last private key: its text holds no other secret
	d.keywords.Each(s, func(k, start, end int) bool {
		if start < behind {
			return true
		}
		if from, to, ok := d.rules[k](s, start, end); ok {
			found = append(found, guard.Finding{Type: guard.TypeSecret, Start: from, End: to, Score: guard.ScoreContext})
			if to-from > window {
				behind = to
			}
		}
		return true
	})
	return found, nil
}

// secretKey says whether a JSON key announces a secret.
func secretKey(key string) bool {
	if key == "" {
		return false
	}
	key = strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(key))
	switch key {
	case "password", "passwort", "passwd", "pwd", "kennwort", "passphrase", "secret", "clientsecret", "apikey", "accesskey", "secretkey",
		"privatekey", "token", "accesstoken", "refreshtoken", "authtoken", "authorization", "pin", "puk", "tan", "dbpassword", "secretaccesskey",
		"userpassword", "credentials", "zugangsdaten", "sessiontoken", "bearertoken":
		return true
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isAlnum(c byte) bool { return isDigit(c) || isUpper(c) || isLower(c) }

// span gives the end of the longest run from start whose bytes are letters, digits or in marks, at most most long.
func span(s string, start, most int, marks string) int {
	i := start
	for i < len(s) && i-start < most && (isAlnum(s[i]) || strings.IndexByte(marks, s[i]) >= 0) {
		i++
	}
	return i
}

// entropy is Shannon's, in bits per byte.
func entropy(s string) float64 {
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	sum := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(s))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// classes counts which of digits, small letters, capitals and other bytes occur.
func classes(s string) (digits, small, capitals, other int) {
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case isLower(c):
			small++
		case isUpper(c):
			capitals++
		default:
			other++
		}
	}
	return digits, small, capitals, other
}

// placeholder says whether a value stands for a secret without being one: variables, masks, the examples of manuals.
func placeholder(s string) bool {
	if s == "" || strings.ContainsAny(s[:1], "<{[$%") && strings.ContainsAny(s, ">}])%$") {
		return true
	}
	if strings.HasPrefix(s, "$") && len(s) > 1 && (isUpper(s[1]) || s[1] == '{' || s[1] == '(') {
		return true
	}
	if strings.Trim(s, "*xX.•#-_…?") == "" {
		return true
	}
	l := strings.ToLower(s)
	switch l {
	case "null", "none", "nil", "true", "false", "undefined", "changeme", "password", "passwort", "secret", "string", "redacted", "hidden",
		"required", "optional", "token", "vergessen", "forgotten", "falsch", "wrong", "siehe", "bitte", "unbekannt", "n/a":
		return true
	}
	for _, part := range []string{"example", "beispiel", "your_", "your-", "yourp", "dein_", "dein-", "ihr_", "placeholder", "platzhalter", "xxxx", "****", "redacted", "os.environ", "process.env", "getenv", "secrets.", "env."} {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}

// uuid says whether s has the form of a UUID, which names a thing and opens nothing.
func uuid(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') {
			return false
		}
	}
	return true
}
