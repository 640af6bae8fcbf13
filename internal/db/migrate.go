package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// Set names a folder of migrations: the product's data, or the key store that is never in a data backup.
type Set string

const (
	Main Set = "main"
	Keys Set = "keys"
)

// migrateLock is the number of the PostgreSQL advisory lock around migrations.
const migrateLock = 7_305_401_962_113

// Migrate brings the schema up to date. Several processes may call it at once: one lock lets them pass one by one.
func (d *DB) Migrate(ctx context.Context, set Set) (err error) {
	dialect := goose.DialectSQLite3
	if d.kind == Postgres {
		dialect = goose.DialectPostgres
		c, err := d.write.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrateLock)); err != nil {
			return err
		}
		defer c.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrateLock))
	} else {
		unlock, err := LockFile(d.path+".migrate", true)
		if err != nil {
			return err
		}
		defer unlock()
	}
	files, err := fs.Sub(migrations, "migrations/"+string(set))
	if err != nil {
		return err
	}
	// The key store may share a database with others in tests: its version table has its own name.
	p, err := goose.NewProvider(dialect, d.write, files, goose.WithTableName("goose_"+string(set)))
	if err != nil {
		return err
	}
	if _, err = p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", set, err)
	}
	return nil
}

// WALSize is the size in bytes of the write-ahead log that waits to be moved into the file; 0 on PostgreSQL.
func (d *DB) WALSize() int64 {
	if d.kind != SQLite {
		return 0
	}
	st, err := os.Stat(d.path + "-wal")
	if err != nil {
		return 0
	}
	return st.Size()
}

// CheckpointWAL moves committed pages from the write-ahead log into the database file, on a connection of its own so
// that no commit waits for it; with truncate it also empties the log and reports whether that succeeded: a reader with an
// old snapshot prevents it. It does nothing on PostgreSQL.
func (d *DB) CheckpointWAL(ctx context.Context, truncate bool) (done bool, err error) {
	if d.kind != SQLite {
		return true, nil
	}
	c, err := sql.Open("sqlite", "file:"+d.path+"?_pragma=busy_timeout(300)&_pragma=synchronous(FULL)")
	if err != nil {
		return false, err
	}
	defer c.Close()
	mode := "PASSIVE"
	if truncate {
		mode = "TRUNCATE"
	}
	var busy, log, moved int64
	if err := c.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &moved); err != nil {
		return false, err
	}
	return busy == 0, nil
}

// VacuumInto writes a consistent copy of the SQLite database to a file that must not exist yet.
func (d *DB) VacuumInto(ctx context.Context, path string) error {
	if d.kind != SQLite {
		return fmt.Errorf("a copy by this command needs SQLite; use pg_dump for PostgreSQL")
	}
	c, err := sql.Open("sqlite", "file:"+d.path) // reads only, but the pool of readers is set to refuse the statement
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.ExecContext(ctx, `VACUUM INTO $1`, path)
	return err
}
