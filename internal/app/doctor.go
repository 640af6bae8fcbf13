package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/register"
)

// NewName is a name for a new installation.
func NewName() string {
	b := make([]byte, 4)
	rand.Read(b)
	return "leitplanke-" + hex.EncodeToString(b)
}

// State of one thing that the doctor looks at.
type State string

// The states. Red needs a hand now, yellow soon.
const (
	Green  State = "green"
	Yellow State = "yellow"
	Red    State = "red"
)

// Finding is what the doctor says about one thing; its sentence is the message of Key.
type Finding struct {
	State State  `json:"state"`
	Key   string `json:"what"`
	Args  []any  `json:"args,omitempty"`
}

const keysBackupMax = 30 * 24 * time.Hour

// Doctor looks at an installation without changing it, also while its server runs.
func Doctor(ctx context.Context, c *config.Server) []Finding {
	var list []Finding
	say := func(s State, key string, args ...any) { list = append(list, Finding{s, key, args}) }
	doctorClock(say)
	doctorDisk(c, say)
	if t, err := syncTime(c.Data); err != nil {
		say(Red, "doctor.sync_failed", "reason", err.Error())
	} else {
		s := Green
		if t > 20*time.Millisecond {
			s = Yellow
		}
		say(s, "doctor.sync", "took", t)
	}
	doctorLog(ctx, c, say)
	if sameDevice(c.Mark, c.Data) {
		say(Yellow, "doctor.mark_same")
	} else {
		say(Green, "doctor.mark_apart")
	}
	stamp, err := os.ReadFile(filepath.Join(c.Data, keysBackupStamp))
	at, parseErr := time.Parse(time.RFC3339, strings.TrimSpace(string(stamp)))
	switch {
	case err != nil || parseErr != nil:
		say(Red, "doctor.keys_never")
	case time.Since(at) > keysBackupMax:
		say(Red, "doctor.keys_old", "at", at)
	default:
		say(Green, "doctor.keys_fresh", "at", at)
	}
	doctorRegister(ctx, c, say)
	if _, err := os.Stat(c.Mark + ".io-error"); err == nil {
		say(Red, "doctor.io_error")
	}
	return list
}

// doctorClock compares the clock with the newest file of the installation's own program: a clock far behind is wrong.
func doctorClock(say func(State, string, ...any)) {
	now := time.Now()
	if exe, err := os.Executable(); err == nil {
		if st, err := os.Stat(exe); err == nil && st.ModTime().After(now.Add(24*time.Hour)) {
			say(Red, "doctor.clock_behind", "now", now)
			return
		}
	}
	say(Green, "doctor.clock", "now", now)
}

// doctorDisk says how much room is left and, from the size and age of the database, for how long.
func doctorDisk(c *config.Server, say func(State, string, ...any)) {
	free, err := FreeBytes(c.Data)
	if err != nil {
		say(Red, "doctor.disk_unknown", "reason", err.Error())
		return
	}
	floor := uint64(c.MinFree) << 20
	s := Green
	if free < floor {
		s = Red
	} else if free < 4*floor {
		s = Yellow
	}
	st, err := os.Stat(filepath.Join(c.Data, "leitplanke.db"))
	born, bornErr := os.Stat(filepath.Join(c.Keys, rootFile))
	if err != nil || bornErr != nil || time.Since(born.ModTime()) < 24*time.Hour || st.Size() == 0 {
		say(s, "doctor.disk", "free", lang.Bytes(free))
		return
	}
	perDay := float64(st.Size()) / (time.Since(born.ModTime()).Hours() / 24)
	days := int(float64(free-min(free, floor)) / max(perDay, 1))
	if days < 30 && s == Green {
		s = Yellow
	}
	say(s, "doctor.disk_forecast", "free", lang.Bytes(free), "days", min(days, 36500))
}

// syncTime is the median of 21 small durable writes: what every entry of a lone caller waits for.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	took := make([]time.Duration, 21)
	for i := range took {
		at := time.Now()
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(at)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

func doctorLog(ctx context.Context, c *config.Server, say func(State, string, ...any)) {
	reports, err := Verify(ctx, c.File, bundle.Trust{})
	if err != nil {
		say(Red, "doctor.log_unread", "reason", err.Error())
		return
	}
	for i, r := range reports {
		if !r.OK && i < len(reports)-1 { // ended by a fork, whose first entry says why
			say(Yellow, "doctor.log_old", "origin", r.Origin, "what", badWords(r.FirstBad))
		} else if !r.OK {
			say(Red, "doctor.log_bad", "origin", r.Origin, "what", badWords(r.FirstBad))
			return
		}
	}
	r := reports[len(reports)-1]
	say(Green, "doctor.log_good", "entries", r.Size, "open", r.Open)
}

func badWords(b *bundle.Bad) string {
	if b.Entry == nil {
		return b.What
	}
	return fmt.Sprintf("%d: %s", *b.Entry, b.What)
}

// doctorRegister looks at secrets by environment and tries to reach the providers.
func doctorRegister(ctx context.Context, c *config.Server, say func(State, string, ...any)) {
	d, err := db.Open(ctx, readOnly(c))
	if err != nil {
		return // said by doctorLog
	}
	defer d.Close()
	var st *register.State
	err = d.Snapshot(ctx, func(tx *db.Tx) error {
		st, err = register.LoadTx(ctx, tx)
		return err
	})
	if err != nil {
		say(Red, "doctor.log_unread", "reason", err.Error())
		return
	}
	for _, p := range st.Providers {
		if strings.HasPrefix(p.Key, "env:") {
			say(Yellow, "doctor.secret_env", "provider", p.ID)
		}
		u, err := url.Parse(p.BaseURL)
		if p.Kind == register.KindDemo || err != nil {
			continue
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
		}
		var dialer net.Dialer
		dialer.Timeout = 3 * time.Second
		if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port)); err != nil {
			say(Yellow, "doctor.provider_away", "provider", p.ID)
		} else {
			conn.Close()
			say(Green, "doctor.provider", "provider", p.ID)
		}
	}
}

// Verify checks every log of the installation of that configuration. It only reads.
func Verify(ctx context.Context, file string, trust bundle.Trust) ([]*bundle.Report, error) {
	c, err := config.LoadServer(file)
	if err != nil {
		return nil, err
	}
	keys, err := loadKeys(c)
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, readOnly(c))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return audit.VerifyAll(ctx, d, c.Name, keys.log.Public().(ed25519.PublicKey), c.Mark, trust)
}

func readOnly(c *config.Server) db.Config {
	if url := c.Database.Reveal(); url != "" {
		return db.Config{URL: url}
	}
	return db.Config{Path: filepath.Join(c.Data, "leitplanke.db"), ReadOnly: true}
}
