package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/register"
)

// Commands lists what the shell can have done, by name.
func Commands() map[string]Command {
	return map[string]Command{
		"stop":            command(runStop),
		"access.new":      command(runAccessNew),
		"access.list":     command(runAccessList),
		"access.revoke":   command(runAccessRevoke),
		"user.add":        command(runUserAdd),
		"user.reset":      command(runUserReset),
		"config.import":   command(runImport),
		"config.export":   command(runExport),
		"log.list":        command(runLogList),
		"log.show":        command(runLogShow),
		"erase":           command(runErase),
		"evidence.export": stream(runEvidence),
		"backup":          stream(runBackup),
		"keys.backup":     stream(runKeysBackup),
	}
}

func language() lang.Lang { return config.Language() }

// None is the result or argument of a command that has none.
type None struct{}

// StopArgs turn a stop on or off.
type StopArgs struct {
	On     bool
	Scope  string // all, system/ID, access/ID
	Reason string
}

func runStop(ctx context.Context, a *App, by auth.Actor, args StopArgs) (None, error) {
	if strings.TrimSpace(args.Reason) == "" {
		return None{}, badInput("a stop needs a reason")
	}
	if err := a.Register.SetStop(ctx, by, args.Scope, args.Reason, args.On); err != nil {
		return None{}, err
	}
	return None{}, a.Release.Reload(ctx)
}

// AccessArgs describe a new Zugang.
type AccessArgs struct {
	ID, System, Kind, Owner string
	Expires                 time.Time // zero = never
}

// AccessKey is a new key, shown once.
type AccessKey struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

func runAccessNew(ctx context.Context, a *App, by auth.Actor, args AccessArgs) (AccessKey, error) {
	acc := register.Access{ID: args.ID, System: args.System, Kind: args.Kind, Owner: strings.ToLower(args.Owner)}
	if !args.Expires.IsZero() {
		acc.Expires = args.Expires.UnixMicro()
	}
	switch {
	case !config.ValidID(acc.ID):
		return AccessKey{}, badInput("%q is not an id: letters and digits, and . _ - : or / between them", acc.ID)
	case acc.System == "" || (acc.Kind != register.Person && acc.Kind != register.Service):
		return AccessKey{}, badInput("a Zugang needs an id, a system, and the kind person or service")
	case acc.Kind == register.Person:
		if _, err := a.Users.ByLogin(ctx, acc.Owner); err != nil {
			return AccessKey{}, err
		}
	case acc.Owner != "":
		return AccessKey{}, badInput("a Zugang of the kind service has no owner")
	}
	key, err := a.Register.AddAccess(ctx, by, acc, a.keys.pepper)
	if err != nil {
		return AccessKey{}, err
	}
	return AccessKey{acc.ID, key}, a.Release.Reload(ctx)
}

