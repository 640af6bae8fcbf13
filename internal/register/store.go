package register

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// Store keeps the register in the database.
type Store struct {
	db  *db.DB
	log *audit.Log
}

// NewStore returns the register in that database, whose changes go into that log.
func NewStore(d *db.DB, l *audit.Log) *Store { return &Store{db: d, log: l} }

// Load reads the whole register.
func (s *Store) Load(ctx context.Context) (st *State, err error) {
	err = s.db.Snapshot(ctx, func(tx *db.Tx) error {
		st, err = LoadTx(ctx, tx)
		return err
	})
	return st, err
}

// LoadTx reads the whole register inside a transaction, so that it belongs to what is read beside it.
func LoadTx(ctx context.Context, tx *db.Tx) (*State, error) {
	st := new(State)
	err := errors.Join(
		query(ctx, tx, `SELECT id, kind, base_url, region, operator, key_ref FROM register_providers`, func(r *sql.Rows) error {
			var p Provider
			st.Providers = append(st.Providers, p)
			q := &st.Providers[len(st.Providers)-1]
			return r.Scan(&q.ID, &q.Kind, &q.BaseURL, &q.Region, &q.Operator, &q.Key)
		}),
		query(ctx, tx, `SELECT id, provider, upstream FROM register_models`, func(r *sql.Rows) error {
			var m Model
			err := r.Scan(&m.ID, &m.Provider, &m.Upstream)
			st.Models = append(st.Models, m)
			return err
		}),
		query(ctx, tx, `SELECT id, name, purpose, models, aliases, mask, regions, output, high_risk, keep_days FROM register_systems`, func(r *sql.Rows) error {
			var y System
			var models, aliases, mask, regions string
			err := r.Scan(&y.ID, &y.Name, &y.Purpose, &models, &aliases, &mask, &regions, &y.Output, &y.HighRisk, &y.KeepDays)
			err = errors.Join(err, json.Unmarshal([]byte(models), &y.Models), json.Unmarshal([]byte(aliases), &y.Aliases),
				json.Unmarshal([]byte(mask), &y.Mask), json.Unmarshal([]byte(regions), &y.Regions))
			st.Systems = append(st.Systems, y)
			return err
		}),
		query(ctx, tx, `SELECT id, system, kind, owner, key_hash, key_ref, created, expires, revoked FROM register_access`, func(r *sql.Rows) error {
			var a Access
			var expires, revoked sql.NullInt64
			err := r.Scan(&a.ID, &a.System, &a.Kind, &a.Owner, &a.Hash, &a.Key, &a.Created, &expires, &revoked)
			a.Expires, a.Revoked = expires.Int64, revoked.Int64
			st.Access = append(st.Access, a)
			return err
		}),
		query(ctx, tx, `SELECT scope, reason, actor, since FROM register_stops`, func(r *sql.Rows) error {
			var p Stop
			var since int64
			err := r.Scan(&p.Scope, &p.Reason, &p.Actor, &since)
			p.Since = time.UnixMicro(since).UTC()
			st.Stops = append(st.Stops, p)
			return err
		}),
	)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(st.Providers, func(a, b Provider) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	slices.SortFunc(st.Models, func(a, b Model) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	slices.SortFunc(st.Systems, func(a, b System) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	slices.SortFunc(st.Access, func(a, b Access) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return st, nil
}

func query(ctx context.Context, tx *db.Tx, q string, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Change is one difference between what is and what shall be.
type Change struct {
	Object string // "system/KI-2026-001"
	What   string // "new", "changed", "removed"
	Before string // canonical rows, for the diff that people read
	After  string
}

// Diff compares the register with what shall be. With prune, what is not in want is removed (a Zugang: revoked).
func Diff(have, want *State, prune bool) []Change {
	var list []Change
	list = append(list, diff(have.Providers, want.Providers, prune, "provider", func(p Provider) string { return p.ID })...)
	list = append(list, diff(have.Models, want.Models, prune, "model", func(m Model) string { return m.ID })...)
	list = append(list, diff(have.Systems, want.Systems, prune, "system", func(y System) string { return y.ID })...)
	list = append(list, diff(live(have.Access), live(want.Access), prune, "access", func(a Access) string { return a.ID })...)
	// What others refer to comes first when it is put, and last when it is removed.
	var put, removed []Change
	for _, c := range list {
		if c.What == "removed" {
			removed = append(removed, c)
		} else {
			put = append(put, c)
		}
	}
	slices.Reverse(removed)
	return append(put, removed...)
}

// live leaves out revoked Zugänge, and of the others what does not govern.
func live(list []Access) []Access {
	var out []Access
	for _, a := range list {
		if a.Revoked == 0 {
			a.Created, a.Key = 0, ""
			out = append(out, a)
		}
	}
	return out
}

func diff[T any](have, want []T, prune bool, kind string, id func(T) string) (list []Change) {
	old := map[string]T{}
	for _, h := range have {
		old[id(h)] = h
	}
	for _, w := range want {
		h, ok := old[id(w)]
		delete(old, id(w))
		after := string(canonical(w))
		switch {
		case !ok:
			list = append(list, Change{Object: kind + "/" + id(w), What: "new", After: after})
		case string(canonical(h)) != after:
			list = append(list, Change{Object: kind + "/" + id(w), What: "changed", Before: string(canonical(h)), After: after})
		}
	}
	if prune {
		for _, h := range have {
			if _, left := old[id(h)]; left {
				list = append(list, Change{Object: kind + "/" + id(h), What: "removed", Before: string(canonical(h))})
			}
		}
	}
	return list
}

// Normal fills in defaults, so that equal meanings have equal rows.
func (st *State) Normal() {
	for i := range st.Systems {
		y := &st.Systems[i]
		if y.Output == "" {
			y.Output = Live
		}
		if y.Aliases == nil {
			y.Aliases = map[string]string{}
		}
		for _, list := range []*[]string{&y.Models, &y.Mask, &y.Regions} {
			if *list == nil {
				*list = []string{}
			}
		}
	}
}

// Onto fills in what a file cannot say and the register knows: when a Zugang expires. A key that was revoked does not come
// back because a file still names it.
func (st *State) Onto(have *State) error {
	for i := range st.Access {
		a := &st.Access[i]
		j := slices.IndexFunc(have.Access, func(b Access) bool { return b.ID == a.ID })
		switch {
		case j < 0:
		case have.Access[j].Revoked == 0:
			a.Expires = cmp.Or(a.Expires, have.Access[j].Expires)
		case bytes.Equal(have.Access[j].Hash, a.Hash):
			return problem.Conflict(problem.AccessRevoked, "access", a.ID).With(a.ID)
		}
	}
	return nil
}

// Apply makes the register what want says, in one transaction with one entry for each change, and returns the changes.
// Each Access in want that is new carries its key's Hash. Without prune nothing is removed.
func (s *Store) Apply(ctx context.Context, by auth.Actor, want *State, prune bool) (changes []Change, err error) {
	want.Normal()
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		have, err := LoadTx(ctx, tx)
		if err != nil {
			return err
		}
		have.Normal()
		if err := want.Onto(have); err != nil {
			return err
		}
		changes = Diff(have, want, prune)
		if len(changes) == 0 {
			return nil
		}
		records, err := apply(ctx, tx, by, want, changes)
		if err != nil {
			return err
		}
		_, err = s.log.AppendTx(ctx, tx, records...)
		return err
	})
	return changes, err
}

func apply(ctx context.Context, tx *db.Tx, by auth.Actor, want *State, changes []Change) (records []audit.Record, err error) {
	for _, c := range changes {
		salt := make([]byte, audit.KeySize)
		rand.Read(salt)
		kind, id := splitObject(c.Object)
		revision, err := nextRevision(ctx, tx, kind, id)
		if c.What == "new" && errors.Is(err, sql.ErrNoRows) { // a revoked Zugang with a new key goes on counting
			revision, err = 1, nil
		}
		if err != nil {
			return nil, err
		}
		system := ""
		if c.What == "removed" {
			err = remove(ctx, tx, kind, id)
		} else {
			system, err = put(ctx, tx, want, kind, id, revision, salt)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Object, err)
		}
		records = append(records, changeRecord(by, c, system, uint64(revision), salt))
	}
	return records, nil
}

func changeRecord(by auth.Actor, c Change, system string, revision uint64, salt []byte) audit.Record {
	r := audit.Record{Leaf: bundle.Leaf{Type: bundle.ChangeRegister, Object: c.Object, Revision: revision, System: system, Code: c.What}}
	if kind, _ := splitObject(c.Object); kind == "access" { // its id may name a person
		r.Leaf.Type, r.Leaf.Object = bundle.ChangeAccess, "access"
	}
	if c.After != "" {
		r.Leaf.CRow = bundle.Commit(salt, "row", []byte(c.After))
	}
	r.Content = []audit.Content{{Name: bundle.FieldMeta, Value: canonical(map[string]string{"actor": by.Name, "user": by.User, "object": c.Object, "before": c.Before, "after": c.After}), Commit: true}}
	return r
}

func splitObject(object string) (kind, id string) {
	before, after, _ := bytes.Cut([]byte(object), []byte("/"))
	return string(before), string(after)
}

// revisionSQL and removeSQL are written out per kind, so that no SQL is built.
func nextRevision(ctx context.Context, tx *db.Tx, kind, id string) (int64, error) {
	q := map[string]string{
		"provider": `SELECT revision + 1 FROM register_providers WHERE id = $1`,
		"model":    `SELECT revision + 1 FROM register_models WHERE id = $1`,
		"system":   `SELECT revision + 1 FROM register_systems WHERE id = $1`,
		"access":   `SELECT revision + 1 FROM register_access WHERE id = $1`,
	}[kind]
	var n int64
	err := tx.QueryRowContext(ctx, q, id).Scan(&n)
	return n, err
}

func remove(ctx context.Context, tx *db.Tx, kind, id string) error {
	if kind == "access" {
		_, err := tx.ExecContext(ctx, `UPDATE register_access SET revoked = $1, revision = revision + 1 WHERE id = $2`, tx.Now.UnixMicro(), id)
		return err
	}
	if kind == "system" { // its Zugänge were revoked before; they live on in the log
		if _, err := tx.ExecContext(ctx, `DELETE FROM register_access WHERE system = $1 AND revoked IS NOT NULL`, id); err != nil {
			return err
		}
	}
	q := map[string]string{
		"provider": `DELETE FROM register_providers WHERE id = $1`,
		"model":    `DELETE FROM register_models WHERE id = $1`,
		"system":   `DELETE FROM register_systems WHERE id = $1`,
	}[kind]
	_, err := tx.ExecContext(ctx, q, id)
	return err
}

// put writes one row and returns the system it belongs to, empty for providers and models.
func put(ctx context.Context, tx *db.Tx, want *State, kind, id string, revision int64, salt []byte) (system string, err error) {
	switch kind {
	case "provider":
		p := want.Providers[slices.IndexFunc(want.Providers, func(p Provider) bool { return p.ID == id })]
		_, err = tx.ExecContext(ctx, `INSERT INTO register_providers (id, kind, base_url, region, operator, key_ref, revision, salt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url, region = excluded.region, operator = excluded.operator,
			key_ref = excluded.key_ref, revision = excluded.revision, salt = excluded.salt`,
			p.ID, p.Kind, p.BaseURL, p.Region, p.Operator, p.Key, revision, salt)
	case "model":
		m := want.Models[slices.IndexFunc(want.Models, func(m Model) bool { return m.ID == id })]
		_, err = tx.ExecContext(ctx, `INSERT INTO register_models (id, provider, upstream, revision, salt) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, upstream = excluded.upstream, revision = excluded.revision, salt = excluded.salt`,
			m.ID, m.Provider, m.Upstream, revision, salt)
	case "system":
		y := want.Systems[slices.IndexFunc(want.Systems, func(y System) bool { return y.ID == id })]
		system = y.ID
		_, err = tx.ExecContext(ctx, `INSERT INTO register_systems (id, name, purpose, models, aliases, mask, regions, output, high_risk, keep_days, revision, salt)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, purpose = excluded.purpose, models = excluded.models, aliases = excluded.aliases, mask = excluded.mask,
			regions = excluded.regions, output = excluded.output, high_risk = excluded.high_risk, keep_days = excluded.keep_days, revision = excluded.revision, salt = excluded.salt`,
			y.ID, y.Name, y.Purpose, string(canonical(y.Models)), string(canonical(y.Aliases)), string(canonical(y.Mask)), string(canonical(y.Regions)), y.Output, y.HighRisk, y.KeepDays, revision, salt)
	case "access":
		a := want.Access[slices.IndexFunc(want.Access, func(a Access) bool { return a.ID == id })]
		system = a.System
		_, err = tx.ExecContext(ctx, `INSERT INTO register_access (id, system, kind, owner, key_hash, key_ref, created, expires, revision, salt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (id) DO UPDATE SET system = excluded.system, kind = excluded.kind, owner = excluded.owner, key_hash = excluded.key_hash, key_ref = excluded.key_ref,
			expires = excluded.expires, revoked = NULL, revision = excluded.revision, salt = excluded.salt`,
			a.ID, a.System, a.Kind, a.Owner, a.Hash, a.Key, tx.Now.UnixMicro(), sql.NullInt64{Int64: a.Expires, Valid: a.Expires != 0}, revision, salt)
	}
	return system, err
}

// AddAccess makes one Zugang with a new key, which is returned once.
func (s *Store) AddAccess(ctx context.Context, by auth.Actor, a Access, pepper []byte) (key string, err error) {
	key = NewKey()
	a.Hash = HashKey(pepper, key)
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		have, err := LoadTx(ctx, tx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(have.Access, func(b Access) bool { return b.ID == a.ID && b.Revoked == 0 }) {
			return problem.Invalid("access_exists", "access", a.ID)
		}
		if !slices.ContainsFunc(have.Systems, func(y System) bool { return y.ID == a.System }) {
			return problem.NotFound(problem.SystemNotFound, "system", a.System)
		}
		want := &State{Access: []Access{a}}
		records, err := apply(ctx, tx, by, want, Diff(&State{}, want, false))
		if err != nil {
			return err
		}
		_, err = s.log.AppendTx(ctx, tx, records...)
		return err
	})
	return key, err
}

// RevokeAccess ends a Zugang at once.
func (s *Store) RevokeAccess(ctx context.Context, by auth.Actor, id string) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		have, err := LoadTx(ctx, tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(have.Access, func(a Access) bool { return a.ID == id })
		if i < 0 {
			return problem.NotFound("access_unknown", "access", id)
		}
		if have.Access[i].Revoked != 0 {
			return nil
		}
		c := Change{Object: "access/" + id, What: "removed", Before: string(canonical(live(have.Access[i : i+1])[0]))}
		records, err := apply(ctx, tx, by, &State{}, []Change{c})
		if err != nil {
			return err
		}
		records[0].Leaf.System = have.Access[i].System
		_, err = s.log.AppendTx(ctx, tx, records...)
		return err
	})
}

