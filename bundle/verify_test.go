package bundle

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// verdictOf is ok and entry, as Go and Python have to agree on it.
func verdictOf(r *Report) string {
	if r.OK {
		return "ok"
	}
	if r.FirstBad.Entry == nil {
		return "bad -"
	}
	return fmt.Sprintf("bad %d", *r.FirstBad.Entry)
}

// python runs verify.py on a bundle; ok is false where there is no Python.
func python(t *testing.T, args ...string) (out string, code int, ok bool) {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		return "", 0, false
	}
	cmd := exec.CommandContext(t.Context(), exe, append([]string{"verify.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed || strings.Contains(stderr.String(), "Traceback") {
		t.Fatalf("verify.py: %v\n%s", err, stderr.String())
	}
	if failed {
		code = exit.ExitCode()
	}
	return string(b), code, true
}

// agree compares both verifiers on one bundle and returns Go's report.
func agree(t *testing.T, what, path, trustFile string) *Report {
	t.Helper()
	var trust Trust
	args := []string{"--json"}
	if trustFile != "" {
		b, err := os.ReadFile(trustFile)
		if err != nil {
			t.Fatal(err)
		}
		if trust, err = ParseTrust(b); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--trust", trustFile)
	}
	r, err := Verify(t.Context(), path, trust)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	out, code, ok := python(t, append(args, path)...)
	if !ok {
		return r
	}
	var p Report
	if err := decodeLoose([]byte(out), &p); err != nil {
		t.Fatalf("%s: verify.py answers %q: %v", what, out, err)
	}
	if verdictOf(&p) != verdictOf(r) || code != map[bool]int{true: 0, false: 1}[r.OK] {
		t.Errorf("%s: Go says %+v, Python %+v, exit %d", what, r.FirstBad, p.FirstBad, code)
	}
	if r.OK {
		if a, b := fmt.Sprintf("%+v %+v", deref(r.Period), zeroed(r)), fmt.Sprintf("%+v %+v", deref(p.Period), zeroed(&p)); a != b {
			t.Errorf("%s: reports differ\nGo     %s\nPython %s", what, a, b)
		}
	}
	return r
}

// pythonVerdicts starts one Python process that answers a path with a verdict; it returns nil where there is no Python.
func pythonVerdicts(t *testing.T) func(path string) string {
	exe, err := exec.LookPath("python3")
	if err != nil {
		return nil
	}
	cmd := exec.CommandContext(t.Context(), exe, filepath.Join("testdata", "verdicts.py"), "verify.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait() // its answers were read
	})
	lines := bufio.NewScanner(out)
	return func(path string) string {
		if _, err := fmt.Fprintln(in, path); err != nil || !lines.Scan() {
			t.Fatalf("Python gives no answer: %v", err)
		}
		return lines.Text()
	}
}

func deref(s *Span) Span {
	if s == nil {
		return Span{}
	}
	return *s
}

func zeroed(r *Report) Report {
	c := *r
	c.Period = nil
	return c
}

func TestVerify(t *testing.T) {
	ran := 0
	for _, n := range []int{1, 2, 255, 256, 257, 600} {
		l := newTestLog(t, n, 40)
		b := l.zip(t, Manifest{})
		r := agree(t, fmt.Sprint(n, " entries"), inFile(t, b), "")
		if !r.OK || r.Entries != uint64(n) || r.Covered != uint64(n) || r.Sealed != uint64(n-1) || r.Trusted || r.Reduced {
			t.Errorf("%d entries: %+v, %+v", n, r, r.FirstBad)
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b))) // others read it too
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			rc, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, rc); err != nil { // checks the CRC
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		dir := filepath.Join(t.TempDir(), "folder")
		if err := l.plan(t, Manifest{}).WriteFolder(dir); err != nil {
			t.Fatal(err)
		}
		if r := agree(t, fmt.Sprint(n, " entries in a folder"), dir, ""); !r.OK {
			t.Errorf("%d entries in a folder: %+v", n, r.FirstBad)
		}
		ran++
	}
	if ran == 0 {
		t.Fatal("no case ran")
	}
	if _, err := Verify(t.Context(), filepath.Join(t.TempDir(), "missing.zip"), Trust{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing path: %v", err)
	}
	if _, code, ok := python(t, filepath.Join(t.TempDir(), "missing.zip")); ok && code != 2 {
		t.Errorf("a missing path: verify.py exits with %d", code)
	}
}

