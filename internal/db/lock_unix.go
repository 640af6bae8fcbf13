//go:build unix

package db

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked means that another process works on the data folder.
var ErrLocked = errors.New("another process works on this data folder")

// LockFile takes the lock that the file stands for. Where another process holds it, it waits, or fails at once with
// ErrLocked.
func LockFile(path string, wait bool) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrLocked)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
