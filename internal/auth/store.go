package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/db"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// How long things last.
const (
	SessionIdle = 30 * time.Minute
	SessionMax  = 12 * time.Hour
	LinkLife    = 72 * time.Hour
)

// User is an account.
type User struct {
	ID      string
	Login   string // lower case
	Name    string
	Roles   []Role
	Created time.Time
	Ends    time.Time // zero = no end; auditor and guest always have one
	Ready   bool      // a password was set
}

// Actor is the user as whoever causes a change.
func (u *User) Actor() Actor { return Actor{User: u.ID, Name: u.Name, Roles: u.Roles} }

// Store keeps accounts, one-time links and sessions. It is safe for concurrent use.
type Store struct {
	db   *db.DB
	log  *audit.Log
	hash *hasher

	mu    sync.Mutex
	tries map[string]tries // by login and by address
}

type tries struct {
	n     int
	until time.Time
}

// NewStore returns the accounts in that database, whose changes go into that log.
func NewStore(d *db.DB, l *audit.Log) *Store {
	return &Store{db: d, log: l, hash: newHasher(), tries: map[string]tries{}}
}

// Add makes an account and returns a one-time link token with which its owner sets a password. A granter gives no role
// but from the shell or as AI officer. Roles auditor and guest need an end.
func (s *Store) Add(ctx context.Context, by Actor, u User) (token string, err error) {
	u.Login = strings.ToLower(strings.TrimSpace(u.Login))
	if u.Login == "" || len(u.Login) > 200 || u.Name == "" || len(u.Roles) == 0 {
		return "", problem.Invalid("user_incomplete")
	}
	for _, r := range u.Roles {
		if !r.Valid() {
			return "", problem.Invalid("role_unknown", "role", string(r)).With("role")
		}
		if (r == Auditor || r == Guest) && u.Ends.IsZero() {
			return "", problem.Invalid("role_needs_end", "role", string(r)).With("ends")
		}
	}
	if by.User != "" && !by.Has(AIOfficer) {
		return "", problem.Forbidden(problem.RoleForbidden)
	}
	u.ID = uuid.Must(uuid.NewV7()).String()
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		salt := make([]byte, audit.KeySize)
		rand.Read(salt)
		_, err := tx.ExecContext(ctx, `INSERT INTO auth_users (id, login, name, roles, password, created, ends, revision, salt) VALUES ($1, $2, $3, $4, '', $5, $6, 1, $7)`,
			u.ID, u.Login, u.Name, roleText(u.Roles), tx.Now.UnixMicro(), sql.NullInt64{Int64: u.Ends.UnixMicro(), Valid: !u.Ends.IsZero()}, salt)
		if db.IsDuplicate(err) {
			return problem.Conflict("user_exists", "login", u.Login)
		}
		if err == nil {
			token, err = addLink(ctx, tx, u.ID, "setup")
		}
		if err != nil {
			return err
		}
		row, err := json.Marshal(map[string]any{"id": u.ID, "login": u.Login, "name": u.Name, "roles": u.Roles})
		if err != nil {
			return err
		}
		leaf := bundle.Leaf{Type: bundle.ChangeRole, Object: "user", Revision: 1, Code: "new", CRow: bundle.Commit(salt, "row", row)}
		return s.record(ctx, tx, leaf, map[string]any{"actor": by.Name, "user": by.User, "after": json.RawMessage(row)})
	})
	return token, err
}

// Reset makes a new one-time link for an account, ends its sessions and voids its password.
func (s *Store) Reset(ctx context.Context, by Actor, login string) (token string, err error) {
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		u, _, err := userByLogin(ctx, tx, strings.ToLower(strings.TrimSpace(login)))
		if errors.Is(err, errNoUser) {
			return problem.NotFound("user_unknown", "login", login)
		}
		if err != nil {
			return err
		}
		for _, q := range []string{
			`UPDATE auth_users SET password = '', revision = revision + 1 WHERE id = $1`,
			`DELETE FROM auth_sessions WHERE usr = $1`, `DELETE FROM auth_links WHERE usr = $1`,
		} {
			if _, err := tx.ExecContext(ctx, q, u.ID); err != nil {
				return err
			}
		}
		if token, err = addLink(ctx, tx, u.ID, "setup"); err != nil {
			return err
		}
		return s.record(ctx, tx, bundle.Leaf{Type: bundle.ChangeRole, Object: "user", Code: "reset"}, map[string]any{"actor": by.Name, "user": by.User, "login": u.Login})
	})
	return token, err
}

func (s *Store) record(ctx context.Context, tx *db.Tx, leaf bundle.Leaf, meta map[string]any) error {
	b, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	_, err = s.log.AppendTx(ctx, tx, audit.Record{Leaf: leaf, Content: []audit.Content{{Name: bundle.FieldMeta, Value: b, Commit: true}}})
	return err
}