// AccessRow is one line of the list of Zugänge.
type AccessRow struct {
	ID      string     `json:"id"`
	System  string     `json:"system"`
	Kind    string     `json:"kind"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

func runAccessList(ctx context.Context, a *App, _ auth.Actor, _ None) ([]AccessRow, error) {
	st, err := a.Register.Load(ctx)
	if err != nil {
		return nil, err
	}
	at := func(us int64) *time.Time {
		if us == 0 {
			return nil
		}
		t := time.UnixMicro(us).UTC()
		return &t
	}
	rows := []AccessRow{}
	for _, x := range st.Access {
		rows = append(rows, AccessRow{x.ID, x.System, x.Kind, time.UnixMicro(x.Created).UTC(), at(x.Expires), at(x.Revoked)})
	}
	return rows, nil
}

// IDArgs name one object.
type IDArgs struct{ ID string }

func runAccessRevoke(ctx context.Context, a *App, by auth.Actor, args IDArgs) (None, error) {
	if err := a.Register.RevokeAccess(ctx, by, args.ID); err != nil {
		return None{}, err
	}
	return None{}, a.Release.Reload(ctx)
}

// UserArgs describe a new account.
type UserArgs struct {
	Login, Name string
	Roles       []string
	Ends        time.Time // zero = no end
}

// Link is a one-time link with which the owner of an account sets a password.
type Link struct {
	Login string `json:"login"`
	URL   string `json:"url"`
	Hours int    `json:"valid_hours"`
}

func (a *App) link(login, token string) Link {
	return Link{Login: login, URL: a.Config.PublicURL + "/einrichten/" + token, Hours: int(auth.LinkLife / time.Hour)}
}

func runUserAdd(ctx context.Context, a *App, by auth.Actor, args UserArgs) (Link, error) {
	u := auth.User{Login: args.Login, Name: args.Name, Ends: args.Ends}
	for _, r := range args.Roles {
		u.Roles = append(u.Roles, auth.Role(r))
	}
	token, err := a.Users.Add(ctx, by, u)
	return a.link(args.Login, token), err
}

func runUserReset(ctx context.Context, a *App, by auth.Actor, args IDArgs) (Link, error) {
	token, err := a.Users.Reset(ctx, by, args.ID)
	return a.link(args.ID, token), err
}

// ImportArgs are a file of what governs.
type ImportArgs struct {
	File   string // name for messages
	Text   []byte
	Prune  bool
	DryRun bool
}

// Imported says what an import changed, or would change.
type Imported struct {
	Changes []register.Change `json:"changes"`
	Keys    []string          `json:"new_key_files"`
}

func runImport(ctx context.Context, a *App, by auth.Actor, args ImportArgs) (Imported, error) {
	engine, err := Engine()
	if err != nil {
		return Imported{}, err
	}
	want, err := config.ParseGoverning(args.File, args.Text, engine.Types())
	if err != nil {
		return Imported{}, mistakes(err)
	}
	return a.Import(ctx, by, want, args.Prune, args.DryRun)
}

func mistakes(err error) error {
	if m, ok := errors.AsType[config.Mistakes](err); ok {
		return errors.New(m.Text(language()))
	}
	return err
}

// Import makes the register what want says. A key file that does not exist gets a new key.
func (a *App) Import(ctx context.Context, by auth.Actor, want *register.State, prune, dry bool) (Imported, error) {
	out := Imported{Changes: []register.Change{}, Keys: []string{}}
	dir := filepath.Dir(a.Config.File)
	have, err := a.Register.Load(ctx)
	if err != nil {
		return out, err
	}
	for i := range want.Access {
		x := &want.Access[i]
		x.Owner = strings.ToLower(x.Owner)
		if x.Kind == register.Person {
			if _, err := a.Users.ByLogin(ctx, x.Owner); err != nil {
				return out, err
			}
		}
		if x.Key == "" { // the key that is registered stays
			i := slices.IndexFunc(have.Access, func(h register.Access) bool { return h.ID == x.ID && h.Revoked == 0 })
			if i < 0 {
				return out, badInput("key of %s is missing: there is no such Zugang yet; write key: \"file:%s.key\", and a new one is made", x.ID, x.ID)
			}
			x.Hash, x.Key = have.Access[i].Hash, have.Access[i].Key
			continue
		}
		key, err := config.ReadSecret(dir, x.Key)
		if name, ok := strings.CutPrefix(x.Key, "file:"); ok && errors.Is(err, os.ErrNotExist) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			key, err = register.NewKey(), nil
			if !dry {
				err = audit.WriteFile(name, []byte(key+"\n"))
			}
			out.Keys = append(out.Keys, name)
		}
		if err != nil {
			return out, fmt.Errorf("key of %s: %w", x.ID, err)
		}
		if !register.ValidKey(key) {
			return out, fmt.Errorf("key of %s: it has not the form lp-… of a key; remove the file to get a new one", x.ID)
		}
		x.Hash = register.HashKey(a.keys.pepper, key)
	}
	if dry {
		have.Normal()
		want.Normal()
		if err := want.Onto(have); err != nil {
			return out, err
		}
		out.Changes = append(out.Changes, register.Diff(have, want, prune)...)
		return out, nil
	}
	changes, err := a.Register.Apply(ctx, by, want, prune)
	if err != nil {
		return out, err
	}
	out.Changes = append(out.Changes, changes...)
	return out, a.Release.Reload(ctx)
}

// Text is a result that is a file.
type Text struct {
	Text []byte `json:"text"`
}

func runExport(ctx context.Context, a *App, _ auth.Actor, _ None) (Text, error) {
	st, err := a.Register.Load(ctx)
	if err != nil {
		return Text{}, err
	}
	st.Normal()
	b, err := config.Governing(st)
	return Text{b}, err
}

// ListArgs say which entries to list.
type ListArgs struct {
	Log   int // ordinal; 0 = the current one
	Since uint64
	Type  string
	Limit int
}

func runLogList(ctx context.Context, a *App, _ auth.Actor, args ListArgs) ([]Entry, error) {
	list := []Entry{}
	log := args.Log
	if log == 0 {
		log = a.Log.Ordinal()
	}
	limit := args.Limit
	if limit <= 0 || limit > 100_000 {
		limit = 1000
	}
	for n := args.Since; len(list) < limit; {
		some, err := a.Log.Since(ctx, log, n, 500)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			n = e.N + 1
			x, err := entryOf(log, e.N, e.Leaf)
			if err != nil {
				return nil, err
			}
			if (args.Type == "" || string(x.Type) == args.Type || strings.HasPrefix(string(x.Type), args.Type+".")) && len(list) < limit {
				list = append(list, x)
			}
		}
	}
	return list, nil
}

func runLogShow(ctx context.Context, a *App, _ auth.Actor, args IDArgs) ([]Entry, error) {
	log, n, err := bundle.ParseCallID(args.ID)
	if err != nil {
		return nil, err
	}
	v, err := a.Log.Get(ctx, log, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args.ID, err)
	}
	list := []Entry{leafEntry(log, n, v.Leaf)}
	list[0].Sealed, list[0].Destroyed = v.Sealed, v.Destroy
	if v.End != nil {
		end, err := a.Log.Get(ctx, log, *v.End)
		if err != nil {
			return nil, err
		}
		e := leafEntry(log, *v.End, end.Leaf)
		e.Sealed, e.Destroyed = end.Sealed, end.Destroy
		list = append(list, e)
	}
	return list, nil
}

// EraseArgs name a call and the ground for erasing its content.
type EraseArgs struct{ ID, Ground string }

// Erased says what was erased and under which entry.
type Erased struct {
	Entry   string   `json:"entry"`
	Entries []uint64 `json:"erased"`
	Clean   bool     `json:"clean"`
}

func runErase(ctx context.Context, a *App, by auth.Actor, args EraseArgs) (Erased, error) {
	log, n, err := bundle.ParseCallID(args.ID)
	if err != nil {
		return Erased{}, err
	}
	if log != a.Log.Ordinal() {
		return Erased{}, fmt.Errorf("%s belongs to a log that was ended by a fork; its content cannot be erased by this way", args.ID)
	}
	if strings.TrimSpace(args.Ground) == "" {
		return Erased{}, badInput("an erasure needs a ground")
	}
	e, err := a.Log.Erase(ctx, n, args.Ground, by.Name)
	if err != nil {
		return Erased{}, err
	}
	return Erased{Entry: e.Receipt.ID(), Entries: e.Entries, Clean: e.Clean}, nil
}

// EvidenceArgs say what an evidence bundle is about.
type EvidenceArgs struct {
	Log      int       // ordinal; 0 = the current one
	From, To time.Time // zero = open
	System   string
	Version  string
}

func runEvidence(ctx context.Context, a *App, by auth.Actor, args EvidenceArgs, w io.Writer) error {
	_, err := a.Log.Export(ctx, audit.ExportOptions{Log: args.Log, From: args.From, To: args.To, System: args.System, Version: args.Version, Actor: by.Name}, w)
	return err
}

// BadInput is wrong input to a command: what, where, and how to mend it. The exit code says so too.
type BadInput struct{ Text string }

func (e BadInput) Error() string { return e.Text }

func badInput(format string, args ...any) error { return BadInput{fmt.Sprintf(format, args...)} }

// IsBadInput reports whether an error is about what was given to a command, and not about the answer.
func IsBadInput(err error) bool {
	if _, ok := errors.AsType[BadInput](err); ok || errors.Is(err, audit.ErrNotFound) {
		return true
	}
	p, ok := errors.AsType[*problem.Error](err)
	return ok && (p.Kind == problem.KindInvalid || p.Kind == problem.KindNotFound)
}
