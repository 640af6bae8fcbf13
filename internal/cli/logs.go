package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/app"
)

type logCmd struct {
	List logListCmd `cmd:"" help:"List entries, oldest first."`
	Show logShowCmd `cmd:"" help:"Show one entry, and the one that ends it."`
	Fork logForkCmd `cmd:"" help:"Go on after a refused start, with a documented break."`
}

type logListCmd struct {
	Log   int    `help:"Number of the log, where a fork ended an older one; default is the current one."`
	Since uint64 `help:"First number."`
	Type  string `help:"Type of entries: call.refuse, or call for all that begin so."`
	Limit int    `help:"At most so many." default:"1000"`
	JSON  bool   `name:"json" help:"Print one JSON object a line."`
	place
}

// Run lists entries.
func (c *logListCmd) Run(e *env) error {
	var list []app.Entry
	if err := c.run(e, "log.list", app.ListArgs{Log: c.Log, Since: c.Since, Type: c.Type, Limit: c.Limit}, &list, nil); err != nil {
		return err
	}
	if c.JSON {
		for _, x := range list {
			if err := printLine(e.out, x); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tTIME\tTYPE\tSYSTEM\tMODEL\tVERDICT\tCODE\tFINDINGS")
	for _, x := range list {
		at := ""
		if !x.Time.IsZero() {
			at = x.Time.Local().Format("2006-01-02 15:04:05 MST")
		}
		kind := string(x.Type)
		if x.Destroyed && kind == "" {
			kind = "(destroyed)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, at, kind, x.System, x.Model, x.Verdict, x.Code, findings(x.Findings))
	}
	return w.Flush()
}

func findings(list []bundle.Count) string {
	var b []string
	for _, f := range list {
		b = append(b, fmt.Sprintf("%s×%d", f.Type, f.N))
	}
	return strings.Join(b, " ")
}

type logShowCmd struct {
	ID   string `arg:"" help:"Number of the entry, as 1-482113."`
	JSON bool   `name:"json" help:"Print as JSON."`
	place
}

// Run shows an entry. Content is never shown here: the shell owns no key of a person.
func (c *logShowCmd) Run(e *env) error {
	if _, _, err := bundle.ParseCallID(c.ID); err != nil {
		return usage("%w", err)
	}
	var list []app.Entry
	if err := c.run(e, "log.show", app.IDArgs{ID: c.ID}, &list, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, list)
	}
	for _, x := range list {
		fmt.Fprintf(e.out, "%s  %s  %s\n", x.ID, x.Time.Local().Format("2006-01-02 15:04:05 MST"), x.Type)
		for _, f := range [][2]string{
			{"call", x.Call},
			{"system", x.System},
			{"model", x.Model},
			{"provider", x.Provider},
			{"verdict", x.Verdict},
			{"rules", strings.Join(x.Rules, ", ")},
			{"code", x.Code},
			{"findings", findings(x.Findings)},
			{"object", x.Object},
			{"keys", strings.Join(x.Keys, ", ")},
		} {
			if f[1] != "" {
				fmt.Fprintf(e.out, "  %-10s %s\n", f[0], f[1])
			}
		}
		if x.TokensIn+x.TokensOut > 0 {
			fmt.Fprintf(e.out, "  %-10s %d in, %d out\n", "tokens", x.TokensIn, x.TokensOut)
		}
		for _, r := range x.Coverage {
			fmt.Fprintf(e.out, "  %-10s %s: ran %d, skipped %d, failed %d, not inspected %d\n", "coverage", r.Detector, r.Ran, r.Skipped, r.Failed, r.NotInspected)
		}
		for _, name := range []string{"request", "outbound", "response", "meta", "sealed"} {
			if sum := x.Commitments[name]; sum != "" {
				fmt.Fprintf(e.out, "  %-10s %s\n", commitName(name), sum)
			}
		}
		switch {
		case x.Destroyed:
			fmt.Fprintln(e.out, "  content    destroyed")
		case x.Sealed:
			fmt.Fprintln(e.out, "  content    sealed; open to the owner of the key on its page")
		}
	}
	return nil
}

type logForkCmd struct {
	Reason string `required:"" help:"Why; stands in the first entry of the new log."`
	place
}

// Run begins the next log of the installation.
func (c *logForkCmd) Run(e *env) error {
	if strings.TrimSpace(c.Reason) == "" {
		return usage("a fork needs a reason")
	}
	conf, err := c.load()
	if err != nil {
		return err
	}
	// Without a refusal there is nothing to mend.
	a, err := app.Open(e.ctx, app.Options{Config: conf, Program: io.Discard})
	if err != nil {
		return err
	}
	why := a.Log.Refused()
	if err := a.Close(context.WithoutCancel(e.ctx)); err != nil {
		return err
	}
	if why == "" {
		fmt.Fprintln(e.errOut, "the log agrees with its mark; there is nothing to fork")
		return errNo
	}
	if a, err = app.Open(e.ctx, app.Options{Config: conf, Program: io.Discard, Fork: c.Reason}); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "refused before: %s\nthe log goes on as %s; the old one stays readable\n", why, a.Log.Origin())
	return a.Close(context.WithoutCancel(e.ctx))
}

type eraseCmd struct {
	ID     string `arg:"" help:"Number of the call, as 1-482113."`
	Ground string `required:"" help:"Why; sealed into the erase entry."`
	JSON   bool   `name:"json" help:"Print as JSON."`
	place
}

// Run erases the content of one call.
func (c *eraseCmd) Run(e *env) error {
	if _, _, err := bundle.ParseCallID(c.ID); err != nil {
		return usage("%w", err)
	}
	var got app.Erased
	if err := c.run(e, "erase", app.EraseArgs{ID: c.ID, Ground: c.Ground}, &got, nil); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.out, got)
	}
	fmt.Fprintf(e.out, "%s\n", got.Entry)
	fmt.Fprintf(e.errOut, "content of %d entries destroyed and deleted; backups made before hold it until they expire\n", len(got.Entries))
	if !got.Clean {
		fmt.Fprintln(e.errOut, "a reader kept a copy in the write-ahead log; it is removed as soon as that reader ends")
	}
	return nil
}

