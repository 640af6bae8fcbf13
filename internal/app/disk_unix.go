//go:build unix

package app

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FreeBytes is the room that is left for this user on the file system of path.
func FreeBytes(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// sameDevice reports whether two paths, or the folders above them that exist, lie on one file system.
func sameDevice(a, b string) bool {
	dev := func(p string) (uint64, bool) {
		for {
			var st unix.Stat_t
			if unix.Stat(p, &st) == nil {
				return uint64(st.Dev), true //nolint:unconvert // its type differs between systems
			}
			up := filepath.Dir(p)
			if up == p {
				return 0, false
			}
			p = up
		}
	}
	x, okX := dev(a)
	y, okY := dev(b)
	return okX && okY && x == y
}
