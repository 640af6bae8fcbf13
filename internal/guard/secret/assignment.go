package secret

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// passwordWords announce a password, which a person may have chosen.
func passwordWords() []string {
	return []string{"passwort", "kennwort", "password", "passwd", "passphrase", "pwd", "zugangsdaten", "zugangscode", "_pass", "db_pw", "pw:", "pw=", "kennung/pw", "losungswort", "passcode"}
}

// settingWords announce a key made by a machine.
func settingWords() []string {
	return []string{"secret", "api_key", "apikey", "api-key", "api key", "access_key", "accesskey", "access-key", "auth_token", "access_token", "token", "private_key", "_key=", "credential", "client_id_secret", "geheimnis", "_token", "encryption_key", "signing_key"}
}

// assignment finds the value in "Passwort: Sommer2024!", "das Kennwort lautet X9!abc", password="…", and in lines of
// .env files.
func assignment(s string, start, end int) (from, to int, ok bool) {
	word := strings.ToLower(s[start:end])
	setting := false
	for _, w := range settingWords() {
		setting = setting || w == word
	}
	if start > 0 && word != "_pass" && !strings.HasPrefix(word, "_") {
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		if unicode.IsLetter(before) && word == "token" && !strings.EqualFold(s[max(0, start-4):start], "auth") && !strings.EqualFold(s[max(0, start-6):start], "access") {
			return 0, 0, false
		}
	}
	i := end
	if s[end-1] != '=' && s[end-1] != ':' {
		i = span(s, end, 24, "_")     // PASSWORD_DB, Passworte, secrets
		mark, next := separator(s, i) // : = or a verb
		if mark == 0 && (setting || i > end) {
			return 0, 0, false
		}
		if mark == 0 {
			return beside(s, end)
		}
		if i > end && mark == 'v' && i-end > 2 {
			return 0, 0, false
		}
		i = next
		from, to = quoted(s, i)
		if from == to || placeholder(s[from:to]) {
			return 0, 0, false
		}
		if word == "zugangsdaten" {
			return credentials(s, from)
		}
		if setting {
			return from, to, strong(s[from:to])
		}
		return from, to, chosen(s, from, to, mark)
	}
	for i < len(s) && s[i] == ' ' {
		i++
	}
	from, to = quoted(s, i)
	if from == to || placeholder(s[from:to]) {
		return 0, 0, false
	}
	if setting {
		return from, to, strong(s[from:to])
	}
	return from, to, chosen(s, from, to, '=')
}

// beside finds "Passwort Sommer2024!": with nothing between them the value must mix letters with digits.
func beside(s string, end int) (from, to int, ok bool) {
	if end >= len(s) || s[end] != ' ' {
		return 0, 0, false
	}
	from, to = quoted(s, end+1)
	digits, small, capitals, _ := classes(s[from:to])
	return from, to, digits > 1 && small+capitals > 1 && !placeholder(s[from:to]) && chosen(s, from, to, 'v')
}

// separator reads what stands between a word and its value: ':' or '=' give themselves, a verb gives 'v', nothing 0.
func separator(s string, i int) (mark byte, next int) {
	first := i
	for i < len(s) && i-first < 4 && strings.IndexByte(" \t\"'*`)\\", s[i]) >= 0 {
		i++
	}
	if i < len(s) && (s[i] == ':' || s[i] == '=') {
		mark = s[i]
		i++
		if i < len(s) && (s[i] == '=' || s[i] == '>') { // := => ==
			i++
		}
		return mark, skip(s, i)
	}
	for _, verb := range []string{"ist:", "ist", "lautet:", "lautet", "is:", "is", "war", "was", "für den Zugang ist", "->", "–", "/"} {
		if strings.HasPrefix(s[i:], verb) && i+len(verb) < len(s) && s[i+len(verb)] == ' ' && i > first {
			return 'v', skip(s, i+len(verb))
		}
	}
	return 0, i
}

func skip(s string, i int) int {
	first := i
	for i < len(s) && i-first < 6 && strings.IndexByte(" \t\r\n*", s[i]) >= 0 {
		i++
	}
	return i
}

