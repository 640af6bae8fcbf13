package lang

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources returns the text of all templates and of all Go files outside this package, tests excluded.
func sources(t *testing.T) (goText, htmlText string) {
	t.Helper()
	var g, h strings.Builder
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), "_")) {
			return fs.SkipDir
		}
		into := &g
		switch {
		case filepath.Ext(path) == ".html":
			into = &h
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		case strings.Contains(filepath.ToSlash(path), "lang/messages_") || filepath.Base(path) == "catalogue.go":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		into.Write(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 || h.Len() == 0 {
		t.Fatalf("only %d files found", files)
	}
	return g.String(), h.String()
}

func TestEveryKeyInBothLanguages(t *testing.T) {
	seen := map[string]bool{}
	placeholder := regexp.MustCompile(`\{(\w+)`)
	for _, m := range catalogue {
		for key, msg := range m {
			if seen[key] {
				t.Errorf("%s stands twice", key)
			}
			seen[key] = true
			if strings.TrimSpace(msg.de) == "" || strings.TrimSpace(msg.en) == "" {
				t.Errorf("%s is empty in a language", key)
			}
			args := map[string]int{}
			for _, p := range placeholder.FindAllStringSubmatch(msg.de, -1) {
				args[p[1]] |= 1
			}
			for _, p := range placeholder.FindAllStringSubmatch(msg.en, -1) {
				args[p[1]] |= 2
			}
			for name, in := range args {
				if in != 3 && name != "n" {
					t.Errorf("%s: {%s} stands in one language only", key, name)
				}
			}
		}
	}
	if len(seen) < 300 {
		t.Fatalf("only %d keys", len(seen))
	}
}

// TestEveryKeyIsUsed finds keys that nothing shows. Keys made of a prefix and a code count as used when the prefix
// stands in the sources; a problem's key stands there without "problem.".
func TestEveryKeyIsUsed(t *testing.T) {
	goText, htmlText := sources(t)
	all := goText + htmlText
	used := func(s string) bool { return strings.Contains(all, `"`+s+`"`) }
	n := 0
	for _, m := range catalogue {
		for key := range m {
			n++
			if code, ok := strings.CutPrefix(key, "problem."); ok {
				if !used(code) {
					t.Errorf("%s is not used", key)
				}
				continue
			}
			ok := used(key)
			for _, suffix := range []string{".text", ".ok", ".bad"} {
				if base, has := strings.CutSuffix(key, suffix); has && used(base) {
					ok = true
				}
			}
			for i := range key {
				if key[i] == '.' && used(key[:i+1]) {
					ok = true
				}
			}
			if !ok {
				t.Errorf("%s is not used", key)
			}
		}
	}
	if n == 0 {
		t.Fatal("no key")
	}
}

func TestEveryUsedKeyExists(t *testing.T) {
	goText, htmlText := sources(t)
	found := regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(htmlText, -1)
	found = append(found, regexp.MustCompile(`\.T\("([^"]+)"`).FindAllStringSubmatch(goText, -1)...)
	found = append(found, regexp.MustCompile(`\b(?:Label|Key): +"([a-z_]+\.[a-z_.]+)"`).FindAllStringSubmatch(goText, -1)...)
	found = append(found, regexp.MustCompile(`\bf\.\w+\("([^"]+)"`).FindAllStringSubmatch(goText, -1)...)
	if len(found) < 150 {
		t.Fatalf("only %d uses found", len(found))
	}
	for _, f := range found {
		if !Has(f[1]) {
			t.Errorf("no message %q", f[1])
		}
	}
	problems := regexp.MustCompile(`problem\.(?:Invalid|Unauthenticated|Forbidden|Blocked|NotFound|Conflict|TooLarge|TooMany|Unavailable|New)\((?:problem\.Kind\w+, )?"([^"]+)"`)
	for _, f := range problems.FindAllStringSubmatch(goText, -1) {
		if !Has("problem." + f[1]) {
			t.Errorf("no sentence for the problem %q", f[1])
		}
	}
}
