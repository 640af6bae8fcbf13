//go:build !unix

package db

import (
	"errors"
	"os"
)

// ErrLocked means that another process works on the data folder.
var ErrLocked = errors.New("another process works on this data folder")

// LockFile creates the file and removes it again; the server itself runs on Linux only.
func LockFile(path string, _ bool) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, ErrLocked
	}
	return func() { f.Close(); os.Remove(path) }, nil
}
