package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/register"
)

var update = flag.Bool("update", false, "write the golden files anew")

func types() []string { return []string{"IBAN", "PERSON"} }

const good = `format: leitplanke.config/v1
providers:
  - {id: lokal, kind: openai-compatible, base_url: "http://127.0.0.1:11434/v1", region: local, operator: Eigenbetrieb}
models:
  - {id: standard, provider: lokal, upstream: "qwen3:8b"}
systems:
  - id: KI-2026-001
    name: Briefassistent
    purpose: Briefe und Mails der Verwaltung zusammenfassen und entwerfen
    models: [standard]
    aliases: {gpt-4o-mini: standard}
    mask: [PERSON, IBAN]
access:
  - {id: fachanwendung, system: KI-2026-001, kind: service, key: "file:fachanwendung.key"}
`

// TestMistakes reads files with a mistake each and compares what is said, in German and English, with the golden file.
func TestMistakes(t *testing.T) {
	ran := 0
	for _, kind := range []string{"governing", "server"} {
		files, err := filepath.Glob("testdata/" + kind + "/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			ran++
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(file)
			if kind == "governing" {
				_, err = ParseGoverning(name, data, types())
			} else {
				_, err = parseServer(name, "/installation", data)
			}
			m, ok := errors.AsType[Mistakes](err)
			if !ok || len(m) == 0 {
				t.Errorf("%s/%s: no mistake was found (%v)", kind, name, err)
				continue
			}
			got := m.Text(lang.English) + "\n\n" + m.Text(lang.German) + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s/%s (-want +got):\n%s", kind, name, d)
			}
		}
	}
	if ran < 25 {
		t.Fatalf("only %d files were read", ran)
	}
}

func TestGoverningRoundTrip(t *testing.T) {
	st, err := ParseGoverning("good.yaml", []byte(good), types())
	if err != nil {
		t.Fatal(err)
	}
	text, err := Governing(st)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseGoverning("again.yaml", text, types())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if d := cmp.Diff(st, again); d != "" {
		t.Errorf("export and import change something (-before +after):\n%s\n%s", d, text)
	}
	if c := register.Diff(st, again, true); len(c) != 0 {
		t.Errorf("changes: %+v", c)
	}
}

func TestServerDefaults(t *testing.T) {
	s, err := parseServer("leitplanke.yaml", "/opt/leitplanke", []byte("name: a.b\nmark: /mnt/mark\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != "127.0.0.1:8088" || s.Data != "/opt/leitplanke/data" || s.Mark != "/mnt/mark" || s.PublicURL != "http://127.0.0.1:8088" {
		t.Errorf("%+v", s)
	}
}

func TestSecretHasNoPrintableForm(t *testing.T) {
	s := struct{ S Secret }{NewSecret("sehr geheim")}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %d %q %x", s, s, s, s, s.S)} {
		if strings.Contains(text, "geheim") || strings.Contains(text, fmt.Sprintf("%x", "geheim")) {
			t.Errorf("printed: %s", text)
		}
	}
	if s.S.Reveal() != "sehr geheim" {
		t.Error("the secret is lost")
	}
}

func FuzzGoverning(f *testing.F) {
	f.Add([]byte(good))
	files, err := filepath.Glob("testdata/governing/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := ParseGoverning("fuzz.yaml", data, types())
		if m, ok := errors.AsType[Mistakes](err); ok {
			lines := splitLines(string(data))
			for _, x := range m {
				if x.Line > len(lines)+1 || x.Line < 0 || x.Col < 0 {
					t.Errorf("place %d:%d lies outside the file", x.Line, x.Col)
				}
			}
			_ = m.Text(lang.German)
		} else if err != nil || st == nil {
			t.Errorf("%v %v", st, err)
		}
	})
}
