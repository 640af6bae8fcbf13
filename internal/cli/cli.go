// Package cli is the command line: one file per group of commands. Data goes to stdout, words to stderr; the exit code is
// 0 when done, 1 when the answer is no, 2 for wrong use or bad input.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/leitplanke/leitplanke/internal/app"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/config"
)

// Exit codes of the contract.
const (
	exitDone = 0
	exitNo   = 1
	exitUse  = 2
)

// grammar is every command that exists.
type grammar struct {
	Demo    demoCmd    `cmd:"" help:"Run the demo: a fictional firm, a built-in model, no network."`
	Init    initCmd    `cmd:"" help:"Prepare an installation: configuration, keys, first account."`
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Check   checkCmd   `cmd:"" help:"Check a configuration or a file for import, without starting."`
	Import  importCmd  `cmd:"" help:"Read what governs from a file."`
	Export  exportCmd  `cmd:"" help:"Write what governs, or an evidence bundle."`
	Access  accessCmd  `cmd:"" help:"Make, list and revoke keys."`
	Stop    stopCmd    `cmd:"" help:"Stop everything, one AI system or one key; or lift a stop."`
	User    userCmd    `cmd:"" help:"Add accounts and reset passwords."`
	Log     logCmd     `cmd:"" help:"List and show entries; fork a log that refuses to write."`
	Verify  verifyCmd  `cmd:"" help:"Verify a log: a bundle, an exported folder, or a data folder."`
	Erase   eraseCmd   `cmd:"" help:"Erase the content of one call."`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the data (no keys)."`
	Restore restoreCmd `cmd:"" help:"Put a data backup in place."`
	Keys    keysCmd    `cmd:"" help:"Back up and restore keys."`
	Doctor  doctorCmd  `cmd:"" help:"Look after the installation."`
	Version versionCmd `cmd:"" help:"Print version and build."`
}

// env is what a command works with.
type env struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	errOut io.Writer
}

// errNo is an answer that is no: the words are out already.
var errNo = errors.New("no")

// Main runs the command line and returns the exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	syscallUmask()
	var g grammar
	code := -1
	p, err := kong.New(&g, kong.Name("leitplanke"), kong.Writers(out, errOut), kong.Exit(func(c int) { code = c; panic(exitPanic{}) }),
		kong.Description("An LLM gateway with guardrails, a tamper-evident log, and AI Act governance enforced at run time."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(errOut, err)
		return exitUse
	}
	k, done := parse(p, args, &code, errOut)
	if done {
		return code
	}
	err = k.Run(&env{ctx, in, out, errOut})
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errNo):
		return exitNo
	}
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(errOut, mistakes.Text(config.Language()))
		return exitUse
	}
	fmt.Fprintln(errOut, app.Words(err))
	if isUse(err) {
		return exitUse
	}
	return exitNo
}

// exitPanic unwinds kong after it has printed help: its exit hook must not return.
type exitPanic struct{}

func parse(p *kong.Kong, args []string, code *int, errOut io.Writer) (k *kong.Context, done bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitPanic); !ok {
				panic(r)
			}
			done = true
		}
	}()
	k, err := p.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, err)
		fmt.Fprintln(errOut, "leitplanke --help lists the commands.")
		*code = exitUse
		return nil, true
	}
	return k, false
}

// useError is wrong use or bad input.
type useError struct{ error }

func (e useError) Unwrap() error { return e.error }

func isUse(err error) bool {
	var use useError
	if errors.As(err, &use) || errors.Is(err, os.ErrNotExist) || errors.Is(err, audit.ErrNotFound) {
		return true
	}
	return app.IsBadInput(err)
}

func usage(format string, args ...any) error { return useError{fmt.Errorf(format, args...)} }

// place is where an installation is: flags that most commands have.
type place struct {
	Config string `help:"Configuration file (default: ./leitplanke.yaml, then the demo's)." type:"path" placeholder:"FILE"`
	Data   string `help:"Folder of an installation, instead of --config." type:"path" placeholder:"DIR"`
}

// load finds and reads the configuration.
func (p place) load() (*config.Server, error) {
	switch {
	case p.Config != "" && p.Data != "":
		return nil, usage("give --config or --data, not both")
	case p.Config != "":
		return config.LoadServer(p.Config)
	case p.Data != "":
		return loadFolder(p.Data)
	}
	if _, err := os.Stat("leitplanke.yaml"); err == nil {
		return config.LoadServer("leitplanke.yaml")
	}
	demo, err := demoDir()
	if err != nil {
		return nil, err
	}
	c, err := config.LoadServer(filepath.Join(demo, "leitplanke.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, usage("no leitplanke.yaml here, and no demo: give --config FILE, or start with leitplanke init")
	}
	return c, err
}

// loadFolder finds the configuration of a folder: in it, or above it when it is the data folder itself.
func loadFolder(dir string) (*config.Server, error) {
	for _, d := range []string{dir, filepath.Dir(dir)} {
		file := filepath.Join(d, "leitplanke.yaml")
		if _, err := os.Stat(file); err == nil {
			return config.LoadServer(file)
		}
	}
	return nil, usage("%s holds no leitplanke.yaml", dir)
}

func demoDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", usage("no folder for the demo: give --data DIR (%w)", err)
	}
	return filepath.Join(cache, "leitplanke", "demo"), nil
}

// run has a command done by the running server, or, where none runs, in this process under the lock.
func (p place) run(e *env, name string, args, result any, w io.Writer) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	client, err := app.Dial(e.ctx, c.Data)
	if err == nil {
		return client.Run(e.ctx, name, args, result, w)
	}
	a, err := app.Open(e.ctx, app.Options{Config: c, Program: io.Discard})
	if err != nil {
		return err
	}
	err = runHere(e.ctx, a, name, args, result, w)
	return errors.Join(err, a.Close(context.WithoutCancel(e.ctx)))
}

func runHere(ctx context.Context, a *app.App, name string, args, result any, w io.Writer) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	cmd := app.Commands()[name]
	var by auth.Actor = app.ShellActor()
	if cmd.Stream != nil {
		return cmd.Stream(ctx, a, by, raw, w)
	}
	got, err := cmd.Run(ctx, a, by, raw)
	if err != nil {
		return err
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, result)
}

// toFile runs a command that streams into a file, which appears only when it is complete.
func (p place) toFile(e *env, name string, args any, path string) error {
	if path == "-" {
		return p.run(e, name, args, nil, e.out)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return usage("%w", err)
	}
	defer os.Remove(f.Name()) // after the rename it is not there
	err = p.run(e, name, args, nil, f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printLine writes v as one line of JSON.
func printLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
