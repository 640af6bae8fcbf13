package audit

import (
	"bytes"
	"context"
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
func variedLog(t *testing.T, size uint64) *Log {
	s, now := clockedSite(t, db.SQLite)
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
	l := variedLog(t, 300)
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

var _ = dbtest.Each
