// Package app puts the program together. It is the only package that knows everyone: it opens databases, builds the
// contexts in the order in which they need each other, serves HTTP, and ends everything in the opposite order.
package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/gateway"
	"github.com/leitplanke/leitplanke/internal/guard"
	"github.com/leitplanke/leitplanke/internal/guard/pii"
	"github.com/leitplanke/leitplanke/internal/guard/secret"
	"github.com/leitplanke/leitplanke/internal/provider"
	"github.com/leitplanke/leitplanke/internal/register"
	"github.com/leitplanke/leitplanke/internal/release"
)

// Options are what a start needs beside the configuration.
type Options struct {
	Config   *config.Server
	Now      func() time.Time // time.Now where nil
	Program  io.Writer        // of the program log; os.Stderr where nil
	Demo     bool             // the demo's pages and strips
	Fail     func(step string) error
	Guard    *guard.Engine // the detectors of this build where nil
	Fatal    func(error)   // ends the process after a storage error; os.Exit(70) where nil
	RecordBy time.Duration // how long an entry may take until its call is refused; 10 s where 0
	Idle     time.Duration // how long a body may bring nothing; 30 s where 0
	Fork     string        // reason: begin the next log instead of opening the current one
}

// App is an open installation. Its contexts are open as long as it is.
type App struct {
	Config   *config.Server
	Log      *audit.Log
	Register *register.Store
	Release  *release.Holder
	Users    *auth.Store
	Gateway  *gateway.Gateway
	Demo     *provider.Demo
	Program  *slog.Logger

	db      *db.DB
	keysDB  *db.DB
	keys    *Keys
	metrics *metrics
	now     func() time.Time
	demo    bool
	health  health
	ends    []ending // closed last to first
}

type ending struct {
	name string
	f    func(context.Context) error
}

func (a *App) atEnd(name string, f func(context.Context) error) {
	a.ends = append(a.ends, ending{name, f})
}

// maxText is the longest text of one part in bytes that is inspected; it takes about 150 ms. A longer one is refused.
const maxText = 8 << 20

// Engine is the guard engine with the detectors of this build.
func Engine() (*guard.Engine, error) {
	return guard.New(guard.Limits{PartBytes: maxText}, append(pii.Detectors(), secret.Detectors()...)...)
}

// Open opens an installation for writing. The lock on its data folder keeps a second process out; on PostgreSQL several
// nodes work side by side. What was opened is closed again when a later step fails.
func Open(ctx context.Context, o Options) (a *App, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Program == nil {
		o.Program = os.Stderr
	}
	if o.Fatal == nil {
		o.Fatal = func(error) { os.Exit(70) }
	}
	c := o.Config
	a = &App{Config: c, now: o.Now, demo: o.Demo, Program: slog.New(slog.NewJSONHandler(o.Program, &slog.HandlerOptions{Level: level(c.Log)}))}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close(context.WithoutCancel(ctx)))
		}
	}()
	if a.keys, err = loadKeys(c); err != nil {
		return a, err
	}
	if err = a.openDatabases(ctx); err != nil {
		return a, err
	}
	if err = a.openLog(ctx, o); err != nil {
		return a, err
	}
	a.Register = register.NewStore(a.db, a.Log)
	a.Users = auth.NewStore(a.db, a.Log)
	if a.Release, err = release.NewHolder(ctx, a.db, a.Log, a.Program); err != nil {
		return a, err
	}
	engine := o.Guard
	if engine == nil {
		if engine, err = Engine(); err != nil {
			return a, err
		}
	}
	a.metrics = newMetrics(a.Log)
	a.Demo = provider.NewDemo(o.Now)
	dir := filepath.Dir(c.File)
	secrets := func(ref string) (string, error) { return config.ReadSecret(dir, ref) }
	a.Gateway = gateway.New(gateway.Config{
		Log: a.Log, Release: a.Release, Guard: engine, Pool: provider.NewPool(secrets, a.Demo), Now: o.Now, Program: a.Program,
		HashKey: func(key string) []byte { return register.HashKey(a.keys.pepper, key) },
		Link:    func(id string) string { return c.PublicURL + "/nachweise/" + id },
		Metrics: a.metrics, Fail: o.Fail, Limits: gateway.Limits{Body: int64(c.BodyMiB) << 20, Idle: o.Idle}, RecordBy: o.RecordBy,
	})
	return a, nil
}

func level(s string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(s)) != nil {
		l = slog.LevelInfo
	}
	return l
}