type verifyCmd struct {
	Path   string `arg:"" optional:"" help:"Bundle (.zip), exported folder, or folder of an installation." type:"path"`
	Config string `help:"Verify the installation of this configuration." type:"path" placeholder:"FILE"`
	Trust  string `help:"File with log keys or signed checkpoints that were obtained elsewhere." type:"path" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print the report as JSON."`
}

// Run verifies. It only reads, also while a server runs.
func (c *verifyCmd) Run(e *env) error {
	var trust bundle.Trust
	if c.Trust != "" {
		text, err := os.ReadFile(c.Trust)
		if err != nil {
			return err
		}
		if trust, err = bundle.ParseTrust(text); err != nil {
			return usage("%s: %w", c.Trust, err)
		}
	}
	reports, err := c.reports(e.ctx, trust)
	if err != nil {
		return err
	}
	worst := reports[len(reports)-1]
	for _, r := range reports {
		if !r.OK {
			worst = r
			break
		}
	}
	if c.JSON {
		if err := printJSON(e.out, worst); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			printReport(e.out, r)
		}
	}
	if worst.OK && c.Trust != "" && !reports[len(reports)-1].Trusted {
		fmt.Fprintln(e.errOut, "nothing in the trust file confirms this log")
		return errNo
	}
	if !worst.OK {
		return errNo
	}
	return nil
}