// quoted gives the value at i: up to the closing quote, or up to white space without marks that end a sentence.
func quoted(s string, i int) (from, to int) {
	last := min(len(s), i+window)
	for _, q := range [][2]string{{`\"`, `\"`}, {`"`, `"`}, {"'", "'"}, {"`", "`"}, {"„", "“"}, {"»", "«"}, {"“", "”"}} {
		if !strings.HasPrefix(s[i:], q[0]) {
			continue
		}
		from = i + len(q[0])
		if from <= last {
			if k := strings.Index(s[from:last], q[1]); k >= 0 {
				return from, from + k
			}
			i = from // the closing quote is cut off
			break
		}
	}
	to = i
	for to < last && strings.IndexByte(" \t\r\n\"'`<>|;", s[to]) < 0 {
		to++
	}
	for to < len(s) && !utf8.RuneStart(s[to]) {
		to--
	}
	for to > i && strings.IndexByte(".,)]}", s[to-1]) >= 0 {
		to--
	}
	return i, to
}

// strong says whether a value looks made by a machine.
func strong(s string) bool {
	digits, small, capitals, _ := classes(s)
	return len(s) >= 12 && digits > 0 && small+capitals > 0 && entropy(s) >= 3 && !uuid(s) && !strings.Contains(s, "://") && !call(s)
}

// chosen says whether a value looks like a password that a person chose. Behind a verb it must be no word; alone at the
// end of a line a word is enough.
func chosen(s string, from, to int, mark byte) bool {
	v := s[from:to]
	n := utf8.RuneCountInString(v)
	if n < 4 || strings.IndexByte("{[(", v[0]) >= 0 || strings.HasSuffix(v, ":") || strings.HasPrefix(v, "0x") || call(v) || strings.HasPrefix(v, "http") {
		return false
	}
	digits, small, capitals, other := classes(v)
	inner := changes(v)
	marks := strings.ContainsAny(v, "!$%&@#*+?_^~") || other > 0 && strings.ContainsAny(v, "-.") && digits > 0
	mixed := digits > 0 && (small+capitals > 0 || marks || n >= 6) || marks && small+capitals+digits > 0 && !strings.HasSuffix(v, "?") && n >= 5
	if mark == 'v' {
		return mixed && n >= 6 && (digits > 0 || strings.ContainsAny(v[:len(v)-1], "!$%&@#*+_^~"))
	}
	if mixed || inner > 0 && n >= 8 {
		return true
	}
	line := strings.TrimLeft(s[to:], " \t\"'`;,)")
	return n >= 6 && (line == "" || line[0] == '\n' || line[0] == '\r') && !strings.ContainsAny(v, "([{")
}

// call says whether a value is source code: getPassword(), config.password.
func call(v string) bool {
	k := strings.IndexByte(v, '(')
	if k > 0 && (strings.IndexByte(v[k:], ')') > 0 || k == len(v)-1) && span(v, 0, k, "_.") == k {
		return true
	}
	dot := strings.IndexByte(v, '.')
	return dot > 0 && dot < len(v)-1 && span(v, 0, len(v), "_.") == len(v) && strings.IndexFunc(v, func(r rune) bool { return '0' <= r && r <= '9' }) < 0
}

// credentials gives the last word of the line behind "Zugangsdaten:", which is the password.
func credentials(s string, from int) (int, int, bool) {
	line, _, _ := strings.Cut(s[from:min(len(s), from+window)], "\n")
	line = strings.TrimRight(line, " \t\r.,;")
	at := from + strings.LastIndexAny(line, " /:|\t") + 1
	to := from + len(line)
	return at, to, at < to && !placeholder(s[at:to]) && chosen(s, at, to, ':')
}

// pin finds "PIN: 4711", "TAN lautet 123456" and "PIN 4711".
func pin(s string, start, end int) (from, to int, ok bool) {
	word := s[start:end]
	if start > 0 && (isAlnum(s[start-1]) || s[start-1] == '_' || s[start-1] >= utf8.RuneSelf) || word != strings.ToUpper(word) && word != "Pin" && word != "Tan" {
		return 0, 0, false
	}
	i := end
	for _, tail := range []string{"-Code", "-Nummer", " Code"} {
		if strings.HasPrefix(s[i:], tail) {
			i += len(tail)
		}
	}
	_, from = separator(s, i)
	from = skip(s, from)
	if from == end {
		return 0, 0, false
	}
	to = from
	for to < len(s) && to-from < 10 && isDigit(s[to]) {
		to++
	}
	if to < len(s) && (isAlnum(s[to]) || (s[to] == '.' || s[to] == ',' || s[to] == '-') && to+1 < len(s) && isDigit(s[to+1])) {
		return 0, 0, false
	}
	return from, to, to-from >= 4 && to-from <= 8
}
