package secret

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leitplanke/leitplanke/internal/guard"
)

func marked(text string) (plain string, want []string) {
	for {
		before, rest, ok := strings.Cut(text, "[[")
		plain += before
		if !ok {
			return plain, want
		}
		value, rest, _ := strings.Cut(rest, "]]")
		plain += value
		want = append(want, value)
		text = rest
	}
}

// examples of each rule, with what must be found in [[ ]]; a text without marks is a near miss. Keys are invented; those
// that a scanner of repositories knows are put together from two halves.
func examples() map[string][]string {
	const body = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"
	return map[string][]string{
		"token": {
			"key [[" + "AKIA" + "Z7Q2M4N6P8R1T3V5]] hier", "[[" + "ghp" + "_" + body + "]]", "[[" + "github" + "_pat_11ABCDEFG0" + body + "_x1]]", "[[" + "glpat" + "-x7Fq2_Lm9Zt4Kp8Rw3Yb]].",
			"[[" + "xoxb" + "-123456789012-abcdEFGH5678]]", "[[" + "sk_live" + "_4eC39HqLyjWDarjtT1zdp7dc]]", "[[" + "sk-" + "proj-" + body + "]]", "[[" + "sk-" + "ant-api03-" + body + "]]",
			"[[" + "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q]]", "[[lp-7fK2mQ9xT4vB8nZ1cR6w]]",
			"AKIAIOSFODNN7EXAMPLE", "ghp_kurz", "sk-learn-pipeline-for-everyone-here", "der lp-Schalter-fuer-die-grosse-Anlage", "XAKIAZ7Q2M4N6P8R1T3V5", "task-1234567890123456789012",
		},
		"jwt": {
			"[[eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0]]", "token=[[eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0]]", "x [[eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0]].",
			"eyJhbGci", "eyJ.eyJ.x", "heyJude",
		},
		"block": {
			"[[-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7x9\n-----END RSA PRIVATE KEY-----]]\nDanke", "[[-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7x9]]", "[[-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUA]]\nund Text",
			"-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIE\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "-----BEGIN",
		},
		"url": {
			"postgres://admin:[[Geheim123]]@db.example.com:5432/x", "https://max:[[s3cr3t!]]@intranet.example/pfad", "mysql root:[[Xy7Zz]]@tcp(db:3306)/app", "redis://:[[p4ssw0rt]]@cache:6379",
			"https://www.example.com/a@b", "postgres://admin:${DB_PASSWORD}@db", "https://user@host.example", "http://host:8080/x?y=a@b",
		},
		"header": {
			"Authorization: Bearer [[4f9aK27bQ1xT8zP3]]", "Authorization: Basic [[bWF4OmdlaGVpbTEyMw==]]", "Cookie: [[session=8f7a6b5c4d; theme=dark]]", "curl -H \"x-api-key: [[9f8e7d6c5b4a]]\"", "Bearer [[4f9aK27bQ1xT8zP3mN5v]]",
			"Authorization: Bearer <token>", "Bitte den Cookie: Banner prüfen", "the bearer certificates", "Authorization erforderlich",
		},
		"password": {
			"Passwort: [[Sommer2024!]]", "Das Passwort lautet [[Sommer2024!]] und", "Kennwort ist [[Xy-77-Zebra]].", "password=[[hunter2x]]", "PWD=[[geheimnis]]\n", "DB_PASSWORD=\"[[Tr0ub4dor&3]]\"", "Server=db;User Id=sa;Password=[[Pa55w0rd]];", "{\\\"password\\\": \\\"[[Sommer2024!]]\\\"}",
			"Passwort: „[[Winter#2025]]“", "Zugangsdaten: max.muster / [[Sommer2024!]]", "passphrase: '[[korrekt pferd batterie 9]]'", "Mein Passwort: [[Schatzi1987]]", "Benutzer admin, Passwort [[Sommer2024!]] für",
			"Das Passwort ist falsch.", "Passwort vergessen?", "Passwort 2024 ändern", "password policy v2", "Passwort: ********", "password=${DB_PASSWORD}", "Passwort: bitte ändern Sie es", "password := getPassword()", "Passwort zurücksetzen: https://x.example", "the password is required", "Kennwort: <Ihr Kennwort>", "password: string",
		},
		"setting": {
			"API_KEY=[[9f8e7d6c5b4a39281]]", "client_secret: [[Zx9Kq2Lm7Pw4Rt8Yb3]]", "SECRET_TOKEN='[[a1b2c3d4e5f6a7b8c9d0]]'", "aws_secret_access_key = [[" + "wJ7xUt2FEM1" + "K7MD3NGbPx2fiC9YzQ4r8T6v1B5n]]", "ACCESS_TOKEN=[[Zx9Kq2Lm7Pw4Rt8Yb3]]",
			"token: 550e8400-e29b-41d4-a716-446655440000", "secret: true", "Das Geheimnis ist gelüftet", "max_tokens: 4096", "token = next_token()", "secretary: Frau Weber", "API_KEY=your_api_key_here_12",
		},
		"pin": {
			"PIN: [[4711]]", "Ihre TAN lautet [[123456]].", "PIN [[0815]]", "PUK: [[12345678]]",
			"Pinnwand 1234", "pin = 13", "TAN-Verfahren 2024", "PIN: 12", "Tango 1234", "PIN-Code: folgt",
		},
	}
}

func TestExamples(t *testing.T) {
	d := New()
	for name, texts := range examples() {
		hits, misses := 0, 0
		for _, text := range texts {
			plain, want := marked(text)
			if len(want) > 0 {
				hits++
			} else {
				misses++
			}
			if diff := cmp.Diff(want, values(t, d, plain, "")); diff != "" {
				t.Errorf("%s in %q (-want +got):\n%s", name, plain, diff)
			}
		}
		if hits < 3 || misses < 3 {
			t.Errorf("%s: %d examples and %d near misses", name, hits, misses)
		}
	}
}

// values gives the texts found, one for each place.
func values(t *testing.T, d guard.Detector, text, context string) []string {
	t.Helper()
	v := guard.NewView(text, context)
	list, err := d.Detect(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	last := 0
	for _, f := range list {
		if _, _, ok := v.Original(f.Start, f.End); !ok {
			t.Fatalf("bad range %d-%d in %q", f.Start, f.End, text)
		}
		if f.Start < last { // two rules found the same
			continue
		}
		got = append(got, v.Text[f.Start:f.End])
		last = f.End
	}
	return got
}

func TestKeyIsContext(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"password", "sommer", "sommer"},
		{"apiKey", "abc123", "abc123"},
		{"client-secret", "x y z", "x y z"},
		{"password", "${PASSWORD}", ""},
		{"token_count", "123", ""},
		{"title", "sommer", ""},
	} {
		if got := strings.Join(values(t, New(), c.value, c.key), "|"); got != c.want {
			t.Errorf("%s: %q = %q, want %q", c.key, c.value, got, c.want)
		}
	}
}

func FuzzSecret(f *testing.F) {
	for _, texts := range examples() {
		for _, text := range texts {
			plain, _ := marked(text)
			f.Add(plain)
		}
	}
	d := New()
	f.Fuzz(func(t *testing.T, text string) { values(t, d, strings.ToValidUTF8(text, "?"), "") })
}
