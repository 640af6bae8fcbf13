package secret

import "strings"

// tokenRule is a kind of key that carries a prefix of its own.
type tokenRule struct {
	prefix  string // in lower case; compared exactly in exact
	exact   string
	marks   string  // bytes of the key besides letters and digits
	least   int     // bytes behind the prefix
	most    int     // bytes behind the prefix; 0 = up to the end of the window
	entropy float64 // bits per byte of what follows the prefix
}

// tokenRules lists the forms that vendors publish for their keys.
func tokenRules() []tokenRule {
	list := []tokenRule{
		{exact: "AKIA", least: 16, most: 16, entropy: 2.5},
		{exact: "ASIA", least: 16, most: 16, entropy: 2.5}, // AWS key id
		{exact: "ghp_", least: 36, entropy: 3},
		{exact: "gho_", least: 36, entropy: 3},
		{exact: "ghu_", least: 36, entropy: 3}, // GitHub
		{exact: "ghs_", least: 36, entropy: 3},
		{exact: "ghr_", least: 36, entropy: 3},
		{exact: "github_pat_", marks: "_", least: 40, entropy: 3},
		{exact: "glpat-", marks: "-_.", least: 20, entropy: 3},
		{exact: "gldt-", marks: "-_", least: 20, entropy: 3},
		{exact: "glrt-", marks: "-_", least: 20, entropy: 3}, // GitLab
		{exact: "xoxb-", marks: "-", least: 20, entropy: 2.5},
		{exact: "xoxp-", marks: "-", least: 20, entropy: 2.5},
		{exact: "xoxa-", marks: "-", least: 20, entropy: 2.5}, // Slack
		{exact: "xoxr-", marks: "-", least: 20, entropy: 2.5},
		{exact: "xoxs-", marks: "-", least: 20, entropy: 2.5},
		{exact: "xapp-", marks: "-", least: 20, entropy: 2.5},
		{exact: "sk_live_", least: 16, entropy: 3},
		{exact: "sk_test_", least: 16, entropy: 3},
		{exact: "rk_live_", least: 16, entropy: 3},
		{exact: "whsec_", marks: "+/=", least: 24, entropy: 3},   // Stripe
		{exact: "sk-", marks: "-_", least: 20, entropy: 3},       // OpenAI, Anthropic (sk-proj-, sk-ant-)
		{exact: "AIza", marks: "-_", least: 35, entropy: 3},      // Google API
		{exact: "GOCSPX-", marks: "-_", least: 24, entropy: 3},   // Google OAuth client
		{exact: "ya29.", marks: "-_.", least: 30, entropy: 3},    // Google access token
		{exact: "npm_", least: 36, entropy: 3},                   // npm
		{exact: "pypi-", marks: "-_", least: 50, entropy: 3},     // PyPI
		{exact: "dckr_pat_", marks: "-_", least: 20, entropy: 3}, // Docker Hub
		{exact: "hf_", least: 30, entropy: 3},                    // Hugging Face
		{exact: "SG.", marks: "-_.", least: 60, entropy: 3},      // SendGrid
		{exact: "dop_v1_", least: 60, entropy: 3},                // DigitalOcean
		{exact: "shpat_", least: 32, entropy: 3},                 // Shopify
		{exact: "hvs.", marks: "-_", least: 24, entropy: 3},      // HashiCorp Vault
		{exact: "AGE-SECRET-KEY-1", least: 50, most: 70, entropy: 3},
		{exact: "lp-", marks: "-_", least: 20, entropy: 3}, // our own Zugang
	}
	for i := range list {
		list[i].prefix = strings.ToLower(list[i].exact)
	}
	return list
}

