// Leitplanke is the gate between a firm's people, processes and language models; see README.md.
package main

import (
	"os"
	_ "time/tzdata" // pages show local times also where the system has no zone files

	"github.com/leitplanke/leitplanke/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
