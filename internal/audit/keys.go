package audit

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

// KeySize is the length in bytes of the root key, of the keys below it and of the salts of records.
const KeySize = 32

// ErrKeyDestroyed means that the content cannot be opened any more, by anyone.
var ErrKeyDestroyed = errors.New("the key was destroyed")

// KeyStore holds the keys that seal content: one for each system and month, wrapped by the root key. It lives in a
// database of its own, so that a data backup never holds a key. It is safe for concurrent use.
type KeyStore struct {
	db   *db.DB
	root cipher.AEAD

	mu   sync.Mutex
	keys map[string][]byte // by reference
}

// OpenKeyStore opens the key store in a migrated database.
func OpenKeyStore(d *db.DB, root []byte) (*KeyStore, error) {
	aead, err := sealer(root)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	return &KeyStore{db: d, root: aead, keys: map[string][]byte{}}, nil
}

// keyRef names the key that seals the part beside a leaf: that of system and month for calls, "KI-2026-001/2026-11", and
// "house/2026-11" for everything else, which lives longer than calls do.
func keyRef(leaf *bundle.Leaf, t time.Time) string {
	owner := "house"
	if strings.HasPrefix(string(leaf.Type), "call.") && leaf.System != "" {
		owner = leaf.System
	}
	return owner + "/" + t.UTC().Format("2006-01")
}

// key returns the key of that reference; with create it makes and stores one where there is none. A new key is durable
// before it is returned, so before its first record.
func (s *KeyStore) key(ctx context.Context, ref string, create bool) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[ref]; ok {
		return k, nil
	}
	k, err := s.load(ctx, ref)
	if errors.Is(err, sql.ErrNoRows) {
		if !create {
			return nil, ErrKeyDestroyed
		}
		k, err = s.create(ctx, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	s.keys[ref] = k
	return k, nil
}

func (s *KeyStore) load(ctx context.Context, ref string) ([]byte, error) {
	var wrapped []byte
	if err := s.db.Read().QueryRowContext(ctx, `SELECT wrapped FROM audit_keys WHERE ref = $1`, ref).Scan(&wrapped); err != nil {
		return nil, err
	}
	return s.root.Open(nil, nil, wrapped, []byte(ref))
}

func (s *KeyStore) create(ctx context.Context, ref string) ([]byte, error) {
	k := make([]byte, KeySize)
	rand.Read(k) // never fails since Go 1.24
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_keys (ref, wrapped, created) VALUES ($1, $2, $3)`,
			ref, s.root.Seal(nil, nil, k, []byte(ref)), tx.Now.UnixMicro())
		return err
	})
	if db.IsDuplicate(err) { // another node was first
		return s.load(ctx, ref)
	}
	return k, err
}

// Refs lists the references of all keys.
func (s *KeyStore) Refs(ctx context.Context) ([]string, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT ref FROM audit_keys ORDER BY ref`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var refs []string
	for rows.Next() {
		var ref string
		if err := rows.Scan(&ref); err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, rows.Err()
}

// destroy deletes keys, also from the write-ahead log. It reports false where a reader kept the log from being emptied;
// the keys are gone from the table, and the caller tries again.
func (s *KeyStore) destroy(ctx context.Context, refs []string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		for _, ref := range refs {
			if _, err := tx.ExecContext(ctx, `DELETE FROM audit_keys WHERE ref = $1`, ref); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, ref := range refs {
		delete(s.keys, ref)
	}
	return s.db.CheckpointWAL(ctx, true)
}

func sealer(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// recordSealer derives the key of one record, HKDF-SHA256 (RFC 5869) over the month's key with the record's salt.
func recordSealer(month, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, month, salt, "leitplanke/record/v1", KeySize)
	if err != nil {
		return nil, err
	}
	return sealer(k)
}
