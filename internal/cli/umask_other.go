//go:build !unix

package cli

func syscallUmask() {}