func TestVerifyPeriod(t *testing.T) {
	l := newTestLog(t, 1000, 40)
	path := inFile(t, l.zip(t, Manifest{From: 300, To: 520, Reduced: true}))
	r := agree(t, "a period", path, "")
	if !r.OK || !r.Reduced || r.Entries != 512 || r.Covered != 1000 || deref(r.Period) != (Span{300, 520}) {
		t.Errorf("a period: %+v, %+v", r, r.FirstBad)
	}
	first, _, _ := strings.Cut(string(readmeFor(&Manifest{Reduced: true}, "")), "\n")
	if !strings.Contains(first, "Teil") {
		t.Errorf("a reduced bundle begins with %q", first)
	}
}

// TestVerifyFiles spoils a bundle file by file, with a manifest that is signed anew and without.
func TestVerifyFiles(t *testing.T) {
	l := newTestLog(t, 300, 40)
	dir := filepath.Join(t.TempDir(), "good")
	if err := l.plan(t, Manifest{}).WriteFolder(dir); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			files = append(files, rel)
		}
		return err
	})
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	py := pythonVerdicts(t)
	for _, f := range files {
		p := filepath.Join(dir, f)
		good, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for what, spoil := range map[string]func() error{
			"deleted":   func() error { return os.Remove(p) },
			"emptied":   func() error { return os.WriteFile(p, nil, 0o600) },
			"longer":    func() error { return os.WriteFile(p, append(bytes.Clone(good), 'x'), 0o600) },
			"a symlink": func() error { os.Remove(p); return os.Symlink(os.DevNull, p) },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			r, err := Verify(t.Context(), dir, Trust{})
			if err != nil {
				t.Fatal(err)
			}
			if py != nil {
				if v := py(dir); v != verdictOf(r) {
					t.Errorf("%s %s: Go says %q, Python %q", f, what, verdictOf(r), v)
				}
			}
			if r.OK || !strings.Contains(r.FirstBad.What, filepath.Base(filepath.Dir(p))) && !strings.Contains(r.FirstBad.What, filepath.Base(p)) {
				t.Errorf("%s %s: %+v", f, what, r.FirstBad)
			}
			os.Remove(p)
			if err := os.WriteFile(p, good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	extra := filepath.Join(dir, "tile", "extra")
	if err := os.WriteFile(extra, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := agree(t, "an extra file", dir, ""); r.OK || !strings.Contains(r.FirstBad.What, "tile/extra") {
		t.Errorf("an extra file: %+v", r.FirstBad)
	}
}

// TestVerifyResigned changes files of a bundle and signs its manifest anew, as whoever has the key could: what does not
// follow from the checkpoints is found all the same.
func TestVerifyResigned(t *testing.T) {
	cases := []struct {
		what, path string
		change     func(b []byte) []byte
		want       string
	}{
		{"a leaf", "tile/entries/000", func(b []byte) []byte { b[700] ^= 1; return b }, ""},
		{"a sealed part", "payloads/sealed/000", func(b []byte) []byte { b[60] ^= 1; return b }, "bad 1"},
		{"a part dropped", "payloads/sealed/000", func(b []byte) []byte { return append([]byte("--"), b[1+1+1+32+4+40:]...) }, "bad 1"},
		{"a part omitted", "payloads/sealed/000", func(b []byte) []byte { return append([]byte("-O"), b[1+1+1+32+4+40:]...) }, "bad 1"},
		{"a hash", "tile/0/001.p/44", func(b []byte) []byte { b[33] ^= 1; return b }, "bad 257"},
		{"a hash above", "tile/1/000.p/1", func(b []byte) []byte { b[3] ^= 1; return b }, "bad 0"},
		{"a checkpoint", "checkpoints/150", func(b []byte) []byte { return bytes.Replace(b, []byte("\n150\n"), []byte("\n151\n"), 1) }, "bad 149"},
		{"a trailing byte of the entries", "tile/entries/001.p/44", func(b []byte) []byte { return append(b, 0) }, "bad 300"},
		{"a trailing byte of the parts", "payloads/sealed/001.p/44", func(b []byte) []byte { return append(b, '-') }, "bad 300"},
		{"a leaf dropped", "tile/entries/001.p/44", func(b []byte) []byte {
			n := int(b[0])<<8 | int(b[1])
			return append(uint16Bytes(0), b[2+n:]...)
		}, "bad 256"},
	}
	for _, c := range cases {
		l := newTestLog(t, 300, 40)
		found := false
		l.changed = func(path string, b []byte) []byte {
			if path == c.path {
				found = true
				return c.change(bytes.Clone(b))
			}
			return b
		}
		r := agree(t, c.what, inFile(t, l.zip(t, Manifest{})), "")
		if !found {
			t.Fatalf("%s: no file %s", c.what, c.path)
		}
		if r.OK || c.want != "" && verdictOf(r) != c.want {
			t.Errorf("%s: %s, %+v", c.what, verdictOf(r), r.FirstBad)
		}
	}
	l := newTestLog(t, 300, 40) // two roots for one size
	other := newTestLog(t, 300, 41)
	l.changed = func(path string, b []byte) []byte {
		if path == "checkpoints/150" {
			return []byte(other.checkpoint(t, 150))
		}
		return b
	}
	if r := agree(t, "two roots", inFile(t, l.zip(t, Manifest{})), ""); verdictOf(r) != "bad 149" || !strings.Contains(r.FirstBad.What, "another root") {
		t.Errorf("two roots for one size: %+v", r.FirstBad)
	}
}

func TestTruncated(t *testing.T) {
	b := newTestLog(t, 20, 40).zip(t, Manifest{})
	step := max(1, len(b)/200)
	for n := 0; n < len(b); n += step {
		r, err := Verify(t.Context(), inFile(t, b[:n]), Trust{})
		if err != nil || r.OK || r.FirstBad.What == "" {
			t.Errorf("cut to %d bytes: %+v, %v", n, r, err)
		}
	}
	if r := agree(t, "a byte more", inFile(t, append(bytes.Clone(b), 0)), ""); r.OK {
		t.Error("a byte more is accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := Verify(ctx, inFile(t, b), Trust{}); err != nil || r.OK {
		t.Errorf("stopped: %+v, %v", r, err)
	}
}

func TestTrust(t *testing.T) {
	l := newTestLog(t, 300, 40)
	path := inFile(t, l.zip(t, Manifest{}))
	_, wrong := testSigner(t, testOrigin, "another key")
	strangerSigner, stranger := testSigner(t, "elsewhere.test/1", "another key")
	_, sameKey := testSigner(t, "leitplanke.test/2", "log")
	elsewhere, err := Checkpoint{Origin: "elsewhere.test/1", Size: 5}.Sign(strangerSigner)
	if err != nil {
		t.Fatal(err)
	}
	longer := newTestLog(t, 301, 40)
	other := newTestLog(t, 300, 41)
	for _, c := range []struct {
		what, file  string
		ok, trusted bool
	}{
		{"nothing", "# nothing\n", true, false},
		{"the key", "# key\n\n" + l.vkey + "\n", true, true},
		{"the key under the name of another log", sameKey + "\n", true, true},
		{"the key and an older one", wrong + "\n" + l.vkey + "\n", true, true},
		{"another key of this name", wrong + "\n", false, false},
		{"the key of another log", stranger + "\n", false, false},
		{"a kept checkpoint", l.checkpoint(t, 77), true, true},
		{"the last checkpoint and others", stranger + "\n" + elsewhere + "\n" + l.checkpoint(t, 300) + "\n" + l.checkpoint(t, 3), true, true},
		{"a checkpoint of another tree", other.checkpoint(t, 77), false, false},
		{"a checkpoint of another tree beside the key", l.vkey + "\n" + other.checkpoint(t, 77), false, false},
		{"a newer checkpoint", longer.checkpoint(t, 301), false, false},
		{"a checkpoint of another log", elsewhere, false, false},
		{"a spoiled checkpoint", strings.Replace(l.checkpoint(t, 77), "\n77\n", "\n78\n", 1), false, false},
	} {
		file := filepath.Join(t.TempDir(), "trust")
		if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := agree(t, c.what, path, file); r.OK != c.ok || r.Trusted != c.trusted {
			t.Errorf("%s: ok %v, trusted %v, %+v", c.what, r.OK, r.Trusted, r.FirstBad)
		}
	}
	for _, bad := range []string{"x", l.vkey + "x", "a\n1\nb\n", "a\n1\nb\n\n— x\n", strings.Repeat("#\n", maxSmall)} {
		if tr, err := ParseTrust([]byte(bad)); err == nil {
			t.Errorf("%.30q is read as %+v", bad, tr)
		}
	}
}

// TestResignedFlips flips one bit of a file that the tree or the leaves cover, and signs the manifest anew: every flip is
// found without the manifest's help, and both verifiers name the same entry.
func TestResignedFlips(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	l := newTestLog(t, 300, 8)
	var paths, want []string
	dir := t.TempDir()
	for _, path := range []string{"tile/entries/000", "tile/entries/001.p/44", "payloads/sealed/000", "payloads/sealed/001.p/44", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "checkpoint", "checkpoints/150"} {
		for i := range 25 {
			l.changed = func(name string, b []byte) []byte {
				if name != path {
					return b
				}
				b = bytes.Clone(b)
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				return b
			}
			file := filepath.Join(dir, fmt.Sprintf("%d.zip", len(paths)))
			if err := os.WriteFile(file, l.zip(t, Manifest{}), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Verify(t.Context(), file, Trust{})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK {
				t.Errorf("%s, case %d: not found", path, i)
			}
			if r.FirstBad != nil && r.FirstBad.Entry == nil && path != "checkpoint" {
				t.Errorf("%s, case %d: no entry is named: %s", path, i, r.FirstBad.What)
			}
			paths, want = append(paths, file), append(want, verdictOf(r))
		}
	}
	py := pythonVerdicts(t)
	if py == nil {
		t.Skip("Go has found all; no python3 to compare with")
	}
	for i := range want {
		if got := py(paths[i]); got != want[i] {
			t.Errorf("case %d: Go says %q, Python %q", i, want[i], got)
		}
	}
}

// TestOldBundle verifies a bundle as the first release wrote it: the proof has to outlive the product that made it.
func TestOldBundle(t *testing.T) {
	path := filepath.Join("testdata", "v1.zip")
	if *update {
		if err := os.WriteFile(path, newTestLog(t, 3, 16).zip(t, Manifest{}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r := agree(t, "a bundle of the first release", path, ""); !r.OK || r.Size != 3 || r.Sealed != 2 || r.Root != "V8OTQGvWVymyGiQTvV6ac2qXNPERWNaCrKEAURtt3RQ=" {
		t.Errorf("%+v, %+v", r, r.FirstBad)
	}
}

// TestPythonVersion: the verifier needs nothing that Python 3.8 does not have, and nothing but the standard library.
func TestPythonVersion(t *testing.T) {
	exe, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	const program = `import ast, sys
tree = ast.parse(open("verify.py", encoding="utf-8").read(), feature_version=(3, 8))
names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names} | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
print(",".join(sorted(names)))`
	out, err := exec.CommandContext(t.Context(), exe, "-c", program).CombinedOutput()
	if want := "base64,bisect,hashlib,json,os,re,stat,struct,sys,zlib"; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("it imports %s, %v", out, err)
	}
}
