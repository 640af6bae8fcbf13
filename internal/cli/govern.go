package cli

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/leitplanke/leitplanke/internal/app"
	"github.com/leitplanke/leitplanke/internal/config"
)

type checkCmd struct {
	Config string `help:"File to check: leitplanke.yaml, or a file for import config." type:"path" placeholder:"FILE" required:""`
}

// Run tells every mistake of the file. A file that begins with format: is one for import.
func (c *checkCmd) Run(e *env) error {
	data, err := os.ReadFile(c.Config)
	if err != nil {
		return err
	}
	if isGoverning(data) {
		engine, err := app.Engine()
		if err != nil {
			return err
		}
		if _, err := config.ParseGoverning(c.Config, data, engine.Types()); err != nil {
			return err
		}
	} else if _, err := config.LoadServer(c.Config); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "%s: no mistakes\n", c.Config)
	return nil
}

func isGoverning(data []byte) bool {
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "format:") {
			return true
		}
	}
	return false
}

type importCmd struct {
	Config importConfigCmd `cmd:"" help:"Read systems, models, providers and keys from a YAML file, in one transaction."`
}

type importConfigCmd struct {
	File   string `arg:"" help:"YAML file, format leitplanke.config/v1." type:"path"`
	DryRun bool   `help:"Only print what would change."`
	Prune  bool   `help:"Remove what the file does not name; keys are revoked."`
	JSON   bool   `name:"json" help:"Print the changes as JSON."`
	place
}

// Run imports the file, or prints what would change.
func (c *importConfigCmd) Run(e *env) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	engine, err := app.Engine()
	if err != nil {
		return err
	}
	if _, err := config.ParseGoverning(c.File, text, engine.Types()); err != nil { // here, so that mistakes name the file as given
		return err
	}
	var got app.Imported
	if err := c.run(e, "config.import", app.ImportArgs{File: c.File, Text: text, Prune: c.Prune, DryRun: c.DryRun}, &got, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, got)
	}
	for _, x := range got.Changes {
		fmt.Fprintf(e.out, "%-8s %s\n", x.What, x.Object)
		if x.Before != "" {
			fmt.Fprintf(e.out, "  - %s\n", x.Before)
		}
		if x.After != "" {
			fmt.Fprintf(e.out, "  + %s\n", x.After)
		}
	}
	for _, k := range got.Keys {
		fmt.Fprintf(e.errOut, "new key: %s\n", k)
	}
	verb := "changed"
	if c.DryRun {
		verb = "would change"
	}
	fmt.Fprintf(e.errOut, "%d objects %s\n", len(got.Changes), verb)
	return nil
}

type exportCmd struct {
	Config   exportConfigCmd   `cmd:"" help:"Write what governs as YAML."`
	Evidence exportEvidenceCmd `cmd:"" help:"Write an evidence bundle for an auditor."`
}

type exportConfigCmd struct {
	Out string `short:"o" help:"File; - or nothing is stdout." default:"-" placeholder:"FILE"`
	place
}

// Run writes the file.
func (c *exportConfigCmd) Run(e *env) error {
	var got app.Text
	if err := c.run(e, "config.export", app.None{}, &got, nil); err != nil {
		return err
	}
	if c.Out == "-" {
		_, err := e.out.Write(got.Text)
		return err
	}
	return os.WriteFile(c.Out, got.Text, 0o600)
}

type accessCmd struct {
	New    accessNewCmd    `cmd:"" help:"Make a key; it is printed once."`
	List   accessListCmd   `cmd:"" help:"List keys."`
	Revoke accessRevokeCmd `cmd:"" help:"Revoke a key at once."`
}

type accessNewCmd struct {
	ID     string `arg:"" help:"Name of the key, for lists and configuration."`
	System string `required:"" help:"AI system that the key opens."`
	Kind   string `required:"" enum:"person,service" help:"person or service."`
	Owner  string `help:"Sign-in name of the person, for kind person."`
	Until  string `help:"Day after which the key no longer works, as 2027-03-31." placeholder:"DATE"`
	JSON   bool   `name:"json" help:"Print as JSON."`
	place
}

// Run makes the key.
func (c *accessNewCmd) Run(e *env) error {
	switch {
	case c.Kind == "person" && c.Owner == "":
		return usage("a key of the kind person needs its person: --owner LOGIN")
	case c.Kind == "service" && c.Owner != "":
		return usage("a key of the kind service has no owner; leave --owner out, or use --kind person")
	}
	ends, err := endOfDay(c.Until)
	if err != nil {
		return err
	}
	var got app.AccessKey
	if err := c.run(e, "access.new", app.AccessArgs{ID: c.ID, System: c.System, Kind: c.Kind, Owner: c.Owner, Expires: ends}, &got, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, got)
	}
	fmt.Fprintln(e.out, got.Key)
	fmt.Fprintln(e.errOut, "This key is shown once. Keep it where secrets are kept.")
	return nil
}

