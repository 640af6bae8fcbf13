// Package dbtest gives tests databases of both kinds: SQLite files always, PostgreSQL where a server is given by
// LEITPLANKE_TEST_PG (a DSN, as tools/pg.sh prints it).
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/leitplanke/leitplanke/internal/db"
)

// Env names the environment variable with the DSN of the test server.
const Env = "LEITPLANKE_TEST_PG"

// Each runs f on SQLite and, where a server is there, on PostgreSQL.
func Each(t *testing.T, f func(t *testing.T, kind db.Kind)) {
	t.Run("sqlite", func(t *testing.T) { f(t, db.SQLite) })
	t.Run("postgres", func(t *testing.T) {
		Need(t)
		f(t, db.Postgres)
	})
}

// Need skips the test where no PostgreSQL server is given.
func Need(tb testing.TB) {
	if os.Getenv(Env) == "" {
		tb.Skip("no PostgreSQL: " + Env + " is not set (make test starts one)")
	}
}

// New returns the configuration of a new, empty database. On SQLite it is the file at path.
func New(tb testing.TB, kind db.Kind, path string) db.Config {
	if kind == db.SQLite {
		return db.Config{Path: path}
	}
	dsn := os.Getenv(Env)
	server, err := sql.Open("pgx", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 8)
	rand.Read(b)
	name := "lp_" + hex.EncodeToString(b)
	if _, err := server.ExecContext(tb.Context(), `CREATE DATABASE `+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := server.ExecContext(context.Background(), `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			tb.Error(err)
		}
		server.Close()
	})
	fields := strings.Fields(dsn)
	for i := range fields {
		if strings.HasPrefix(fields[i], "dbname=") {
			fields[i] = "dbname=" + name
		}
	}
	return db.Config{URL: strings.Join(fields, " ")}
}
