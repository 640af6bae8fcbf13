// Package db opens the product's SQL database, SQLite or PostgreSQL, and is the only importer of SQL drivers.
//
// One SQL text runs on both: $n placeholders, TEXT, BIGINT, BOOLEAN, BYTEA, times as BIGINT microseconds UTC. SQLite has
// one writing connection, so that transactions queue instead of failing, and a pool of readers beside it.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// Kind names the database behind a DB.
type Kind string

const (
	SQLite   Kind = "sqlite"
	Postgres Kind = "postgres"
)

// Config says which database to open and how.
type Config struct {
	Path      string           // SQLite file; created with mode 0600
	URL       string           // PostgreSQL URL or DSN; wins over Path
	Now       func() time.Time // clock; time.Now where nil
	ReadOnly  bool             // SQLite: open an existing file for reading only
	Readers   int              // SQLite: size of the reader pool, default 4; PostgreSQL: size of the pool, default 16
	BusyAfter time.Duration    // SQLite: how long a statement waits for a foreign lock, default 5 s
}

// DB is one database: a handle that writes and a pool that reads. On PostgreSQL both are the same pool.
type DB struct {
	kind  Kind
	path  string
	write *sql.DB
	read  *sql.DB
	now   func() time.Time
}

// Tx is a transaction with the time at which it began.
type Tx struct {
	*sql.Tx
	Now time.Time // UTC, microseconds
}

// Open opens the database and checks that its settings are those that durability rests on; it does not migrate.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.URL != "" {
		return openPostgres(ctx, c)
	}
	return openSQLite(ctx, c)
}