// endOfDay reads a day and returns the moment at which it is over; zero for an empty text.
func endOfDay(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		return time.Time{}, usage("%q is not a day, as in 2027-03-31", s)
	}
	return t.AddDate(0, 0, 1), nil
}

type accessListCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
	place
}

// Run lists the keys.
func (c *accessListCmd) Run(e *env) error {
	var rows []app.AccessRow
	if err := c.run(e, "access.list", app.None{}, &rows, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, rows)
	}
	w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSYSTEM\tKIND\tCREATED\tSTATE")
	for _, r := range rows {
		state := "open"
		switch {
		case r.Revoked != nil:
			state = "revoked " + r.Revoked.Local().Format(time.DateOnly)
		case r.Expires != nil:
			state = "until " + r.Expires.Local().Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.System, r.Kind, r.Created.Local().Format(time.DateOnly), state)
	}
	return w.Flush()
}

type accessRevokeCmd struct {
	ID string `arg:"" help:"Name of the key."`
	place
}

// Run revokes the key.
func (c *accessRevokeCmd) Run(e *env) error {
	if err := c.run(e, "access.revoke", app.IDArgs{ID: c.ID}, &app.None{}, nil); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "The key %s is revoked: no call opens with it.\n", c.ID)
	return nil
}

type stopCmd struct {
	On  stopOnCmd  `cmd:"" help:"Stop. No call opens after it, and calls in flight end."`
	Off stopOffCmd `cmd:"" help:"Lift a stop."`
}

type stopFlags struct {
	System string `xor:"scope" help:"Only this AI system."`
	Access string `xor:"scope" help:"Only this key."`
	Reason string `required:"" help:"Why; stands in the log."`
	place
}

type (
	stopOnCmd  struct{ stopFlags }
	stopOffCmd struct{ stopFlags }
)

// Run stops.
func (c *stopOnCmd) Run(e *env) error { return c.set(e, true) }

// Run lifts a stop.
func (c *stopOffCmd) Run(e *env) error { return c.set(e, false) }

func (c *stopFlags) set(e *env, on bool) error {
	if strings.TrimSpace(c.Reason) == "" {
		return usage("a stop needs a reason")
	}
	scope, what := "all", "everything"
	switch {
	case c.System != "":
		scope, what = "system/"+c.System, "the AI system "+c.System
	case c.Access != "":
		scope, what = "access/"+c.Access, "the key "+c.Access
	}
	if err := c.run(e, "stop", app.StopArgs{On: on, Scope: scope, Reason: c.Reason}, &app.None{}, nil); err != nil {
		return err
	}
	if on {
		fmt.Fprintf(e.errOut, "Stopped: %s. No call opens until “leitplanke stop off”.\n", what)
	} else {
		fmt.Fprintf(e.errOut, "No stop on %s any more; other stops stay.\n", what)
	}
	return nil
}

type userCmd struct {
	Add   userAddCmd   `cmd:"" help:"Add an account; prints a one-time link for setting a password."`
	Reset userResetCmd `cmd:"" help:"End all sessions of an account and print a new one-time link."`
}

type userAddCmd struct {
	Login string   `arg:"" help:"Sign-in name."`
	Name  string   `required:"" help:"Name of the person."`
	Role  []string `required:"" help:"management, ai_officer, works_council, data_protection, it, process_owner, case_worker, staff, auditor or guest; several with commas."`
	Until string   `help:"Last day of the account; auditor and guest need one." placeholder:"DATE"`
	JSON  bool     `name:"json" help:"Print as JSON."`
	place
}

// Run adds the account.
func (c *userAddCmd) Run(e *env) error {
	ends, err := endOfDay(c.Until)
	if err != nil {
		return err
	}
	var got app.Link
	if err := c.run(e, "user.add", app.UserArgs{Login: c.Login, Name: c.Name, Roles: c.Role, Ends: ends}, &got, nil); err != nil {
		return err
	}
	return printLink(e, got, c.JSON)
}

type userResetCmd struct {
	Login string `arg:"" help:"Sign-in name."`
	JSON  bool   `name:"json" help:"Print as JSON."`
	place
}

// Run resets the account.
func (c *userResetCmd) Run(e *env) error {
	var got app.Link
	if err := c.run(e, "user.reset", app.IDArgs{ID: c.Login}, &got, nil); err != nil {
		return err
	}
	return printLink(e, got, c.JSON)
}

func printLink(e *env, l app.Link, asJSON bool) error {
	if asJSON {
		return printJSON(e.out, l)
	}
	fmt.Fprintln(e.out, l.URL)
	fmt.Fprintf(e.errOut, "One-time link for %s, good for %d hours.\n", l.Login, l.Hours)
	return nil
}
