package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

// soakFlips names the environment variable that makes the flip tests try every byte ("all") or a sample of that size,
// with other random choices for each size.
const soakFlips = "LEITPLANKE_SOAK_FLIPS"

// flipSample is how many flips each test tries without it.
const flipSample = 2000

// sampled picks flipSample of n cases, or what soakFlips asks for.
func sampled(t *testing.T, n int) []int {
	size := flipSample
	switch env := os.Getenv(soakFlips); env {
	case "":
	case "all":
		size = n
	default:
		var err error
		if size, err = strconv.Atoi(env); err != nil || size < 1 {
			t.Fatalf("%s is %q, neither a number nor \"all\"", soakFlips, env)
		}
	}
	return rand.New(rand.NewPCG(1, uint64(size))).Perm(n)[:min(n, size)]
}

// pythonFlips is a running Python verifier that answers one case after another.
type pythonFlips struct {
	in  *bufio.Writer
	out *bufio.Scanner
}

func startPython(t *testing.T, path string) *pythonFlips {
	exe, err := exec.LookPath("python3")
	if err != nil {
		return nil
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(script, bundle.Verifier(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, filepath.Join("testdata", "flips.py"), script, path)
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
	return &pythonFlips{bufio.NewWriter(in), bufio.NewScanner(out)}
}

func verdict(rep *bundle.Report) string {
	n := "-"
	if rep.FirstBad != nil && rep.FirstBad.Entry != nil {
		n = fmt.Sprint(*rep.FirstBad.Entry)
	}
	if rep.OK {
		return "1 " + n
	}
	return "0 " + n
}

// TestBundleFlips flips one bit of a bundle at a time. Every flip is found, entries are named where the flip is in one,
// and the Python verifier agrees.
func TestBundleFlips(t *testing.T) {
	l := variedLog(t, db.SQLite, 300)
	path, _ := exportTo(t, l, ExportOptions{Version: "test"})
	l.Close(t.Context())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	owner := owners(t, good)
	cases := sampled(t, len(good))
	rng := rand.New(rand.NewPCG(3, 4))
	spoiled := filepath.Join(t.TempDir(), "spoiled.zip")
	if err := os.WriteFile(spoiled, good, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(spoiled, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	check := func() string {
		rep, err := bundle.Verify(context.Background(), spoiled, bundle.Trust{})
		if err != nil {
			t.Fatal(err)
		}
		if rep.OK == (rep.FirstBad != nil) || !rep.OK && rep.FirstBad.What == "" {
			t.Errorf("report %+v", rep)
		}
		return verdict(rep)
	}
	if v := check(); v != "1 -" {
		t.Fatalf("the bundle as it is: %s", v)
	}
	var lines bytes.Buffer
	fmt.Fprintln(&lines, "- 0")
	want := []string{"1 -"}
	named := 0
	for _, at := range cases {
		bit := rng.IntN(8)
		if _, err := f.WriteAt([]byte{good[at] ^ 1<<bit}, int64(at)); err != nil {
			t.Fatal(err)
		}
		v := check()
		if _, err := f.WriteAt(good[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
		if v[0] != '0' {
			t.Errorf("byte %d, bit %d: not found", at, bit)
		}
		if o := owner[at]; o >= 0 {
			named++
			if v != fmt.Sprint("0 ", o) {
				t.Errorf("byte %d, bit %d lies in entry %d, the verdict is %q", at, bit, o, v)
			}
		}
		fmt.Fprintln(&lines, at, bit)
		want = append(want, v)
	}
	if named == 0 {
		t.Error("no flip was in an entry")
	}
	t.Logf("%d flips, %d of them in entries", len(cases), named)
	p := startPython(t, path)
	if p == nil {
		t.Skip("Go has found all; no python3 to compare with")
	}
	go func() {
		p.in.Write(lines.Bytes())
		p.in.Flush()
	}()
	for i, w := range want {
		if !p.out.Scan() {
			t.Fatalf("Python answered %d of %d cases", i, len(want))
		}
		if got := p.out.Text(); got != w {
			t.Errorf("case %d: Go says %q, Python %q", i, w, got)
		}
	}
}

// owners tells for each byte of a bundle which entry a verifier has to name when it changes, -1 where it is none.
func owners(t *testing.T, b []byte) []int {
	owner := make([]int, len(b))
	for i := range owner {
		owner[i] = -1
	}
	names := 0
	at := 0
	for bytes.HasPrefix(b[at:], []byte("PK\x03\x04")) {
		size := int(b[at+22]) | int(b[at+23])<<8 | int(b[at+24])<<16
		nameLen := int(b[at+26])
		name := string(b[at+30 : at+30+nameLen])
		at += 30 + nameLen
		n := 0
		if strings.Contains(name, "/001") {
			n = 256
		}
		switch content := b[at : at+size]; {
		case strings.HasPrefix(name, "tile/entries/"):
			for pos := 0; pos < size; n++ {
				end := pos + 2 + int(content[pos])<<8 + int(content[pos+1])
				for ; pos < end; pos++ {
					owner[at+pos] = n
				}
				names++
			}
		case strings.HasPrefix(name, "tile/0/"):
			for pos := range content {
				if k := n + pos/32; k == 0 || k > 12 { // the leaves 1 to 12 are gone: their hashes are found by the tree
					owner[at+pos] = k
				}
			}
		case strings.HasPrefix(name, "tile/1/"):
			for pos := range content {
				owner[at+pos] = pos / 32 * 256
			}
		case strings.HasPrefix(name, "payloads/sealed/"):
			for pos := 0; pos < size; n++ {
				end := pos + 1
				if content[pos] == 'S' {
					salt := int(content[pos+1])
					k := content[pos+2+salt:]
					end = pos + 2 + salt + 4 + (int(k[0])<<24 | int(k[1])<<16 | int(k[2])<<8 | int(k[3]))
				}
				for ; pos < end; pos++ {
					owner[at+pos] = n
				}
			}
		}
		at += size
	}
	if names != 300 {
		t.Fatalf("%d entries in the bundle", names)
	}
	return owner
}

var errRollback = errors.New("rolled back")

// spoil runs one statement in a transaction, verifies the log as that transaction sees it, and rolls back. A statement
// that the database refuses gives no report.
func spoil(t *testing.T, l *Log, mark, query string, args ...any) (rep *bundle.Report) {
	t.Helper()
	err := l.c.DB.Tx(t.Context(), func(tx *db.Tx) error {
		if query != "" {
			if _, err := tx.ExecContext(t.Context(), query, args...); err != nil {
				return errRollback
			}
		}
		rep = stored.VerifyTx(t.Context(), tx, l.log, l.vkey, mark, bundle.Trust{})
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		t.Fatal(err)
	}
	return rep
}

// dbFlip is one changed value in the database.
type dbFlip struct {
	query string
	args  []any
	entry int64  // that has to be named; -1: some entry or none
	what  string // for messages
}

// dbFlips lists, for every value of the entry, tile, checkpoint and head tables, each of its bytes with one random bit
// flipped, and other spoiled values: NULL and another type.
func dbFlips(t *testing.T, l *Log) (flips []dbFlip) {
	rng := rand.New(rand.NewPCG(5, 6))
	tables := []struct {
		table, where string
		keys         []string // of the primary key
		columns      []string
		entry        func(column string, key []int64, at int) int64
	}{
		{
			"audit_entries", "log = $2 AND n = $3",
			[]string{"log", "n"},
			[]string{"log", "n", "opening", "leaf_hash", "leaf", "key", "salt", "sealed"},
			func(_ string, key []int64, _ int) int64 { return key[1] },
		},
		{
			"audit_tiles", "log = $2 AND level = $3 AND n = $4",
			[]string{"log", "level", "n"},
			[]string{"log", "level", "n", "hashes"},
			func(column string, key []int64, at int) int64 {
				if column != "hashes" || at < 0 {
					return -1
				}
				return (key[2]*256 + int64(at)/32) << (8 * key[1])
			},
		},
		{
			"audit_checkpoints", "log = $2 AND size = $3",
			[]string{"log", "size"},
			[]string{"log", "size", "note"},
			func(string, []int64, int) int64 { return -1 },
		},
		{
			"audit_head", "log = $2",
			[]string{"log"},
			[]string{"log", "origin", "size", "epoch", "root", "peaks"},
			func(string, []int64, int) int64 { return -1 },
		},
	}
	for _, tab := range tables {
		rows, err := l.c.DB.Read().Query("SELECT " + strings.Join(append(append([]string{}, tab.keys...), tab.columns...), ", ") + " FROM " + tab.table)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for rows.Next() {
			count++
			key := make([]int64, len(tab.keys))
			values := make([]any, len(tab.columns))
			var into []any
			for i := range key {
				into = append(into, &key[i])
			}
			for i := range values {
				into = append(into, &values[i])
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			for i, column := range tab.columns {
				add := func(v any, at int, what string) {
					args := []any{v}
					for _, k := range key {
						args = append(args, k)
					}
					flips = append(flips, dbFlip{
						"UPDATE " + tab.table + " SET " + column + " = $1 WHERE " + tab.where, args, tab.entry(column, key, at),
						fmt.Sprintf("%s %v %s %s", tab.table, key, column, what),
					})
				}
				switch v := values[i].(type) {
				case nil:
					add(int64(7), -1, "set")
				case int64:
					for at := range 8 {
						add(v^1<<(8*at+rng.IntN(8)), -1, fmt.Sprint("byte ", at))
					}
					add("x", -1, "text")
					add(nil, -1, "NULL")
				case []byte, string:
					b := []byte(fmt.Sprintf("%s", v))
					for at := range b {
						c := bytes.Clone(b)
						c[at] ^= 1 << rng.IntN(8)
						if _, ok := v.(string); ok {
							add(string(c), at, fmt.Sprint("byte ", at))
						} else {
							add(c, at, fmt.Sprint("byte ", at))
						}
					}
					add(nil, -1, "NULL")
					add(int64(12), -1, "number")
					if len(b) > 0 {
						add(b[:len(b)-1], -1, "cut")
						add([]byte{}, -1, "emptied")
					}
				default:
					t.Fatalf("%s has a %T", column, v)
				}
			}
		}
		if err := rows.Err(); err != nil || count == 0 {
			t.Fatalf("%s: %d rows, %v", tab.table, count, err)
		}
	}
	for i := range flips {
		// Entry 14 says why the leaves 1 to 12 are gone. Where its own leaf is removed, the first entry that lacks a reason is 1.
		if f := &flips[i]; f.what == "audit_entries [1 14] leaf NULL" || f.what == "audit_entries [1 14] leaf emptied" {
			f.entry = 1
		}
	}
	return flips
}

// TestDatabaseFlips changes one value in the database at a time: every change is refused by the database or found, and
// the entry is named.
func TestDatabaseFlips(t *testing.T) {
	dbtest.Each(t, testDatabaseFlips)
}

func testDatabaseFlips(t *testing.T, kind db.Kind) {
	l := variedLog(t, kind, 300)
	mark, err := stored.ReadMark(l.c.Mark)
	if err != nil {
		t.Fatal(err)
	}
	if rep := spoil(t, l, mark, ""); !rep.OK {
		t.Fatalf("as it is: %s", rep.FirstBad.What)
	}
	flips := dbFlips(t, l)
	refused, named, cases := 0, 0, sampled(t, len(flips))
	if kind == db.Postgres && len(cases) > flipSample/4 {
		cases = cases[:flipSample/4] // the same checks over slower queries
	}
	for _, i := range cases {
		f := flips[i]
		rep := spoil(t, l, mark, f.query, f.args...)
		switch {
		case rep == nil:
			refused++
		case rep.OK:
			t.Errorf("%s: not found", f.what)
		case f.entry >= 0 && (rep.FirstBad.Entry == nil || *rep.FirstBad.Entry != uint64(f.entry)):
			t.Errorf("%s: named entry %v instead of %d: %s", f.what, deref(rep.FirstBad.Entry), f.entry, rep.FirstBad.What)
		case rep.FirstBad.What == "":
			t.Errorf("%s: nothing is said", f.what)
		case f.entry >= 0:
			named++
		}
	}
	if named == 0 || refused > len(cases)/4 {
		t.Errorf("%d named, %d refused", named, refused)
	}
	t.Logf("%d of %d changes, %d named an entry, %d refused by the database", len(cases), len(flips), named, refused)

	for i := range mark { // every byte of the mark
		b := []byte(mark)
		b[i] ^= 1 << (i % 8)
		if rep := spoil(t, l, string(b), ""); rep.OK || !strings.Contains(rep.FirstBad.What, "mark") {
			t.Errorf("byte %d of the mark: %+v", i, rep.FirstBad)
		}
	}
	for n := range 300 { // every entry deleted
		rep := spoil(t, l, mark, `DELETE FROM audit_entries WHERE n = $1`, n)
		if rep.OK || rep.FirstBad.Entry == nil || *rep.FirstBad.Entry != uint64(n) {
			t.Errorf("entry %d deleted: %+v", n, rep.FirstBad)
		}
	}
	l.Close(t.Context())
}

// TestSecondRoot signs two roots for one size: the second is not filed, and one that stands in the table is named.
func TestSecondRoot(t *testing.T) {
	l := variedLog(t, db.SQLite, 40)
	mark, err := stored.ReadMark(l.c.Mark)
	if err != nil {
		t.Fatal(err)
	}
	other, err := bundle.Checkpoint{Origin: l.origin, Size: 40, Root: bundle.LeafHash([]byte("another tree"))}.Sign(l.signer)
	if err != nil {
		t.Fatal(err)
	}
	rep := spoil(t, l, mark, `UPDATE audit_checkpoints SET note = $1 WHERE size = 40`, other)
	if rep.OK || rep.FirstBad.Entry == nil || *rep.FirstBad.Entry != 39 || !strings.Contains(rep.FirstBad.What, "another root") {
		t.Errorf("a second root in the table: %+v", rep.FirstBad)
	}
	if rep := spoil(t, l, other, ""); rep.OK || !strings.Contains(rep.FirstBad.What, "another root") {
		t.Errorf("a second root in the mark: %+v", rep.FirstBad)
	}
	path, _ := exportTo(t, l, ExportOptions{})
	trusted, err := bundle.ParseTrust([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	found, err := bundle.Verify(t.Context(), path, trusted)
	if err != nil || found.OK || found.Trusted || found.FirstBad.Entry == nil || *found.FirstBad.Entry != 39 {
		t.Errorf("a second root kept by an auditor: %+v, %v", found, err)
	}
	if err := l.storeCheckpoint(t.Context(), 40, other); err == nil || l.Refused() == "" {
		t.Errorf("a second root was filed: %v", err)
	}
	l.Close(t.Context())
}
