package audit

import (
	"errors"
	"testing"

	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/db/dbtest"
)

func TestCheckEntry(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, kind db.Kind) {
		s := newSite(t, kind)
		c := s.config(t, "a")
		l, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		var first uint64
		for i := range 300 { // more than a tile
			r, err := l.Append(ctx, openCall(l, "body"))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = r.N
			}
		}
		check := func(n uint64, open bool) *EntryCheck {
			t.Helper()
			got, err := l.CheckEntry(ctx, 1, n, open)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := check(280, true); !got.OK() || got.Checkpoint != 0 || got.Commit != PartSame || got.Sealed != PartSame {
			t.Errorf("before a checkpoint: %+v", got)
		}
		if err := l.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		for _, n := range []uint64{0, first, 255, 256, 300} {
			if got := check(n, n != 0); !got.OK() || got.Checkpoint != 301 || !got.Signature {
				t.Errorf("entry %d: %+v", n, got)
			}
		}
		if got := check(first, false); got.Commit != PartClosed {
			t.Errorf("closed: %+v", got)
		}
		if _, err := l.CheckEntry(ctx, 1, 9999, false); !errors.Is(err, ErrNotFound) {
			t.Errorf("no entry: %v", err)
		}
		if _, err := l.CheckEntry(ctx, 7, 0, false); !errors.Is(err, ErrNotFound) {
			t.Errorf("no log: %v", err)
		}
		if _, err := l.Erase(ctx, 5, "Art. 17", "shell:test"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // before and after the index has seen the erasure
			if got := check(5, true); !got.OK() || got.Sealed != PartErased || got.Commit != PartNone {
				t.Errorf("erased: %+v", got)
			}
			if by, found, err := l.Destroyed(ctx, 1, 5, "", false); err != nil || !found || by != 301 {
				t.Errorf("destroyed by %d, %v, %v", by, found, err)
			}
			if _, found, _ := l.Destroyed(ctx, 1, 6, "", false); found {
				t.Error("another entry is said to be erased")
			}
			if err := l.Index(ctx); err != nil {
				t.Fatal(err)
			}
		}
		// every stored column, one at a time
		broken := 0
		for _, b := range []struct {
			query string
			n     uint64
			is    func(*EntryCheck) bool
		}{
			{`UPDATE audit_entries SET leaf = (SELECT leaf FROM audit_entries WHERE n = 11) WHERE n = 10`, 10, func(c *EntryCheck) bool { return !c.Leaf && !c.Tree }},
			{`UPDATE audit_entries SET leaf_hash = (SELECT leaf_hash FROM audit_entries WHERE n = 11) WHERE n = 12`, 12, func(c *EntryCheck) bool { return !c.Leaf && c.Tree }},
			{`UPDATE audit_entries SET sealed = (SELECT sealed FROM audit_entries WHERE n = 11) WHERE n = 13`, 13, func(c *EntryCheck) bool { return c.Leaf && c.Tree && c.Sealed == PartOther }},
			{`UPDATE audit_entries SET sealed = NULL, salt = NULL WHERE n = 14`, 14, func(c *EntryCheck) bool { return c.Sealed == PartOther }},
			{`UPDATE audit_entries SET leaf = NULL, sealed = NULL, salt = NULL WHERE n = 15`, 15, func(c *EntryCheck) bool { return !c.Leaf && c.Tree }},
			{`UPDATE audit_entries SET key = 'x' WHERE n = 16`, 16, func(c *EntryCheck) bool { return !c.Leaf }},
			{`UPDATE audit_entries SET opening = 3 WHERE n = 17`, 17, func(c *EntryCheck) bool { return !c.Leaf }},
			{`UPDATE audit_checkpoints SET note = REPLACE(note, 'leitplanke.test/1', 'leitplanke.test/2')`, 18, func(c *EntryCheck) bool { return c.Leaf && c.Tree && !c.Signature }},
			{`UPDATE audit_tiles SET hashes = (SELECT leaf_hash FROM audit_entries WHERE n = 1) WHERE level = 0`, 19, func(c *EntryCheck) bool { return c.Leaf && !c.Tree }},
		} {
			if _, err := c.DB.Exec(ctx, b.query); err != nil {
				t.Fatal(err)
			}
			got := check(b.n, true)
			if got.OK() || !b.is(got) || got.What == "" {
				t.Errorf("%s: %+v", b.query, got)
			}
			broken++
		}
		if broken != 9 {
			t.Fatal("cases are missing")
		}
		if text, err := l.LatestCheckpoint(ctx); err != nil || text != "" {
			t.Errorf("a broken checkpoint is given out: %q, %v", text, err)
		}
	})
}
