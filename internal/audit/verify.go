package audit

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// Verify checks the whole current log in the database against its checkpoints and its mark, see bundle.Check. It may run
// while the log is written.
func (l *Log) Verify(ctx context.Context) (*bundle.Report, error) {
	return stored.Verify(ctx, l.c.DB, l.log, l.vkey, l.c.Mark, bundle.Trust{})
}

// VerifyAll checks every log of an installation, oldest first, and returns one report for each. Only the newest has the
// mark. It needs the database for reading only. Each log is compared with what trust says of it.
func VerifyAll(ctx context.Context, d *db.DB, name string, key ed25519.PublicKey, mark string, trust bundle.Trust) ([]*bundle.Report, error) {
	last := 0
	if err := d.Read().QueryRowContext(ctx, `SELECT CAST(COALESCE(MAX(log), 0) AS BIGINT) FROM audit_head`).Scan(&last); err != nil {
		return nil, err
	}
	if last == 0 {
		return nil, errors.New("the database holds no log")
	}
	var reports []*bundle.Report
	for n := 1; n <= last; n++ {
		vkey, err := VerifierKey(Origin(name, n), key)
		if err != nil {
			return nil, err
		}
		path := ""
		if n == last {
			path = mark
		}
		rep, err := stored.Verify(ctx, d, n, vkey, path, trust.Of(Origin(name, n)))
		if err != nil {
			return nil, err
		}
		reports = append(reports, rep)
	}
	return reports, nil
}
