//go:build unix

package app

import "golang.org/x/sys/unix"

// FreeBytes is the room that is left for this user on the file system of path.
func FreeBytes(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
