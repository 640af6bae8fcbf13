package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// clockedSite is a site whose databases share a clock that the test moves.
func clockedSite(t *testing.T, kind db.Kind) (site, *time.Time) {
	s := newSite(t, kind)
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	s.main.Now = func() time.Time { return now }
	s.keys.Now = s.main.Now
	return s, &now
}

// variedLog is a log of exactly that many entries with every kind of thing that a verifier looks at: calls with and
// without an end, refusals, stops, erased calls, leaves and content past their term, checkpoints in between.
func variedLog(t *testing.T, kind db.Kind, size uint64) *Log {
	s, now := clockedSite(t, kind)
	l := s.open(t, "a")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	call := func(text string) uint64 {
		r, err := l.Append(t.Context(), openCall(l, text))
		must(r, err)
		must(l.Append(t.Context(), closeCall(r.N, "answer to "+text)))
		return r.N
	}
	for i := range 6 {
		call(fmt.Sprint("old ", i))
	}
	*now = now.AddDate(0, 26, 0)
	must(nil, l.Index(t.Context()))
	sum, err := l.Retain(t.Context(), Terms{Content: map[string]time.Duration{"KI-2026-001": 30 * 24 * time.Hour}, Leaf: DefaultLeafTerm})
	if must(sum, err); sum.Leaves != 12 || sum.Content != 12 || sum.Keys != 1 {
		t.Fatalf("retention did %+v", sum)
	}
	for i := uint64(0); l.Size() < size; i++ {
		*now = now.Add(time.Minute)
		switch {
		case i%17 == 5:
			r := openCall(l, "refused")
			r.Leaf.Type, r.Leaf.Verdict, r.Leaf.Code = bundle.CallRefuse, "block", "policy_blocked"
			must(l.Append(t.Context(), r))
		case i%23 == 7:
			must(l.Append(t.Context(), openCall(l, "never ended")))
		case i%29 == 11:
			must(nil, l.c.DB.Tx(t.Context(), func(tx *db.Tx) error {
				_, err := l.AppendTx(t.Context(), tx, Record{Leaf: bundle.Leaf{Type: bundle.StopOn, Object: "system/KI-2026-001"}},
					Record{Leaf: bundle.Leaf{Type: bundle.StopOff, Object: "system/KI-2026-001"}})
				return err
			}))
			must(l.RefreshEpoch(t.Context()))
		case i%31 == 13 && l.Size()+3 <= size:
			must(l.Erase(t.Context(), call("to be erased"), "Art. 17 DSGVO", "test"))
		case l.Size()+2 <= size:
			call(fmt.Sprint("call ", i))
		default:
			must(l.Append(t.Context(), openCall(l, "last")))
		}
		if i%20 == 3 {
			must(nil, l.Checkpoint(t.Context()))
		}
	}
	must(nil, l.Checkpoint(t.Context()))
	if l.Size() != size {
		t.Fatalf("the log has %d entries, not %d", l.Size(), size)
	}
	mustVerify(t, l)
	return l
}

// exportTo writes a bundle into a file and verifies it.
func exportTo(t *testing.T, l *Log, o ExportOptions) (string, *Exported) {
	t.Helper()
	var b bytes.Buffer
	x, err := l.Export(t.Context(), o, &b)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, x
}

func mustVerifyBundle(t *testing.T, path string, trust bundle.Trust) *bundle.Report {
	t.Helper()
	rep, err := bundle.Verify(context.Background(), path, trust)
	if err != nil {
		t.Fatal(err)
	}
	if !rep.OK {
		t.Fatalf("the bundle does not verify: entry %v: %s", deref(rep.FirstBad.Entry), rep.FirstBad.What)
	}
	return rep
}

// python runs the Python verifier on a path and returns its report, or skips the test where there is no Python.
func python(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(script, bundle.Verifier(), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), exe, append([]string{script}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		code = exit.ExitCode()
	}
	if strings.Contains(stderr.String(), "Traceback") {
		t.Fatalf("the Python verifier failed: %s", stderr.String())
	}
	return stdout.String(), code
}

func TestExport(t *testing.T) {
	l := variedLog(t, db.SQLite, 300)
	path, x := exportTo(t, l, ExportOptions{Version: "test", Actor: "shell:test"})
	rep := mustVerifyBundle(t, path, bundle.Trust{Keys: []string{l.VerifierKey()}})
	if rep.Size != 300 || rep.Entries != 288 || !rep.Trusted || rep.Reduced || rep.Erased == 0 || rep.Open == 0 || rep.Stops == 0 || rep.Checkpoints < 5 || rep.Covered != 300 {
		t.Errorf("report %+v", rep)
	}
	if x.Receipt == nil || x.Receipt.N != 300 {
		t.Fatalf("exported %+v", x)
	}
	v, err := l.Get(t.Context(), 1, x.Receipt.N)
	if err != nil || v.Leaf.Type != bundle.Export || !bytes.Equal(v.Leaf.Digest, x.Digest[:]) {
		t.Errorf("export entry %+v, %v", v, err)
	}
	mustVerify(t, l)
	l.Close(t.Context())
}

// bothVerify verifies a bundle with Go and Python and returns Go's report.
func bothVerify(t *testing.T, what, path string) *bundle.Report {
	t.Helper()
	rep, err := bundle.Verify(t.Context(), path, bundle.Trust{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Logf("%s: not compared with Python, there is none", what)
		return rep
	}
	out, code := python(t, "--json", path)
	var p bundle.Report
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("%s: Python answers %q", what, out)
	}
	if verdict(&p) != verdict(rep) || (code == 0) != rep.OK || rep.OK && (p.Entries != rep.Entries || p.Erased != rep.Erased || p.Sealed != rep.Sealed || p.Open != rep.Open || p.Root != rep.Root) {
		t.Errorf("%s: Go says %+v %+v, Python %+v %+v", what, rep, rep.FirstBad, p, p.FirstBad)
	}
	return rep
}