func openSQLite(ctx context.Context, c Config) (*DB, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	if c.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	} else {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	busy := c.BusyAfter
	if busy == 0 {
		busy = 5 * time.Second
	}
	dsn := func(extra string) string {
		u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
		return u.String() + fmt.Sprintf("?_pragma=busy_timeout(%d)&_pragma=foreign_keys(ON)&_pragma=secure_delete(ON)", busy.Milliseconds()) + extra
	}
	d := &DB{kind: SQLite, path: path, now: c.Now}
	readers := c.Readers
	if readers == 0 {
		readers = 4
	}
	if c.ReadOnly {
		d.read, err = sql.Open("sqlite", dsn("&mode=ro&_pragma=query_only(ON)"))
	} else {
		// wal_autocheckpoint(0): moving pages from the WAL to the file is the Checkpointer's work, off the commit path.
		d.write, err = sql.Open("sqlite", dsn("&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(0)&_pragma=cache_size(-4096)&_txlock=immediate"))
		if err == nil {
			d.write.SetMaxOpenConns(1)
			d.read, err = sql.Open("sqlite", dsn("&_pragma=query_only(ON)&_pragma=cache_size(-1024)"))
		}
	}
	if err != nil {
		return nil, err
	}
	d.read.SetMaxOpenConns(readers)
	d.read.SetMaxIdleConns(readers)
	if d.write != nil {
		if err := d.checkSettings(ctx); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	} else if err := d.read.PingContext(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func openPostgres(ctx context.Context, c Config) (*DB, error) {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("the database URL cannot be read") // the cause may hold the password
	}
	pool := stdlib.OpenDB(*cfg)
	n := c.Readers
	if n == 0 {
		n = 16
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	d := &DB{kind: Postgres, write: pool, read: pool, now: c.Now}
	if err := d.checkSettings(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Setting is one property of the database that durability depends on, as it was read back.
type Setting struct{ Name, Value, Want string }

// Settings reads back what durability depends on. Want is empty where any value is fine.
func (d *DB) Settings(ctx context.Context) ([]Setting, error) {
	list := []Setting{{Name: "journal_mode", Want: "wal"}, {Name: "synchronous", Want: "2"}, {Name: "foreign_keys", Want: "1"}, {Name: "secure_delete", Want: "1"}}
	query, handle := "PRAGMA ", d.write
	if d.kind == Postgres {
		list = []Setting{{Name: "fsync", Want: "on"}, {Name: "full_page_writes", Want: "on"}, {Name: "synchronous_commit", Want: "!off"}, {Name: "synchronous_standby_names"}}
		query = "SHOW "
	}
	if handle == nil {
		return nil, errors.New("opened for reading only")
	}
	for i := range list {
		if err := handle.QueryRowContext(ctx, query+list[i].Name).Scan(&list[i].Value); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// checkSettings refuses a database that would lose acknowledged entries: a misspelt pragma is ignored silently by SQLite.
// PostgreSQL with fsync off is refused too, unless it says so in its cluster name (functional tests).
func (d *DB) checkSettings(ctx context.Context) error {
	list, err := d.Settings(ctx)
	if err != nil {
		return err
	}
	unsafe := false
	if d.kind == Postgres {
		var name string
		if err := d.write.QueryRowContext(ctx, "SHOW cluster_name").Scan(&name); err != nil {
			return err
		}
		unsafe = name == "leitplanke-unsafe-test"
	}
	for _, s := range list {
		bad := s.Want != "" && s.Value != s.Want
		if not, ok := strings.CutPrefix(s.Want, "!"); ok {
			bad = s.Value == not
		}
		if bad && !unsafe {
			return fmt.Errorf("database setting %s is %q, durability needs %q", s.Name, s.Value, s.Want)
		}
	}
	return nil
}

// Kind tells which database this is.
func (d *DB) Kind() Kind { return d.kind }

// Path is the SQLite file, empty on PostgreSQL.
func (d *DB) Path() string { return d.path }

// Now is the clock of this database's owner, UTC, cut to microseconds.
func (d *DB) Now() time.Time { return d.now().UTC().Truncate(time.Microsecond) }

// Read is the pool for queries outside a transaction.
func (d *DB) Read() *sql.DB { return d.read }

// Prepare prepares a statement on the writing handle; it is used inside transactions by Tx.Stmt.
func (d *DB) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	return d.write.PrepareContext(ctx, query)
}

// Tx runs f in one transaction and commits, or rolls back when f fails. It waits its turn for the writing handle.
// An error of the commit itself is a *CommitError: on PostgreSQL its outcome may be unknown.
func (d *DB) Tx(ctx context.Context, f func(*Tx) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := f(&Tx{Tx: tx, Now: d.Now()}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &CommitError{err}
	}
	return nil
}

// Snapshot runs f in a reading transaction: all its queries see one state.
func (d *DB) Snapshot(ctx context.Context, f func(*Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if d.kind == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := d.read.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing was written
	return f(&Tx{Tx: tx, Now: d.Now()})
}

// Close ends all connections.
func (d *DB) Close() error {
	var err error
	if d.write != nil {
		err = d.write.Close()
	}
	if d.read != nil && d.read != d.write {
		err = errors.Join(err, d.read.Close())
	}
	return err
}

// CommitError is a transaction whose commit answered with an error.
type CommitError struct{ Err error }

func (e *CommitError) Error() string { return "commit: " + e.Err.Error() }
func (e *CommitError) Unwrap() error { return e.Err }

// IsDuplicate reports whether err is a violated unique key.
func IsDuplicate(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == 1555 || e.Code() == 2067 // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	return false
}

// IsBusy reports whether err is a lock that was not had in time: the same work may be tried again.
func IsBusy(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == 5 || e.Code()&0xff == 6 // SQLITE_BUSY, SQLITE_LOCKED
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03"
	}
	return false
}

// IsFull reports whether the database has no more room; the transaction was rolled back cleanly.
func IsFull(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == 13 // SQLITE_FULL
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "53100" || e.Code == "53200"
	}
	return false
}

// IsIO reports whether the storage itself failed. After it the page cache may show what the disk never got, so the
// process has to end (see the PANIC rule of PostgreSQL).
func IsIO(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code := e.Code() & 0xff
		return code == 10 || code == 11 // SQLITE_IOERR, SQLITE_CORRUPT
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "58030" || e.Code == "XX001"
	}
	return false
}

// Exec runs one statement in a transaction of its own.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.write.ExecContext(ctx, query, args...)
}
