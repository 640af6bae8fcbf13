//go:build unix

package cli

import "syscall"

// syscallUmask makes everything that this process creates readable by its own user only.
func syscallUmask() { syscall.Umask(0o077) }