// token is 256 random bits; only its hash is stored.
func newToken() (token string, hash []byte) {
	b := make([]byte, 32)
	rand.Read(b)
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func addLink(ctx context.Context, tx *db.Tx, user, purpose string) (string, error) {
	token, hash := newToken()
	_, err := tx.ExecContext(ctx, `INSERT INTO auth_links (hash, usr, purpose, expires) VALUES ($1, $2, $3, $4)`, hash, user, purpose, tx.Now.Add(LinkLife).UnixMicro())
	return token, err
}

// LinkUser returns whose one-time setup link that is.
func (s *Store) LinkUser(ctx context.Context, token string) (u *User, err error) {
	err = s.db.Snapshot(ctx, func(tx *db.Tx) error {
		u, err = linkUser(ctx, tx, token)
		return err
	})
	return u, err
}

func linkUser(ctx context.Context, tx *db.Tx, token string) (*User, error) {
	var id string
	err := tx.QueryRowContext(ctx, `SELECT usr FROM auth_links WHERE hash = $1 AND purpose = 'setup' AND expires > $2`, hashToken(token), tx.Now.UnixMicro()).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, problem.NotFound(problem.LinkUsed)
	}
	if err != nil {
		return nil, err
	}
	return userByID(ctx, tx, id)
}

// SetPassword uses up a one-time link: it sets the password and begins a session.
func (s *Store) SetPassword(ctx context.Context, token, password string) (session string, u *User, err error) {
	if utf8.RuneCountInString(password) < MinPassword {
		return "", nil, problem.Invalid(problem.PasswordShort, "n", MinPassword).With("password")
	}
	if len(password) > maxPassword {
		return "", nil, problem.Invalid("password_long", "n", maxPassword).With("password")
	}
	if _, err := s.LinkUser(ctx, token); err != nil { // before the expensive hash
		return "", nil, err
	}
	hash, err := s.hash.hash(ctx, password)
	if err != nil {
		return "", nil, err
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		if u, err = linkUser(ctx, tx, token); err != nil {
			return err
		}
		// Of two who use the link at once, the one that deletes it has it.
		res, err := tx.ExecContext(ctx, `DELETE FROM auth_links WHERE hash = $1`, hashToken(token))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, problem.NotFound(problem.LinkUsed))
		}
		for _, q := range []string{`DELETE FROM auth_links WHERE usr = $1`, `DELETE FROM auth_sessions WHERE usr = $1`} {
			if _, err := tx.ExecContext(ctx, q, u.ID); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE auth_users SET password = $1, revision = revision + 1 WHERE id = $2`, hash, u.ID); err != nil {
			return err
		}
		session, err = beginSession(ctx, tx, u)
		return err
	})
	return session, u, err
}

const (
	freeTries = 5
	maxPause  = 5 * time.Minute
	forget    = time.Hour // after the last pause
	maxTries  = 10_000    // logins and addresses that are remembered
)

// SignIn checks a password and begins a session. Answer and time are the same for an unknown account. After five wrong
// tries an account, and an address, rests for a while that doubles.
func (s *Store) SignIn(ctx context.Context, login, password, address string) (session string, u *User, err error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if err := s.paused(login, address); err != nil {
		return "", nil, err
	}
	var stored string
	err = s.db.Snapshot(ctx, func(tx *db.Tx) error {
		u, stored, err = userByLogin(ctx, tx, login)
		return err
	})
	if err != nil && !errors.Is(err, errNoUser) {
		return "", nil, err
	}
	if len(password) > maxPassword {
		password, stored = "", ""
	}
	ok, err := s.hash.verify(ctx, stored, password)
	if err != nil {
		return "", nil, err
	}
	rests := s.paused(login, address) // meanwhile: many tries at once are no way around the pause
	now := s.db.Now()
	if !ok || u == nil {
		s.wrong(now, "login "+login, "address "+address)
	}
	switch {
	case rests != nil:
		return "", nil, rests
	case !ok || u == nil:
		return "", nil, problem.Unauthenticated(problem.SignInWrong)
	}
	if !u.Ends.IsZero() && !now.Before(u.Ends) {
		return "", nil, problem.Forbidden(problem.AccountEnded, "date", u.Ends)
	}
	s.mu.Lock()
	delete(s.tries, "login "+login)
	s.mu.Unlock()
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		_, newest, err := userByLogin(ctx, tx, login)
		if err == nil && newest != stored { // reset since it was read
			err = problem.Unauthenticated(problem.SignInWrong)
		}
		if err == nil {
			session, err = beginSession(ctx, tx, u)
		}
		return err
	})
	return session, u, err
}

// Begin begins a session for a user who has shown who they are.
func (s *Store) Begin(ctx context.Context, u *User) (session string, err error) {
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		session, err = beginSession(ctx, tx, u)
		return err
	})
	return session, err
}

func beginSession(ctx context.Context, tx *db.Tx, u *User) (string, error) {
	token, hash := newToken()
	if _, err := tx.ExecContext(ctx, `DELETE FROM auth_sessions WHERE created < $1 OR seen < $2`, tx.Now.Add(-SessionMax).UnixMicro(), tx.Now.Add(-SessionIdle).UnixMicro()); err != nil {
		return "", err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO auth_sessions (hash, usr, created, seen) VALUES ($1, $2, $3, $3)`, hash, u.ID, tx.Now.UnixMicro())
	return token, err
}