func (t tokenRule) match(s string, start, end int) (from, to int, ok bool) {
	if s[start:end] != t.exact || start > 0 && (isAlnum(s[start-1]) || s[start-1] == '_' || s[start-1] == '-') {
		return 0, 0, false
	}
	most := t.most
	if most == 0 {
		most = window
	}
	to = span(s, end, most, t.marks)
	for to > end && strings.IndexByte("-_.", s[to-1]) >= 0 {
		to--
	}
	value := s[end:to]
	digits, small, capitals, _ := classes(value)
	if len(value) < t.least || t.most > 0 && to < len(s) && isAlnum(s[to]) || entropy(value) < t.entropy || placeholder(value) {
		return 0, 0, false
	}
	if digits == 0 && changes(value) < 2 || digits > 0 && small+capitals == 0 && t.marks == "" {
		return 0, 0, false // words joined by hyphens
	}
	return start, to, true
}

// changes counts the capitals behind a small letter, which words do not have.
func changes(s string) int {
	n := 0
	for i := 1; i < len(s); i++ {
		if isUpper(s[i]) && isLower(s[i-1]) {
			n++
		}
	}
	return n
}

// jwt finds JSON web tokens: three parts in base64url, the first two of which begin with {".
func jwt(s string, start, _ int) (from, to int, ok bool) {
	const longest = 8192
	if !strings.HasPrefix(s[start:], "eyJ") || start > 0 && (isAlnum(s[start-1]) || strings.IndexByte("-_.", s[start-1]) >= 0) {
		return 0, 0, false
	}
	to = span(s, start, longest, "-_.")
	parts := strings.SplitN(strings.TrimRight(s[start:to], "."), ".", 4)
	if len(parts) < 2 || len(parts[0]) < 10 || !strings.HasPrefix(parts[1], "ey") || len(parts[1]) < 10 {
		return 0, 0, false
	}
	return start, start + len(strings.TrimRight(s[start:to], ".")), true
}

// block finds private keys from their first line to the last, or to the end of what looks like one when it was cut.
func block(s string, start, end int) (from, to int, ok bool) {
	const longest = 32 << 10
	rest := s[start:min(len(s), start+longest)]
	if s[start] != '-' { // PuTTY: to the next empty line
		if k := strings.Index(rest, "\n\n"); k >= 0 {
			rest = rest[:k]
		}
		return start, start + len(rest), strings.Contains(rest, "Private-")
	}
	head := rest[:min(len(rest), 80)]
	if k := strings.Index(head[len("-----BEGIN"):], "-----"); k < 0 || !strings.Contains(head[:k+len("-----BEGIN")], "PRIVATE KEY") {
		return 0, 0, false
	}
	if k := strings.Index(rest, "-----END"); k >= 0 {
		if n := strings.Index(rest[k+len("-----END"):], "-----"); n >= 0 && n < 60 {
			return start, start + k + len("-----END") + n + len("-----"), true
		}
	}
	to = start + strings.LastIndex(head, "-----") + len("-----")
	for { // truncated: the lines that still look like the key
		next := to
		for next < len(s) && next-to < 8 && strings.IndexByte(" \t\r\n\\n>|", s[next]) >= 0 {
			next++
		}
		line := span(s, next, 512, "+/=:,-")
		if digits, small, capitals, _ := classes(s[next:line]); line-next < 16 || digits == 0 || small == 0 || capitals == 0 {
			return start, to, true
		}
		to = line
		if to-start > longest {
			return start, to, true
		}
	}
}

// userInfo finds the password in scheme://user:password@host.
func userInfo(s string, start, end int) (from, to int, ok bool) {
	rest := s[end:min(len(s), end+window)]
	if k := strings.IndexAny(rest, " \t\r\n\"'<>`"); k >= 0 {
		rest = rest[:k]
	}
	if k := strings.IndexAny(rest, "/?#"); k >= 0 && (strings.IndexByte(rest[:k], '@') >= 0 || port(rest[:k])) {
		rest = rest[:k]
	}
	at := strings.LastIndexByte(rest, '@')
	if start == 0 || at < 0 || !isAlnum(s[start-1]) {
		return 0, 0, false
	}
	return password(s, end, end+at)
}

