package guard_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leitplanke/leitplanke/internal/guard"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	show   = flag.Bool("show", false, "print every finding in harmless text")
)

// generator makes a valid identifier and a near miss of one type.
type generator struct {
	name  string // row of the table
	typ   string
	valid func(*rand.Rand) string
	miss  func(*rand.Rand) string
}

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

// pick gives one of the options.
func pick(r *rand.Rand, options ...string) string { return options[r.IntN(len(options))] }

// random gives letters and digits, with at least one of each kind.
func random(r *rand.Rand, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := []byte("aB3")
	for len(b) < n {
		b = append(b, letters[r.IntN(len(letters))])
	}
	r.Shuffle(n, func(i, j int) { b[i], b[j] = b[j], b[i] })
	return string(b[:n])
}

func spaced(s string, sizes []int, sep string) string {
	var groups []string
	for _, n := range sizes {
		n = min(n, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	if s != "" {
		groups = append(groups, s)
	}
	return strings.Trim(strings.Join(groups, sep), sep)
}

func makeIBAN(r *rand.Rand, wrong int) string {
	form := pick(r, "DE18", "AT16", "CH17", "NL14A", "BE12", "FR23", "LU16")
	country := form[:2]
	var length int
	fmt.Sscanf(form[2:4], "%d", &length)
	bban := digits(r, length)
	if strings.HasSuffix(form, "A") {
		bban = "ABNA" + bban[4:]
	}
	sum := 0
	for _, c := range bban + country + "00" {
		if c >= 'A' {
			sum = (sum*100 + int(c-'A') + 10) % 97
		} else {
			sum = (sum*10 + int(c-'0')) % 97
		}
	}
	text := country + fmt.Sprintf("%02d", (98-sum+wrong)%97) + bban
	switch r.IntN(4) {
	case 0:
		return spaced(text, []int{4, 4, 4, 4, 4, 4, 4, 4}, " ")
	case 1:
		return spaced(text, []int{4, 4, 4, 4, 4, 4, 4, 4}, "\u00a0")
	case 2:
		return strings.ToLower(text)
	}
	return text
}

func makeCard(r *rand.Rand, wrong int) string {
	form := pick(r, "4:16", "51:16", "55:16", "2221:16", "37:15", "34:15")
	prefix, n, _ := strings.Cut(form, ":")
	length := 16
	if n == "15" {
		length = 15
	}
	text := prefix + digits(r, length-1-len(prefix))
	sum := 0
	for i := range text {
		d := int(text[len(text)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	text += fmt.Sprint((10 - sum%10 + wrong) % 10)
	switch {
	case r.IntN(3) == 0:
		return text
	case length == 15:
		return spaced(text, []int{4, 6, 5}, " ")
	}
	return spaced(text, []int{4, 4, 4, 4}, pick(r, " ", "-"))
}

func makeTaxID(r *rand.Rand, wrong int) string {
	order := r.Perm(10)
	order[9] = order[r.IntN(9)]
	r.Shuffle(10, func(i, j int) { order[i], order[j] = order[j], order[i] })
	if order[0] == 0 {
		return makeTaxID(r, wrong)
	}
	product := 10
	text := ""
	for _, d := range order {
		sum := (d + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
		text += fmt.Sprint(d)
	}
	text += fmt.Sprint((11 - product + wrong) % 10)
	if r.IntN(2) == 0 {
		return text
	}
	return spaced(text, []int{2, 3, 3, 3}, " ")
}

func generators() []generator {
	wrong := func(make func(*rand.Rand, int) string, base int) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return make(r, 1+r.IntN(base-1)) }
	}
	right := func(make func(*rand.Rand, int) string) func(*rand.Rand) string {
		return func(r *rand.Rand) string { return make(r, 0) }
	}
	return []generator{
		{"IBAN", "IBAN", right(makeIBAN), wrong(makeIBAN, 90)},
		{"CREDIT_CARD", "CREDIT_CARD", right(makeCard), wrong(makeCard, 10)},
		{"TAX_ID", "TAX_ID", right(makeTaxID), wrong(makeTaxID, 10)},
		{"EMAIL", "EMAIL", func(r *rand.Rand) string {
			return pick(r, "max", "a.b", "jörg", "info+x", "m_1") + pick(r, "@", "@", " (at) ", "[at]") + pick(r, "firma", "müller-bau", "mail.stadt") + "." + pick(r, "de", "example", "org", "co.at")
		}, func(r *rand.Rand) string {
			return pick(r, "@"+digits(r, 3), "logo@2x.png", "max@", "git@github.com:a/b.git", "pkg@1."+digits(r, 2), "x (at) y")
		}},
		{"PHONE", "PHONE", func(r *rand.Rand) string {
			return pick(r, "+49 "+pick(r, "89", "30", "861", "171")+" "+digits(r, 7), "+49"+pick(r, "171", "160")+digits(r, 7), "0"+pick(r, "171", "160", "152")+" "+digits(r, 7),
				"0"+pick(r, "89", "861", "8161")+"/"+digits(r, 6), "+43 "+pick(r, "1", "664")+" "+digits(r, 7), "+41 44 "+digits(r, 3)+" "+digits(r, 2)+" "+digits(r, 2), "Tel. "+digits(r, 6))
		}, func(r *rand.Rand) string {
			return pick(r, "RE-2026-"+digits(r, 4), "24.11.20"+digits(r, 2), "2026-11-"+digits(r, 2), "1."+digits(r, 3)+","+digits(r, 2)+" €", "Rechnung 0"+digits(r, 9), "Az. "+digits(r, 2)+" O "+digits(r, 3)+"/23", digits(r, 5)+" Berlin", "HRB "+digits(r, 6),
				"Nr. 4"+digits(r, 9), "PZN "+digits(r, 8))
		}},
		{"token", guard.TypeSecret, func(r *rand.Rand) string {
			return pick(r, "ghp_"+random(r, 36), "AKIA"+strings.ToUpper(random(r, 16)), "glpat-"+random(r, 20), "xoxb-"+digits(r, 12)+"-"+random(r, 24), "sk_live_"+random(r, 24), "sk-proj-"+random(r, 48), "AIza"+random(r, 35), "lp-"+random(r, 24))
		}, func(r *rand.Rand) string {
			return pick(r, "sk-"+random(r, 6), "AKIA"+digits(r, 3), "lp-Platte-"+digits(r, 4), "task-"+random(r, 30), "ghp_", random(r, 40))
		}},
		{"password", guard.TypeSecret, func(r *rand.Rand) string {
			return pick(r, "Passwort", "Kennwort", "password", "pwd", "DB_PASSWORD", "Das Passwort") + pick(r, ": ", "=", " lautet ", " ist ", ": \"") + pick(r, "Sommer", "Winter", "qwertz", "Hund", "Xk") + pick(r, "!", "#", "_", "") + digits(r, 4)
		}, func(r *rand.Rand) string {
			return pick(r, "Passwort: "+strings.Repeat("*", 3+r.IntN(9)), "Das Passwort ist "+pick(r, "falsch", "abgelaufen", "sicher"), "Passwort vergessen", "password=${PW_"+digits(r, 2)+"}", "Kennwort: <Kennwort>", "password: "+pick(r, "string", "null", "example"+digits(r, 2)), "Passwortrichtlinie: Abschnitt "+digits(r, 1))
		}},
		{"setting", guard.TypeSecret, func(r *rand.Rand) string {
			return pick(r, "API_KEY=", "client_secret: ", "ACCESS_TOKEN=\"", "secret_key = ", "auth_token: ") + random(r, 20+r.IntN(20)) + digits(r, 2)
		}, func(r *rand.Rand) string {
			return pick(r, "token: 550e8400-e29b-41d4-a716-44665544"+digits(r, 4), "max_tokens: "+digits(r, 4), "secret: true", "API_KEY=your_api_key_"+digits(r, 4), "token = next_token()", "Token "+digits(r, 3))
		}},
		{"url", guard.TypeSecret, func(r *rand.Rand) string {
			return pick(r, "postgres", "mysql", "https", "amqp") + "://" + pick(r, "admin", "svc_x", "") + ":" + random(r, 6+r.IntN(12)) + "@db" + digits(r, 1) + ".firma.example" + pick(r, "", ":5432/x", "/a?b=c")
		}, func(r *rand.Rand) string {
			return pick(r, "https://firma.example:8443/x@"+digits(r, 2), "postgres://admin@db/x"+digits(r, 1), "redis://user:${PW}@cache", "https://a.example/?q=b:c")
		}},
		{"header", guard.TypeSecret, func(r *rand.Rand) string {
			return pick(r, "Authorization: Bearer ", "Authorization: Basic ", "x-api-key: ", "Cookie: sid=") + random(r, 20+r.IntN(30)) + digits(r, 2)
		}, func(r *rand.Rand) string {
			return pick(r, "Authorization: Bearer <token"+digits(r, 1)+">", "Authorization nötig", "Cookie Banner "+digits(r, 2), "bearer shares")
		}},
	}
}

// TestScores measures recall and precision on generated identifiers, and false findings in harmless German text.
func TestScores(t *testing.T) {
	e := newEngine(t, registered()...)
	var out bytes.Buffer
	fmt.Fprintf(&out, "# generated, seed 7, 1000 valid values and 1000 near misses of each type in a sentence\n%-12s %8s %10s\n", "type", "recall %", "precision %")
	r := rand.New(rand.NewPCG(7, 7))
	for _, g := range generators() {
		hit, wrong := 0, 0
		const n = 1000
		for range n {
			value := g.valid(r)
			list := inspect(e, "Bitte "+value+" prüfen.").list
			if len(list) == 0 && *show {
				t.Logf("%s: missed %q", g.name, value)
			}
			for _, f := range list {
				switch {
				case f.typ != g.typ:
				case strings.Contains(value, f.text) && (2*len(f.text) > len(value) || f.typ == guard.TypeSecret):
					hit++
				default:
					wrong++
				}
			}
			for _, f := range inspect(e, "Bitte "+g.miss(r)+" prüfen.").list {
				if f.typ == g.typ {
					wrong++
					t.Logf("%s: false %q", g.name, f.text)
				}
			}
		}
		recall, precision := 100*float64(hit)/n, 100*float64(hit)/float64(max(1, hit+wrong))
		fmt.Fprintf(&out, "%-12s %8.1f %10.1f\n", g.name, recall, precision)
		least := 98.0
		if g.typ == "IBAN" || g.typ == "CREDIT_CARD" || g.typ == "TAX_ID" {
			least = 99.5
		}
		if recall < least || precision < least {
			t.Errorf("%s: recall %.2f, precision %.2f, want %.1f", g.name, recall, precision, least)
		}
	}
	golden(t, "scores.golden", out.Bytes())
}

// TestSharedScores reads texts that are not part of the repository.
func TestSharedScores(t *testing.T) {
	shared := filepath.Join("..", "..", "..", "shared", "data")
	benign, err := os.ReadFile(filepath.Join(shared, "injection", "benign_de.txt"))
	if err != nil {
		t.Skip("skipped: the folder ../shared beside the repository is absent")
	}
	e := newEngine(t, registered()...)
	count := map[string]int{}
	for line := range strings.Lines(string(benign)) {
		for _, f := range inspect(e, line).list {
			count[f.typ]++
			if *show {
				t.Logf("%s %q (%s) in %.160q", f.typ, f.text, f.detector, around(line, f.start))
			}
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# findings in benign_de.txt (%d bytes of German news, court decisions and debates; persons there are real names)\n", len(benign))
	for _, typ := range append(e.Types(), "all but PERSON") {
		n := count[typ]
		if typ == "all but PERSON" {
			for other, c := range count {
				if other != "PERSON" {
					n += c
				}
			}
		}
		fmt.Fprintf(&out, "%-14s %5d  %7.1f per MB\n", typ, n, float64(n)/float64(len(benign))*1e6)
	}
	examples, err := os.ReadFile(filepath.Join(shared, "pii", "valid_examples.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(examples)) {
		field := strings.Split(strings.TrimSpace(line), "\t")
		kinds := []string{"iban", "de_steuer_id", "card", "phone", "email"}
		if !slices.Contains(kinds, field[0]) {
			continue
		}
		ran++
		if list := inspect(e, "Angabe: "+field[2]+".").list; len(list) != 1 || list[0].text != field[2] || list[0].typ != field[1] {
			t.Errorf("%s %q: %+v", field[1], field[2], list)
		}
	}
	if ran == 0 {
		t.Fatal("no case ran")
	}
	golden(t, "shared.golden", out.Bytes())
}

func around(line string, at int) string { return line[max(0, at-60):min(len(line), at+100)] }

type seen struct {
	typ, text, detector string
	start               int
}

type inspection struct{ list []seen }

func inspect(e *guard.Engine, text string) (in inspection) {
	for _, f := range e.Inspect(background, one(text)).Findings[0] {
		in.list = append(in.list, seen{f.Type, text[f.Start:f.End], f.Detector, f.Start})
	}
	return in
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s changed; -update writes it (-want +got):\n%s", path, diff)
	}
}
