package db

import (
	"context"
	"time"
)

// Lease lets one of several nodes do a piece of work: it takes or renews the named lease for the holder and reports
// whether the holder has it until now + d.
func (d *DB) Lease(ctx context.Context, name, holder string, length time.Duration) (bool, error) {
	now := d.Now().UnixMicro()
	res, err := d.write.ExecContext(ctx, `INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leases.holder = excluded.holder OR leases.until < $4`,
		name, holder, now+length.Microseconds(), now)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