// ScopeAll is the scope of a stop of everything.
const ScopeAll = "all"

// SetStop turns a stop on or off. Turning it on twice keeps the first reason.
func (s *Store) SetStop(ctx context.Context, by auth.Actor, scope, reason string, on bool) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		have, err := LoadTx(ctx, tx)
		if err != nil {
			return err
		}
		leaf := bundle.Leaf{Type: bundle.StopOn, Object: scope}
		switch kind, id := splitObject(scope); kind {
		case ScopeAll:
			if scope != ScopeAll { // "all/x" would stop nothing
				return problem.Invalid("stop_scope", "scope", scope)
			}
		case "system":
			leaf.System = id
			if !slices.ContainsFunc(have.Systems, func(y System) bool { return y.ID == id }) {
				return problem.NotFound(problem.SystemNotFound, "system", id)
			}
		case "access":
			i := slices.IndexFunc(have.Access, func(a Access) bool { return a.ID == id })
			if i < 0 {
				return problem.NotFound("access_unknown", "access", id)
			}
			leaf.System, leaf.Object = have.Access[i].System, "access"
		default:
			return problem.Invalid("stop_scope", "scope", scope)
		}
		var res sql.Result
		if on {
			res, err = tx.ExecContext(ctx, `INSERT INTO register_stops (scope, reason, actor, since) VALUES ($1, $2, $3, $4) ON CONFLICT (scope) DO NOTHING`,
				scope, reason, by.Name, tx.Now.UnixMicro())
		} else {
			leaf.Type = bundle.StopOff
			res, err = tx.ExecContext(ctx, `DELETE FROM register_stops WHERE scope = $1`, scope)
		}
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		meta := canonical(map[string]string{"actor": by.Name, "user": by.User, "scope": scope, "reason": reason})
		_, err = s.log.AppendTx(ctx, tx, audit.Record{Leaf: leaf, Content: []audit.Content{{Name: bundle.FieldMeta, Value: meta, Commit: true}}})
		return err
	})
}