func (c *verifyCmd) reports(ctx context.Context, trust bundle.Trust) ([]*bundle.Report, error) {
	switch {
	case c.Config != "" && c.Path != "":
		return nil, usage("give a path or --config, not both")
	case c.Config != "":
		return app.Verify(ctx, c.Config, trust)
	case c.Path == "":
		return nil, usage("give a bundle, a folder, or --config FILE")
	}
	st, err := os.Stat(c.Path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		if _, err := os.Stat(filepath.Join(c.Path, "manifest.json")); errors.Is(err, os.ErrNotExist) {
			for _, d := range []string{c.Path, filepath.Dir(c.Path)} {
				if file := filepath.Join(d, "leitplanke.yaml"); exists(file) {
					return app.Verify(ctx, file, trust)
				}
			}
		}
	}
	r, err := bundle.Verify(ctx, c.Path, trust)
	return []*bundle.Report{r}, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func printReport(w io.Writer, r *bundle.Report) {
	verdict := "VERIFIED"
	if !r.OK {
		verdict = "NOT VERIFIED"
	}
	fmt.Fprintf(w, "%s  %s\n", verdict, r.Origin)
	if r.FirstBad != nil {
		at := "first bad"
		if r.FirstBad.Entry != nil {
			at = fmt.Sprintf("first bad entry %d", *r.FirstBad.Entry)
		}
		fmt.Fprintf(w, "  %s: %s\n", at, r.FirstBad.What)
	}
	fmt.Fprintf(w, "  %d entries, %d leaves read, root %s\n  %d checkpoints hold, the newest covers %d entries\n", r.Size, r.Entries, r.Root, r.Checkpoints, r.Covered)
	fmt.Fprintf(w, "  %d sealed parts unchanged, %d destroyed with an entry that says so\n", r.Sealed, r.Erased)
	if r.OK {
		fmt.Fprintf(w, "  %d changes and stops: no call opened under older rules; %d calls are open\n", r.Stops, r.Open)
	}
	if r.Reduced {
		fmt.Fprintln(w, "  this bundle holds a part of the log: it cannot show that nothing is missing outside its period")
	}
	if r.Trusted {
		fmt.Fprintf(w, "  log key SHA256 %s, confirmed\n", r.Fingerprint)
	} else {
		fmt.Fprintf(w, "  log key SHA256 %s, not confirmed: compare it with the one on /transparenz\n", r.Fingerprint)
	}
}

type exportEvidenceCmd struct {
	From   string `help:"First day, as 2026-11-01." placeholder:"DATE"`
	To     string `help:"Last day, as 2026-11-30." placeholder:"DATE"`
	Log    int    `help:"Number of the log, where a fork ended an older one; default is the current one."`
	System string `help:"AI system that the bundle is about; all leaves of the period are in it all the same."`
	Out    string `short:"o" required:"" help:"File (.zip)." placeholder:"FILE"`
	place
}

// Run writes the bundle.
func (c *exportEvidenceCmd) Run(e *env) error {
	args := app.EvidenceArgs{Log: c.Log, System: c.System, Version: Version()}
	var err error
	if c.From != "" {
		if args.From, err = time.ParseInLocation(time.DateOnly, c.From, time.Local); err != nil {
			return usage("%q is not a day, as in 2026-11-01", c.From)
		}
	}
	if args.To, err = endOfDay(c.To); err != nil {
		return err
	}
	if err := c.toFile(e, "evidence.export", args, c.Out); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "%s written; leitplanke verify %s, or the verify.py inside, checks it\n", c.Out, c.Out)
	return nil
}

type backupCmd struct {
	Out string `short:"o" required:"" help:"File (.zip)." placeholder:"FILE"`
	place
}

// Run writes a data backup, also while the server runs.
func (c *backupCmd) Run(e *env) error {
	if err := c.toFile(e, "backup", app.None{}, c.Out); err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "%s written; it holds no key: leitplanke keys backup\n", c.Out)
	return nil
}

type restoreCmd struct {
	File string `arg:"" help:"Data backup." type:"existingfile"`
	place
}

// Run puts a backup in place.
func (c *restoreCmd) Run(e *env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	note, forked, err := app.Restore(e.ctx, app.Options{Config: conf, Program: io.Discard}, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "restored: %d entries of %s, backup of %s\n", note.Size, note.Origin, note.At.Local().Format(time.DateTime))
	fmt.Fprintln(e.errOut, "all sessions and one-time links have ended; keys and stops are as they were at the time of the backup: look at access list and the stops. The replaced database lies beside it, ending in .old")
	if forked {
		fmt.Fprintln(e.errOut, "the mark knows a larger log than the backup has: the log goes on under a new origin, with an entry that says so")
	}
	return nil
}

type keysCmd struct {
	Backup  keysBackupCmd  `cmd:"" help:"Write an encrypted backup of all keys."`
	Restore keysRestoreCmd `cmd:"" help:"Put a key backup in place."`
}

type keysBackupCmd struct {
	To  string `required:"" help:"age recipient that can open the backup (age1…)."`
	Out string `short:"o" required:"" help:"File." placeholder:"FILE"`
	place
}

// Run writes a key backup.
func (c *keysBackupCmd) Run(e *env) error {
	return c.toFile(e, "keys.backup", app.KeysArgs{To: c.To}, c.Out)
}

type keysRestoreCmd struct {
	File     string `arg:"" help:"Key backup." type:"existingfile"`
	Identity string `required:"" help:"age identity file that opens it." type:"existingfile"`
	place
}

// Run puts a key backup in place.
func (c *keysRestoreCmd) Run(e *env) error {
	conf, err := c.load()
	if err != nil {
		return err
	}
	note, err := app.RestoreKeys(conf, c.File, c.Identity)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.errOut, "keys of %s are in place\n", note.At.Local().Format(time.DateTime))
	return nil
}

// commitName is how the leaf's field is called on pages and in documents.
func commitName(name string) string {
	if name == "sealed" {
		return "h_sealed"
	}
	return "c_" + name
}