// port says whether a host and port, or a host alone, stand in s, and so no user.
func port(s string) bool {
	host, number, found := strings.Cut(s, ":")
	return !found || host != "" && strings.Trim(number, "0123456789") == ""
}

// dsn finds the password in user:password@tcp(host).
func dsn(s string, start, _ int) (from, to int, ok bool) {
	from = start
	for from > 0 && start-from < window && strings.IndexByte(" \t\r\n\"'`=", s[from-1]) < 0 {
		from--
	}
	return password(s, from, start)
}

// password gives what follows the colon in user:password.
func password(s string, from, to int) (int, int, bool) {
	colon := strings.IndexByte(s[from:to], ':')
	if colon < 0 || strings.Contains(s[from:to], "//") && strings.IndexByte(s[from:to], '@') < 0 {
		return 0, 0, false
	}
	from += colon + 1
	return from, to, from < to && !placeholder(s[from:to])
}

// header finds the value of Authorization and Cookie headers and of the word Bearer.
func header(s string, start, end int) (from, to int, ok bool) {
	if start > 0 && (isAlnum(s[start-1]) || s[start-1] == '_') {
		return 0, 0, false
	}
	const longest = 4096
	word := strings.ToLower(s[start:end])
	from = end
	if word == "bearer " || word == "basic " {
		to = span(s, from, longest, "-._~+/=")
		digits, small, capitals, _ := classes(s[from:to])
		return from, to, to-from >= 12 && (digits > 0 || small > 0 && capitals > 1) && small+capitals > 0 && entropy(s[from:to]) >= 3 && !placeholder(s[from:to]) && !uuid(s[from:to])
	}
	for from < len(s) && (s[from] == ' ' || s[from] == '"' || s[from] == '\'') && from-end < 3 {
		from++
	}
	if from >= len(s) || s[from] != ':' {
		return 0, 0, false
	}
	from++
	for from < len(s) && (s[from] == ' ' || s[from] == '"' || s[from] == '\'') {
		from++
	}
	to = from
	for to < len(s) && to-from < longest && strings.IndexByte("\r\n\"'`", s[to]) < 0 {
		to++
	}
	if word == "authorization" {
		for _, scheme := range []string{"Bearer ", "Basic ", "Digest ", "Token ", "bearer ", "basic ", "token "} {
			from += len(scheme) * b2i(strings.HasPrefix(s[from:to], scheme))
		}
		if k := strings.IndexAny(s[from:to], " ,;"); k >= 0 {
			to = from + k
		}
	} else if word == "cookie" {
		to = cookies(s, from, to)
	} else if k := strings.IndexAny(s[from:to], " ,;"); k >= 0 {
		to = from + k
	}
	return from, to, to-from >= 6 && !placeholder(s[from:to]) && s[to-1] != '[' && s[to-1] != '('
}

// cookies gives the end of the pairs name=value that stand at from; from itself when there is none.
func cookies(s string, from, to int) int {
	end := from
	for i := from; i < to; {
		pair, _, _ := strings.Cut(s[i:to], " ")
		if !strings.Contains(pair, "=") && (end == from || !strings.HasSuffix(s[from:end], ";")) {
			break
		}
		end = i + len(pair)
		i = end + 1
	}
	return end
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// awsSecret finds the secret half of an AWS key pair near its id: forty characters of base64.
func awsSecret(s string, start, end int) (from, to int, ok bool) {
	last := min(len(s), end+window)
	for i := end; i < last; {
		if !isAlnum(s[i]) {
			i++
			continue
		}
		stop := span(s, i, 41, "/+")
		value := s[i:stop]
		digits, small, capitals, _ := classes(value)
		if len(value) == 40 && (stop == len(s) || !isAlnum(s[stop])) && digits > 0 && small > 0 && capitals > 0 && entropy(value) >= 4 && !placeholder(value) {
			return i, stop, true
		}
		i = span(s, i, window, "/+")
	}
	return 0, 0, false
}
