package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// maxReport bounds in bytes what is read of a report.
const maxReport = 64 << 20

type reportFlags struct {
	bucketFlags
	file        string
	open, asked bool // the page is opened; the command line says whether
}

func (p program) reportCommand() *cobra.Command {
	f := reportFlags{bucketFlags: bucketFlags{output: pages()}}
	c := &cobra.Command{
		Use:   "report",
		Short: "Show what the last scheduled pass found, as a page",
		Long: `Show in a few lines what the last scheduled pass found, and open its page in the
browser: every role that is not as it was left, with the differences, what nobody
claims, and who leaves. The page is one file that asks for nothing from anywhere.

The browser is opened when the output is a terminal and there is a desktop. Else the
page is only fetched when --file names where to, or with --open. -o html and -o json
write the page or its data to standard output, and open nothing.

Needs AWS credentials, found as the AWS CLI finds them, that may list the config
bucket and read reports/ in it. Writes nothing but the page, and that only here.

Exit codes: 0 the report is shown, whatever it says; 1 there is none, or it could
not be read, written or opened.`,
		Example: `  rolekeeper report
  rolekeeper report --file report.html --open=false
  rolekeeper report -o json | jq -r '.findings[] | select(.new) | .role'`,
		Args: takes(0, 0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			f.asked = c.Flags().Changed("open")
			if f.output.value != "text" && (f.asked || f.file != "") {
				return fmt.Errorf("-o %s goes to standard output: leave out --open and --file", f.output.value)
			}
			if !f.asked {
				f.open = p.screen && p.desktop && f.file == ""
			}
			return p.report(c.Context(), f)
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.file, "file", "", "where the page is written to (default: a temporary file, when it is opened)")
	flags.BoolVar(&f.open, "open", false, "open the page in the browser (default: when the output is a terminal and no --file is given)")
	return c
}

// pages are the formats of what is a page for people.
func pages() choice { return choice{"text", []string{"text", "json", "html"}} }

// report shows what the last pass found.
func (p program) report(ctx context.Context, f reportFlags) error {
	b, err := p.bucket(ctx, f.bucketFlags)
	if err != nil {
		return err
	}
	if f.output.value == "html" {
		page, err := b.report(ctx, naming.LatestReportKey)
		if err != nil {
			return err
		}
		return p.page(page)
	}
	pass, err := b.pass(ctx)
	if err != nil {
		return err
	}
	if f.output.value == "json" {
		p.stdout.json(pass)
		return nil
	}
	passText(p.stdout, pass, p.now())
	if pass.Stopped != nil {
		p.stdout.line("`rolekeeper approve --pass` shows what it would have done, and lets it go")
	}
	if !f.open && f.file == "" {
		return nil
	}
	return p.fetch(ctx, f, b)
}

// fetch brings the page of the last pass here, and opens it.
func (p program) fetch(ctx context.Context, f reportFlags, b bucket) error {
	page, err := b.report(ctx, naming.LatestReportKey)
	if err != nil {
		return err
	}
	file, err := keep(f.file, page)
	if err != nil {
		return err
	}
	p.stdout.line("the page is in %s", file)
	if !f.open {
		return nil
	}
	if err := p.browse(ctx, file); err != nil {
		err = fmt.Errorf("open %s in the browser: %w", file, err)
		if f.asked {
			return err
		}
		p.stdout.line("it was not opened: %s", oneLine(err))
	}
	return nil
}

// page writes a page to standard output. It is no text for terminals.
func (p program) page(page []byte) error {
	if p.screen {
		return errors.New("a page is nothing for a terminal: write it to a file, or leave out -o html")
	}
	p.stdout.write(page)
	return nil
}

// pass reads what the last pass found.
func (b bucket) pass(ctx context.Context) (report.Pass, error) {
	body, err := b.report(ctx, naming.LatestPassKey)
	if err != nil {
		return report.Pass{}, err
	}
	pass, err := report.ParsePass(body)
	if err != nil {
		return report.Pass{}, fmt.Errorf("s3://%s/%s: %w: it is damaged, or of another version than this tool; the next pass writes it anew", b.name, naming.LatestPassKey, err)
	}
	return pass, nil
}

// report reads what the last pass left under the key.
func (b bucket) report(ctx context.Context, key string) ([]byte, error) {
	o, err := b.GetUpTo(ctx, key, maxReport)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		return nil, fmt.Errorf("there is no report in %s yet: the scheduled pass writes it, every hour unless the stack's parameter DriftSchedule says otherwise; "+
			"`rolekeeper drift` looks now, and the platform team has a pass taken now with `aws lambda invoke --function-name rolekeeper-drift --invocation-type Event /dev/stdout`", b.name)
	case err != nil:
		return nil, b.unreadable(err)
	}
	return o.Body, nil
}

// keep writes a page to the file, or to a new temporary one, and gives its name.
// A report has policies in it: nobody else is to read it.
func keep(name string, page []byte) (string, error) {
	if name != "" {
		if err := os.WriteFile(name, page, 0o600); err != nil {
			return "", fmt.Errorf("write the page: %w", err)
		}
		return name, nil
	}
	file, err := os.CreateTemp("", "rolekeeper-report-*.html")
	if err != nil {
		return "", fmt.Errorf("write the page: %w", err)
	}
	_, err = file.Write(page)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("write the page: %w", err)
	}
	return file.Name(), nil
}

// browse opens a file in the browser of the desktop.
func browse(ctx context.Context, file string) error {
	words := opener(runtime.GOOS)
	return exec.CommandContext(ctx, words[0], append(words[1:], file)...).Run() //nolint:gosec // one of three commands, and a file that this tool wrote
}

// opener gives the command that opens a file as the desktop does.
func opener(system string) []string {
	switch system {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	return []string{"xdg-open"}
}

// desktop reports whether there is one that a browser can be opened on: without,
// xdg-open may well open a browser in the terminal.
func desktop(system string, getenv func(string) string) bool {
	return system == "darwin" || system == "windows" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}
