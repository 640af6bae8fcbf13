package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

func TestErase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		l := s.open(t, "a")
		call := func(body string) Receipt {
			r, err := l.Append(t.Context(), openCall(l, body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(t.Context(), closeCall(r.N, "answer to "+body)); err != nil {
				t.Fatal(err)
			}
			return r
		}
		gone, kept := call("marker-gone"), call("marker-kept")
		sealed := func(n uint64) []byte {
			var b []byte
			if err := l.c.DB.Read().QueryRow(`SELECT sealed FROM audit_entries WHERE log = 1 AND n = $1`, int64(n)).Scan(&b); err != nil {
				t.Fatal(err)
			}
			return b
		}
		cipher, cipherKept := sealed(gone.N), sealed(kept.N)

		reader, err := l.c.DB.Read().BeginTx(t.Context(), nil) // a reader with an old snapshot
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := reader.QueryRow(`SELECT COUNT(*) FROM audit_entries`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		e, err := l.Erase(t.Context(), gone.N, "Art. 17 DSGVO", "shell:test")
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Entries) != 2 {
			t.Errorf("erased entries %v", e.Entries)
		}
		if kind == db.SQLite && e.Clean {
			t.Error("the write-ahead log was emptied although a reader needs it")
		}
		reader.Rollback()
		if _, err := l.Retain(t.Context(), Terms{}); err != nil { // finishes the work
			t.Fatal(err)
		}
		if _, err := l.Unseal(t.Context(), 1, gone.N); !errors.Is(err, ErrKeyDestroyed) {
			t.Errorf("the erased call opens: %v", err)
		}
		if part, err := l.Unseal(t.Context(), 1, kept.N); err != nil || string(part.Get(bundle.FieldRequest)) != "marker-kept" {
			t.Errorf("the other call: %v", err)
		}
		if rep := mustVerify(t, l); rep.Erased != 2 {
			t.Errorf("report %+v", rep)
		}
		if kind == db.SQLite {
			backup := filepath.Join(t.TempDir(), "backup.db")
			if err := l.c.DB.VacuumInto(t.Context(), backup); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{s.main.Path, s.main.Path + "-wal", backup} {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(b, cipher[20:120]) {
					t.Errorf("%s still holds the erased ciphertext", filepath.Base(file))
				}
				if filepath.Ext(file) == ".db" && !bytes.Contains(b, cipherKept[20:120]) {
					t.Errorf("%s does not hold the other ciphertext: the search finds nothing", filepath.Base(file))
				}
			}
		}
		l.Close(t.Context())
	})
}

func TestRetain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		s.main.Now = func() time.Time { return now }
		s.keys.Now = s.main.Now
		l := s.open(t, "a")
		for range 3 {
			r, err := l.Append(t.Context(), openCall(l, "old"))
			if err != nil {
				t.Fatal(err)
			}
			l.Append(t.Context(), closeCall(r.N, "old"))
		}
		now = now.AddDate(0, 0, 29)
		if _, err := l.Append(t.Context(), openCall(l, "young")); err != nil {
			t.Fatal(err)
		}
		now = now.AddDate(0, 0, 3)
		if err := l.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		terms := Terms{Content: map[string]time.Duration{"KI-2026-001": 30 * 24 * time.Hour}, Leaf: DefaultLeafTerm}
		sum, err := l.Retain(t.Context(), terms)
		if err != nil || sum.Content != 6 || sum.Leaves != 0 || sum.Keys != 0 {
			t.Errorf("first pass %+v, %v", sum, err)
		}
		mustVerify(t, l)
		now = now.AddDate(2, 1, 0)
		if err := l.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		sum, err = l.Retain(t.Context(), terms)
		if err != nil || sum.Content != 1 || sum.Leaves != 6 || sum.Keys != 1 {
			t.Errorf("second pass %+v, %v", sum, err)
		}
		var findings int
		if err := l.c.DB.Read().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM audit_index_findings`).Scan(&findings); err != nil || findings != 2 {
			t.Errorf("%d findings are indexed, the one leaf that is left has 2; %v", findings, err)
		}
		if res, err := l.Search(t.Context(), Query{Type: "call"}); err != nil || len(res.Rows) != 1 {
			t.Errorf("the index still lists %d calls, %v; only the one that never ended is left", len(res.Rows), err)
		}
		if rep := mustVerify(t, l); rep.Erased == 0 {
			t.Errorf("report %+v", rep)
		}
		l.Close(t.Context())
	})
}

func TestSearch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		l := newSite(t, kind).open(t, "a")
		for i := range 30 {
			r := openCall(l, "x")
			if i%3 == 0 {
				r.Leaf.Type, r.Leaf.Verdict, r.Leaf.Findings = bundle.CallRefuse, "block", nil
			}
			if _, err := l.Append(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Index(t.Context()); err != nil {
			t.Fatal(err)
		}
		count := func(q Query) int {
			t.Helper()
			n := 0
			for {
				res, err := l.Search(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				n += len(res.Rows)
				if !res.Older {
					return n
				}
				q.Before = &res.Rows[len(res.Rows)-1].N
			}
		}
		for _, c := range []struct {
			q    Query
			want int
		}{
			{Query{Limit: 7}, 31},
			{Query{Limit: 7, Type: "call"}, 30},
			{Query{Limit: 7, Verdict: "block"}, 10},
			{Query{Limit: 7, System: "KI-2026-001"}, 30},
			{Query{Limit: 7, System: "KI-2026-001", Verdict: "redact"}, 20},
			{Query{Limit: 7, Finding: "IBAN"}, 20},
			{Query{Limit: 7, Finding: "IBAN", Verdict: "block"}, 0},
			{Query{Limit: 7, Finding: "PERSON", System: "KI-2026-001"}, 20},
			{Query{Limit: 7, Finding: "PERSON", System: "KI-2026-001", Verdict: "redact"}, 20},
			{Query{Limit: 7, Finding: "PERSON", System: "KI-2026-002"}, 0},
			{Query{Limit: 7, Finding: "PERSON", Type: "call.open"}, 20},
			{Query{Limit: 7, Type: "call.open"}, 20},
			{Query{Limit: 7, Type: "call.refuse", System: "KI-2026-001"}, 10},
			{Query{Limit: 7, Type: "call.refuse", Verdict: "redact"}, 0},
			{Query{Limit: 7, Type: "log.start"}, 1},
			{Query{Limit: 7, Type: "erase"}, 0},
			{Query{From: time.Now().Add(time.Hour)}, 0},
			{Query{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}, 31},
		} {
			if n := count(c.q); n != c.want {
				t.Errorf("%+v finds %d rows, want %d", c.q, n, c.want)
			}
		}
		after := uint64(10)
		res, err := l.Search(t.Context(), Query{After: &after, Limit: 5})
		if err != nil || len(res.Rows) != 5 || res.Rows[4].N != 11 || !res.Newer {
			t.Errorf("the page above 10: %+v, %v", res, err)
		}
		if res, err = l.Search(t.Context(), Query{After: &after, Limit: 5, Type: "call"}); err != nil || len(res.Rows) != 5 || res.Rows[4].N != 11 || res.Rows[0].N != 15 || !res.Newer {
			t.Errorf("the calls above 10: %+v, %v", res, err)
		}
		l.Close(t.Context())
	})
}