// paused answers a problem while the account or the address rests.
func (s *Store) paused(login, address string) error {
	now := s.db.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := max(s.tries["login "+login].until.Sub(now), s.tries["address "+address].until.Sub(now)); wait > 0 {
		return problem.TooMany(problem.SignInPaused, "seconds", int(wait/time.Second)+1)
	}
	return nil
}

func (s *Store) wrong(now time.Time, keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tries)+len(keys) > maxTries { // forget those that rest no longer, and if that is not enough any half
		for k, t := range s.tries {
			if now.After(t.until) {
				delete(s.tries, k)
			}
		}
		for k := range s.tries {
			if len(s.tries) <= maxTries/2 {
				break
			}
			delete(s.tries, k)
		}
	}
	for _, k := range keys {
		t := s.tries[k]
		if now.Sub(t.until) > forget {
			t.n = 0
		}
		t.n++
		if t.n >= freeTries {
			t.until = now.Add(min(time.Second<<min(t.n-freeTries, 20), maxPause))
		} else {
			t.until = now
		}
		s.tries[k] = t
	}
}

// Session returns whose session that is, and notes that it is used. It answers problem.SignInWrong for one that ended.
func (s *Store) Session(ctx context.Context, token string) (*User, error) {
	var u *User
	var seen int64
	hash := hashToken(token)
	err := s.db.Snapshot(ctx, func(tx *db.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, `SELECT usr, seen FROM auth_sessions WHERE hash = $1 AND created > $2 AND seen > $3`,
			hash, tx.Now.Add(-SessionMax).UnixMicro(), tx.Now.Add(-SessionIdle).UnixMicro()).Scan(&id, &seen)
		if errors.Is(err, sql.ErrNoRows) {
			return errNoUser
		}
		if err != nil {
			return err
		}
		u, err = userByID(ctx, tx, id)
		return err
	})
	now := s.db.Now()
	if errors.Is(err, errNoUser) || (err == nil && !u.Ends.IsZero() && !now.Before(u.Ends)) {
		return nil, problem.Unauthenticated("session_ended")
	}
	if err != nil {
		return nil, err
	}
	if now.UnixMicro()-seen > time.Minute.Microseconds() { // not with every page
		if _, err := s.db.Exec(ctx, `UPDATE auth_sessions SET seen = $1 WHERE hash = $2`, now.UnixMicro(), hash); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// EndAll ends every session and voids every one-time link.
func (s *Store) EndAll(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err1 := tx.ExecContext(ctx, `DELETE FROM auth_sessions`)
		_, err2 := tx.ExecContext(ctx, `DELETE FROM auth_links`)
		return errors.Join(err1, err2)
	})
}

// SignOut ends a session.
func (s *Store) SignOut(ctx context.Context, token string) error {
	_, err := s.db.Exec(ctx, `DELETE FROM auth_sessions WHERE hash = $1`, hashToken(token))
	return err
}

// ByLogin returns an account.
func (s *Store) ByLogin(ctx context.Context, login string) (u *User, err error) {
	err = s.db.Snapshot(ctx, func(tx *db.Tx) error {
		u, _, err = userByLogin(ctx, tx, strings.ToLower(login))
		return err
	})
	if errors.Is(err, errNoUser) {
		return nil, problem.NotFound("user_unknown", "login", login)
	}
	return u, err
}

// List returns all accounts, by login.
func (s *Store) List(ctx context.Context) ([]User, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT `+userColumns+` FROM auth_users`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []User
	for rows.Next() {
		u, _, err := scanUser(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b User) int { return strings.Compare(a.Login, b.Login) })
	return list, rows.Err()
}

var errNoUser = errors.New("no such account")

const userColumns = `id, login, name, roles, password, created, ends`

func userByID(ctx context.Context, tx *db.Tx, id string) (*User, error) {
	u, _, err := oneUser(tx.QueryRowContext(ctx, `SELECT `+userColumns+` FROM auth_users WHERE id = $1`, id))
	return u, err
}

// userByLogin also returns what is stored of the password.
func userByLogin(ctx context.Context, tx *db.Tx, login string) (*User, string, error) {
	return oneUser(tx.QueryRowContext(ctx, `SELECT `+userColumns+` FROM auth_users WHERE login = $1`, login))
}

func oneUser(row *sql.Row) (*User, string, error) {
	u, password, err := scanUser(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", errNoUser
	}
	return u, password, err
}

func scanUser(scan func(...any) error) (*User, string, error) {
	u := new(User)
	var roles, password string
	var created int64
	var ends sql.NullInt64
	if err := scan(&u.ID, &u.Login, &u.Name, &roles, &password, &created, &ends); err != nil {
		return nil, "", err
	}
	u.Created = time.UnixMicro(created).UTC()
	if ends.Valid {
		u.Ends = time.UnixMicro(ends.Int64).UTC()
	}
	u.Ready = password != ""
	return u, password, json.Unmarshal([]byte(roles), &u.Roles)
}

func roleText(roles []Role) string {
	b, err := json.Marshal(roles)
	if err != nil { // strings only
		panic(err)
	}
	return string(b)
}