func (a *App) openDatabases(ctx context.Context) (err error) {
	c := a.Config
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	main, keys := db.Config{Path: filepath.Join(c.Data, "leitplanke.db"), Now: a.now}, db.Config{Path: filepath.Join(c.Data, "keys.db"), Now: a.now}
	if url := c.Database.Reveal(); url != "" {
		main, keys = db.Config{URL: url, Now: a.now}, db.Config{URL: c.KeysDB.Reveal(), Now: a.now}
	} else {
		unlock, err := db.LockFile(filepath.Join(c.Data, "lock"), false)
		if err != nil {
			return err
		}
		a.atEnd("lock", func(context.Context) error { unlock(); return nil })
	}
	if a.db, err = db.Open(ctx, main); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	a.atEnd("database", func(context.Context) error { return a.db.Close() })
	if a.keysDB, err = db.Open(ctx, keys); err != nil {
		return fmt.Errorf("key store: %w", err)
	}
	a.atEnd("key store", func(context.Context) error { return a.keysDB.Close() })
	return errors.Join(a.db.Migrate(ctx, db.Main), a.keysDB.Migrate(ctx, db.Keys))
}

func (a *App) openLog(ctx context.Context, o Options) error {
	store, err := audit.OpenKeyStore(a.keysDB, a.keys.root)
	if err != nil {
		return err
	}
	c := audit.Config{
		DB: a.db, Keys: store, Key: a.keys.log, Name: a.Config.Name, Mark: a.Config.Mark, Instance: instance(),
		Shared: a.db.Kind() == db.Postgres, Log: a.Program, Fail: o.Fail, MinFree: uint64(a.Config.MinFree) << 20,
		Fatal: func(err error) {
			a.Program.Error("the storage failed; the process ends", "error", err)
			if err := audit.MarkIOError(a.Config.Mark); err != nil {
				a.Program.Error("the next start cannot be told of it", "error", err)
			}
			o.Fatal(err)
		},
	}
	if o.Fork != "" {
		a.Log, err = audit.Fork(ctx, c, o.Fork, ShellActor().Name)
	} else {
		a.Log, err = audit.Open(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	a.atEnd("log", a.Log.Close)
	if _, err := a.Log.Recover(ctx); err != nil {
		return fmt.Errorf("log: ending the calls of a process that is gone: %w", err)
	}
	return nil
}

// instance is a name of this process that no other has: the host is not in it, because leaves leave the house.
func instance() string {
	b := make([]byte, 4)
	rand.Read(b)
	return "n-" + hex.EncodeToString(b)
}

// ShellActor is who acts when a command of the machine's shell writes.
func ShellActor() auth.Actor {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		name = os.Getenv("USER")
	}
	if name == "" {
		name = fmt.Sprintf("uid-%d", os.Getuid())
	}
	return auth.Shell(name)
}

// PublicKey is the public half of the key that signs the log.
func (a *App) PublicKey() ed25519.PublicKey { return a.keys.log.Public().(ed25519.PublicKey) }

// Pepper is what keys of Zugänge are hashed with.
func (a *App) Pepper() []byte { return a.keys.pepper }

// DB is the main database, for commands that copy it.
func (a *App) DB() *db.DB { return a.db }

// Close ends everything in the opposite order of its beginning.
func (a *App) Close(ctx context.Context) error {
	var errs error
	for i := len(a.ends) - 1; i >= 0; i-- {
		if err := a.ends[i].f(ctx); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", a.ends[i].name, err))
		}
	}
	a.ends = nil
	return errs
}

// Run does the background work until ctx ends.
func (a *App) Run(ctx context.Context) {
	loops := []func(context.Context){
		a.Log.Run, a.Log.RunIndex, a.Release.Run,
		func(ctx context.Context) { a.Log.RunRetention(ctx, a.terms) },
		a.watchDisk, a.verifyLoop,
	}
	done := make(chan struct{})
	for _, loop := range loops {
		go func() { loop(ctx); done <- struct{}{} }()
	}
	for range loops {
		<-done
	}
}

// terms are the retention terms of the systems as they are registered now.
func (a *App) terms() audit.Terms {
	t := audit.Terms{Content: map[string]time.Duration{}, Leaf: audit.DefaultLeafTerm}
	for _, y := range a.Release.Snapshot().State().Systems {
		t.Content[y.ID] = time.Duration(y.Keep()) * 24 * time.Hour
	}
	return t
}

const diskEvery = 10 * time.Second

// watchDisk refuses new calls while there is little room, so that open ones can still be closed.
func (a *App) watchDisk(ctx context.Context) {
	t := time.NewTicker(diskEvery)
	defer t.Stop()
	for {
		if free, err := FreeBytes(a.Config.Data); err == nil {
			a.Log.SetFree(free)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
