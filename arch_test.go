package leitplanke

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/leitplanke/leitplanke/"

// The map of the house in ARCHITECTURE.md is executable: this test fails on any import arrow more or less than the block
// "imports" shows, on a table that is named in the SQL of a package other than its owner in the block "tables", and on a
// package that breaks a rule of the house.

type pkg struct {
	dir     string
	imports map[string]bool // of this module, without the module's path
	strings []string        // string literals
	lines   int
	doc     bool
}

func packages(t *testing.T) map[string]*pkg {
	pkgs := map[string]*pkg{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); (err == nil && path != ".") || d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "docs" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		p := pkgs[dir]
		if p == nil {
			p = &pkg{dir: dir, imports: map[string]bool{}}
			pkgs[dir] = p
		}
		p.lines += bytes.Count(src, []byte("\n"))
		p.doc = p.doc || f.Doc != nil
		for _, i := range f.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			if rest, ok := strings.CutPrefix(name, module); ok {
				p.imports[rest] = true
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					p.strings = append(p.strings, s)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 10 {
		t.Fatalf("only %d packages were found", len(pkgs))
	}
	return pkgs
}

// block returns the lines of a fenced block of ARCHITECTURE.md.
func block(t *testing.T, name string) []string {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```"+name+"\n")
	body, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatalf("ARCHITECTURE.md has no block %q", name)
	}
	return strings.Split(strings.TrimSpace(body), "\n")
}

func TestImports(t *testing.T) {
	want := map[string][]string{}
	for _, line := range block(t, "imports") {
		from, to, ok := strings.Cut(line, "→")
		if !ok {
			t.Fatalf("line %q of the block imports has no arrow", line)
		}
		want[strings.TrimSpace(from)] = strings.Fields(to)
	}
	short := func(dir string) string { return strings.TrimPrefix(dir, "internal/") }
	pkgs := packages(t)
	for dir, p := range pkgs {
		var have []string
		for i := range p.imports {
			have = append(have, short(i))
		}
		slices.Sort(have)
		if list, ok := want[short(dir)]; !ok {
			t.Errorf("%s is not in the block imports; its line is: %s → %s", dir, short(dir), strings.Join(have, " "))
		} else if slices.Sort(list); !slices.Equal(list, have) {
			t.Errorf("%s imports\n  %s\nthe block says\n  %s", dir, strings.Join(have, " "), strings.Join(list, " "))
		}
		delete(want, short(dir))
	}
	for dir := range want {
		t.Errorf("%s is in the block imports, but there is no such package", dir)
	}
}

func TestTables(t *testing.T) {
	owner := map[string]string{}
	for _, line := range block(t, "tables") {
		who, tables, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("line %q of the block tables has no colon", line)
		}
		for _, name := range strings.Fields(tables) {
			owner[name] = "internal/" + strings.TrimSpace(who)
		}
	}
	created := regexp.MustCompile(`CREATE TABLE (\w+)`)
	files, err := filepath.Glob("internal/db/migrations/*/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range created.FindAllStringSubmatch(string(text), -1) {
			n++
			if owner[m[1]] == "" {
				t.Errorf("%s creates %s, which the block tables does not name", f, m[1])
			}
		}
	}
	if n != len(owner) {
		t.Errorf("the migrations create %d tables, the block names %d", n, len(owner))
	}
	verb := regexp.MustCompile(`(?i)\b(FROM|JOIN|INTO|UPDATE)\s+(\w+)`)
	for dir, p := range packages(t) {
		for _, s := range p.strings {
			for _, m := range verb.FindAllStringSubmatch(s, -1) {
				if o := owner[m[2]]; o != "" && o != dir && !strings.HasPrefix(dir, o+"/") {
					t.Errorf("%s names the table %s, which belongs to %s", dir, m[2], o)
				}
			}
		}
	}
}

func TestHouseRules(t *testing.T) {
	forbidden := []string{"models", "types", "util", "utils", "common", "helper", "helpers", "manager", "service", "services", "base", "core", "shared", "domain", "ports", "adapters"}
	pure := []string{"internal/chat", "internal/guard", "internal/guard/pii", "internal/guard/secret", "internal/rawjson"}
	for dir, p := range packages(t) {
		name := filepath.Base(dir)
		if slices.Contains(forbidden, name) {
			t.Errorf("%s: a package is named after the domain, not %q", dir, name)
		}
		if p.lines > 3000 && dir != "internal/ui" {
			t.Errorf("%s has %d lines, at most 3,000", dir, p.lines)
		}
		if !p.doc {
			t.Errorf("%s has no package comment", dir)
		}
		if slices.Contains(pure, dir) {
			for _, s := range p.strings { // import paths are string literals too
				if s == "net/http" || s == "os" || s == "database/sql" {
					t.Errorf("%s is a pure engine and imports %s", dir, s)
				}
			}
		}
		if strings.HasPrefix(dir, "internal/") && dir != "internal/db" && dir != "internal/db/dbtest" {
			for _, s := range p.strings {
				if s == "modernc.org/sqlite" || strings.HasPrefix(s, "github.com/jackc/pgx") {
					t.Errorf("%s imports a driver; only internal/db does", dir)
				}
			}
		}
	}
	if _, err := os.Stat("internal/gateway/gateway.go"); err != nil {
		t.Error(err)
	}
}
