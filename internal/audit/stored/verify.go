package stored

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

// Verify checks one log in the database against its checkpoints, its mark (a path; empty: not asked) and what is trusted,
// see bundle.Check. It may run while the log is written.
func Verify(ctx context.Context, d *db.DB, log int, vkey, markPath string, trust bundle.Trust) (*bundle.Report, error) {
	// The mark is read before the database: what it covers was committed before it was written.
	mark, markErr := "", error(nil)
	if markPath != "" {
		if mark, markErr = ReadMark(markPath); markErr == nil && mark == "" {
			markErr = errors.New("the mark is missing")
		}
	}
	var rep *bundle.Report
	err := d.Snapshot(ctx, func(tx *db.Tx) error {
		rep = VerifyTx(ctx, tx, log, vkey, mark, trust)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if markErr != nil && rep.OK {
		rep.OK = false
		rep.FirstBad = &bundle.Bad{What: markErr.Error()}
	}
	return rep, nil
}

// VerifyTx is Verify inside a transaction; mark is the note itself.
func VerifyTx(ctx context.Context, tx *db.Tx, log int, vkey, mark string, trust bundle.Trust) *bundle.Report {
	failed := func(err error) *bundle.Report {
		return &bundle.Report{FirstBad: &bundle.Bad{What: err.Error()}}
	}
	h, headErr := ReadHead(ctx, tx.Tx, log)
	bl := bundle.Log{Origin: h.Origin, Size: h.Size, Key: vkey, Trust: trust}
	if headErr != nil {
		// The entries can be checked all the same: as many as there are.
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM audit_entries WHERE log = $1`, log).Scan(&bl.Size); err != nil {
			return failed(err)
		}
	}
	if headErr != nil || h.Origin != originOf(vkey) {
		bl.Origin = originOf(vkey)
	}
	bl.Entries = entries(ctx, tx, log)
	tiles := 0
	bl.Tile = func(level int, n uint64) ([]byte, error) {
		var b []byte
		err := tx.QueryRowContext(ctx, `SELECT hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND n = $3`, log, level, int64(n)).Scan(&b)
		if err != nil {
			return nil, fmt.Errorf("%s is missing: %w", bundle.TilePath(level, n, bundle.TileWidth), err)
		}
		tiles++
		return b, nil
	}
	var err error
	if bl.Checkpoints, err = Checkpoints(ctx, tx, log); err != nil {
		return failed(err)
	}
	if mark != "" {
		bl.Checkpoints = append(bl.Checkpoints, bundle.Signed{Size: claimedSize(mark), Note: mark, What: "mark"})
	}
	rep := bundle.Check(ctx, bl)
	if rep.OK {
		if err := stray(ctx, tx, log, tiles); err != nil {
			rep.OK, rep.FirstBad = false, &bundle.Bad{What: err.Error()}
		}
	}
	switch {
	case !rep.OK:
	case headErr != nil:
		rep.OK, rep.FirstBad = false, &bundle.Bad{What: headErr.Error()}
	case h.Origin != bl.Origin:
		rep.OK, rep.FirstBad = false, &bundle.Bad{What: fmt.Sprintf("the head row is of the log %q", h.Origin)}
	case h.Epoch != rep.Epoch:
		rep.OK, rep.FirstBad = false, &bundle.Bad{What: fmt.Sprintf("the head row says epoch %d, the entries end with %d", h.Epoch, rep.Epoch)}
	case h.Root.String() != rep.Root || h.Root != h.Peaks.Root():
		last := max(h.Size, 1) - 1
		rep.OK, rep.FirstBad = false, &bundle.Bad{Entry: &last, What: "the head row has another root than the entries give"}
	}
	return rep
}

// stray finds rows that no check above has read: tiles and rows filed under a log that does not exist.
func stray(ctx context.Context, tx *db.Tx, log, tiles int) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM audit_tiles WHERE log = $1`, log).Scan(&n); err != nil {
		return err
	}
	if n != tiles {
		return fmt.Errorf("%d tiles are stored, the entries fill %d", n, tiles)
	}
	for _, table := range []string{
		`SELECT COUNT(*) FROM audit_entries WHERE n < 0 OR opening < 0`,
		`SELECT COUNT(*) FROM audit_entries WHERE log NOT IN (SELECT log FROM audit_head)`,
		`SELECT COUNT(*) FROM audit_tiles WHERE log NOT IN (SELECT log FROM audit_head)`,
		`SELECT COUNT(*) FROM audit_checkpoints WHERE log NOT IN (SELECT log FROM audit_head)`,
	} {
		if err := tx.QueryRowContext(ctx, table).Scan(&n); err != nil {
			return err
		}
		if n != 0 {
			return errors.New("there are rows of a log or with a number that does not exist")
		}
	}
	return nil
}

func originOf(vkey string) string {
	for i := range vkey {
		if vkey[i] == '+' {
			return vkey[:i]
		}
	}
	return vkey
}

// claimedSize reads the second line of a note that is not verified yet; 0 where there is no number.
func claimedSize(signed string) uint64 {
	var origin string
	var size uint64
	if _, err := fmt.Sscanf(signed, "%s\n%d\n", &origin, &size); err != nil {
		return 0
	}
	return size
}

// Checkpoints reads the signed notes of a log, by size.
func Checkpoints(ctx context.Context, tx *db.Tx, log int) ([]bundle.Signed, error) {
	rows, err := tx.QueryContext(ctx, `SELECT size, note FROM audit_checkpoints WHERE log = $1 ORDER BY size`, log)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []bundle.Signed
	for rows.Next() {
		var s bundle.Signed
		if err := rows.Scan(&s.Size, &s.Note); err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// entries reads the rows of a log in order, a piece at a time: PostgreSQL answers no other query of the transaction while
// rows are being read.
func entries(ctx context.Context, tx *db.Tx, log int) iter.Seq2[bundle.Entry, error] {
	return func(yield func(bundle.Entry, error) bool) {
		const piece = 1024
		from := int64(0) // numbers below it are found by stray
		for {
			list, err := entriesFrom(ctx, tx, log, from, piece)
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(bundle.Entry{}, err)
				return
			}
			if len(list) < piece {
				return
			}
			from = int64(list[len(list)-1].N) + 1
		}
	}
}

func entriesFrom(ctx context.Context, tx *db.Tx, log int, from int64, limit int) ([]bundle.Entry, error) {
	rows, err := tx.QueryContext(ctx, `SELECT n, opening, leaf_hash, leaf, key, salt, sealed FROM audit_entries WHERE log = $1 AND n >= $2 ORDER BY n LIMIT $3`, log, from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]bundle.Entry, 0, limit)
	for rows.Next() {
		e := bundle.Entry{Row: true}
		if err := rows.Scan(&e.N, &e.Opening, &e.Hash, &e.Leaf, &e.Key, &e.Salt, &e.Sealed); err != nil {
			return list, fmt.Errorf("a stored value has the wrong type: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
