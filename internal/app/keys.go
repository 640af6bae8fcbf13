package app

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/config"
)

// Keys are the secrets of an installation, files of 32 bytes in hexadecimal, mode 0600, in a folder of their own.
type Keys struct {
	root   []byte             // wraps the keys that seal content
	log    ed25519.PrivateKey // signs checkpoints
	pepper []byte             // of the hashes of Zugang keys
}

const (
	rootFile   = "root.key"
	logFile    = "log.key"
	pepperFile = "pepper.key"
)

// KeyFiles lists the files in the folder of keys.
func KeyFiles() []string { return []string{rootFile, logFile, pepperFile} }

// MakeKeys writes new keys where there are none. It never replaces one.
func MakeKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range KeyFiles() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		b := make([]byte, audit.KeySize)
		rand.Read(b)
		if err := audit.WriteFile(path, []byte(hex.EncodeToString(b)+"\n")); err != nil {
			return err
		}
	}
	return nil
}

// loadKeys reads the keys of an installation.
func loadKeys(s *config.Server) (*Keys, error) {
	read := func(name string) ([]byte, error) {
		text, err := config.ReadSecret(s.Keys, "file:"+name)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", name, err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil || len(b) != audit.KeySize {
			return nil, fmt.Errorf("key %s: not %d bytes in hexadecimal", name, audit.KeySize)
		}
		return b, nil
	}
	root, err1 := read(rootFile)
	seed, err2 := read(logFile)
	pepper, err3 := read(pepperFile)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	return &Keys{root: root, log: ed25519.NewKeyFromSeed(seed), pepper: pepper}, nil
}