// TestExportPeriod exports parts of a log. What is gone from a part is explained by entries that came later.
func TestExportPeriod(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s, now := clockedSite(t, kind)
		l := s.open(t, "a")
		call := func(text string) Receipt {
			r, err := l.Append(t.Context(), openCall(l, text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(t.Context(), closeCall(r.N, text)); err != nil {
				t.Fatal(err)
			}
			return r
		}
		for i := range 700 { // entry 2i+1 and 2i+2 in minute 10i
			*now = time.Date(2026, 3, 2, 10, 10*i, 0, 0, time.UTC)
			call("x")
		}
		early := call("to be erased")
		for range 300 {
			call("y")
		}
		if _, err := l.Erase(t.Context(), 3, "Art. 17 DSGVO", "test"); err != nil { // entry 3 lies in the first entry bundle
			t.Fatal(err)
		}
		if err := l.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		size := mustVerify(t, l).Size
		path, x := exportTo(t, l, ExportOptions{From: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 2, 20, 0, 0, 0, time.UTC)})
		rep := bothVerify(t, "the first ten hours", path)
		// entries 121 and 122 are within the slack of the clocks
		if !rep.OK || !rep.Reduced || rep.Erased != 2 || rep.Size != size || rep.Entries == size || rep.Period.From != 0 || rep.Period.To != 123 || x.Period != *rep.Period {
			t.Errorf("the first ten hours: %+v, %+v, %+v", rep, rep.Period, rep.FirstBad)
		}
		path, _ = exportTo(t, l, ExportOptions{FromN: 600, ToN: 700})
		if rep := bothVerify(t, "a period by numbers", path); !rep.OK || !rep.Reduced || rep.Entries != 256 || rep.Period.From != 600 {
			t.Errorf("a period by numbers: %+v, %+v", rep, rep.FirstBad)
		}
		path, _ = exportTo(t, l, ExportOptions{System: "KI-2026-002"})
		if rep := bothVerify(t, "another system", path); !rep.OK || !rep.Reduced || rep.Entries != rep.Size || rep.Sealed > 10 {
			t.Errorf("another system: %+v, %+v", rep, rep.FirstBad)
		}
		path, _ = exportTo(t, l, ExportOptions{System: "KI-2026-001"})
		if rep := bothVerify(t, "one system", path); !rep.OK || !rep.Reduced || rep.Sealed < 2000 {
			t.Errorf("one system: %+v, %+v", rep, rep.FirstBad)
		}
		dir := filepath.Join(t.TempDir(), "folder")
		if _, err := l.ExportFolder(t.Context(), ExportOptions{}, dir); err != nil {
			t.Fatal(err)
		}
		if rep := bothVerify(t, "a folder", dir); !rep.OK || rep.Reduced {
			t.Errorf("a folder: %+v, %+v", rep, rep.FirstBad)
		}
		if _, err := l.ExportFolder(t.Context(), ExportOptions{}, dir); err == nil {
			t.Error("a folder that is not empty is written to")
		}
		for what, o := range map[string]ExportOptions{
			"an empty period":          {FromN: 9, ToN: 9},
			"a period after the log":   {FromN: 1 << 40},
			"a log that is not there":  {Log: 7},
			"times after the last one": {From: now.AddDate(1, 0, 0)},
		} {
			if _, err := l.Export(t.Context(), o, new(bytes.Buffer)); !errors.Is(err, ErrNothing) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if rep := mustVerify(t, l); rep.Size < size || early.N == 0 {
			t.Errorf("report %+v", rep)
		}
		l.Close(t.Context())
	})
}

// TestExportOldLog exports both logs of an installation after a fork, and a log that refuses to write.
func TestExportOldLog(t *testing.T) {
	s := newSite(t, db.SQLite)
	l := s.open(t, "a")
	for range 20 {
		if _, err := l.Append(t.Context(), openCall(l, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.c.DB.Exec(t.Context(), `DELETE FROM audit_entries WHERE n = 7`); err != nil {
		t.Fatal(err)
	}
	broken := s.open(t, "b")
	if broken.Refused() == "" {
		t.Fatal("a log without entry 7 is not refused")
	}
	path, x := exportTo(t, broken, ExportOptions{})
	if rep := bothVerify(t, "a damaged log", path); x.Receipt != nil || rep.OK || rep.FirstBad.Entry == nil {
		t.Errorf("a damaged log: %+v, %+v", x, rep.FirstBad)
	}
	broken.Close(t.Context())
	f, err := Fork(t.Context(), s.config(t, "c"), "entry 7 was deleted", "root")
	if err != nil {
		t.Fatal(err)
	}
	path, x = exportTo(t, f, ExportOptions{Log: 1})
	if rep := bothVerify(t, "the old log", path); rep.OK || rep.Origin != "leitplanke.test/1" || x.Receipt == nil || x.Receipt.Log != 2 {
		t.Errorf("the old log: %+v, %+v, %+v", x, rep, rep.FirstBad)
	}
	path, _ = exportTo(t, f, ExportOptions{})
	if rep := bothVerify(t, "the new log", path); !rep.OK || rep.Origin != "leitplanke.test/2" || rep.Size != 2 {
		t.Errorf("the new log: %+v, %+v", rep, rep.FirstBad)
	}
	mustVerify(t, f)
	f.Close(t.Context())
}
