package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

func (a *app) evidence() *cobra.Command {
	return group("evidence", "What was collected: from outside, from logs, by people", a.evidenceList(), a.evidenceShow(), a.evidenceAdd(), a.evidenceCapture(), a.evidenceRedact())
}

func (a *app) evidenceList() *cobra.Command {
	return a.looking(look{
		use: "list", short: "List the evidence of an incident", args: cobra.NoArgs, example: "  lifeboat evidence list",
		show: func(_ context.Context, _ *apiclient.Client, in api.Incident, _ []string, asJSON bool) error {
			if asJSON {
				return a.writeJSON(api.EvidenceList{Incident: in.ID, Evidence: orEmpty(in.Evidence)})
			}
			if len(in.Evidence) == 0 {
				a.printf("Nothing was collected yet. Collect now with: lifeboat evidence capture\n")
				return nil
			}
			t := a.table()
			t.row("ID", "TAKEN", "KIND", "SIZE", "WHAT IT SHOWS")
			for _, e := range in.Evidence {
				t.row(e.ID, clock(e.At), e.Kind, size(e), says(e))
			}
			t.end()
			return nil
		},
	})
}

// says is a piece of evidence in one line: what decides by itself comes first.
func says(e incident.Evidence) string {
	title := strings.TrimSuffix(e.Title, ".")
	switch {
	case e.Redacted != "":
		return title + " (taken away: " + e.Redacted + ")"
	case e.Deciding != "":
		return title + ": " + e.Deciding
	case e.Problem != "":
		return title + " (not had: " + e.Problem + ")"
	case e.Summary != "":
		return title + ": " + short(e.Summary, 160)
	}
	return title
}

func size(e incident.Evidence) string {
	switch {
	case e.SHA256 == "":
		return "-"
	case e.Size < 10_000:
		return fmt.Sprintf("%d B", e.Size)
	case e.Size < 10_000_000:
		return fmt.Sprintf("%d kB", e.Size/1000)
	}
	return fmt.Sprintf("%d MB", e.Size/1_000_000)
}

func (a *app) evidenceShow() *cobra.Command {
	var file string
	return a.looking(look{
		use: "show ID", short: "Show a piece of evidence, or write it into a file", args: cobra.ExactArgs(1), complete: theEvidence,
		example: "  lifeboat evidence show e3\n  lifeboat evidence show e7 -o screen.png",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVarP(&file, "output", "o", "", "file to write it into, - for standard output")
		},
		show: func(ctx context.Context, c *apiclient.Client, in api.Incident, args []string, asJSON bool) error {
			for _, e := range in.Evidence {
				if e.ID == args[0] {
					return a.showEvidence(ctx, c, in, e, file, asJSON)
				}
			}
			return fault.New(fault.NotFound, "there is no evidence %q", args[0]).WithHint("see it with: lifeboat evidence list")
		},
	})
}

func (a *app) showEvidence(ctx context.Context, c *apiclient.Client, in api.Incident, e incident.Evidence, file string, asJSON bool) error {
	if asJSON && file == "" {
		return a.writeJSON(e)
	}
	if e.SHA256 == "" && file == "" { // a note, or what could not be had
		a.printf("%s\n", says(e))
		if e.Summary != "" {
			a.printf("\n%s\n", e.Summary)
		}
		return nil
	}
	text := e.Type == "text/plain"
	if file == "" && a.o.Screen && !text {
		return usage("%s is %s, which a terminal can't show: write it into a file with -o FILE", e.ID, e.Type)
	}
	body, err := c.EvidenceBody(ctx, in.ID, e.ID)
	if err != nil {
		return err
	}
	return a.put(body, file, text)
}

// put writes contents into a file, or to standard output: as they are into a pipe,
// without what a terminal would obey onto a screen.
func (a *app) put(b []byte, file string, text bool) error {
	switch {
	case file != "" && file != "-":
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return failed{fmt.Errorf("lifeboat: %w", err)}
		}
		a.tell("Written into %s (%d bytes).\n", file, len(b))
		return nil
	case a.o.Screen && text && file == "":
		_, err := a.out.Write(b)
		return err
	}
	_, err := a.o.Out.Write(b)
	return err
}

func (a *app) evidenceAdd() *cobra.Command {
	var f apiclient.File
	return a.command(act{
		use: "add [FILE]", short: "Add a file, or a note without one, as evidence", args: cobra.MaximumNArgs(1), site: true, doing: "Adding it",
		long:    "Add a file of at most 10 MB as evidence, - for standard input; or a note without a file. What the file is is told by its contents.",
		example: "  lifeboat evidence add error.log --title \"The pool runs dry from 09:12 on\"\n  journalctl -u shop | lifeboat evidence add - --title \"The shop's journal\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&f.Title, "title", "", "what it shows, in a sentence")
			cmd.Flags().StringVar(&f.Text, "text", "", "more about it")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			switch name := in.arg(0); name {
			case "":
				if f.Title == "" && f.Text == "" {
					return api.Result{}, usage("name a file, or say what you saw with --title")
				}
				return c.AddEvidenceNote(ctx, in.site, api.EvidenceNoteBody{Title: f.Title, Text: f.Text})
			case "-":
				f.Body, f.Size = a.o.In, -1
			default:
				file, err := os.Open(name)
				if err != nil {
					return api.Result{}, noFile(err)
				}
				defer func() { _ = file.Close() }() // it is only read
				info, err := file.Stat()
				if err != nil || !info.Mode().IsRegular() {
					return api.Result{}, usage("%s is not a file", name)
				}
				f.Name, f.Body, f.Size = filepath.Base(name), file, info.Size()
			}
			return c.AddEvidence(ctx, in.site, f)
		},
	})
}

// noFile tells why a file can't be read.
func noFile(err error) error {
	return failed{fmt.Errorf("lifeboat: %w", err)}
}

func (a *app) evidenceCapture() *cobra.Command {
	var site string
	return a.calling(call{
		use: "capture", short: "Collect evidence from outside and from the logs now", args: cobra.NoArgs, example: "  lifeboat evidence capture",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&site, "site", "", "the site it is about, where there are several")
		},
		do: func(ctx context.Context, c *apiclient.Client, _ []string) (any, string, error) {
			id, err := siteOf(ctx, c, site)
			if err == nil {
				err = c.Capture(ctx, id)
			}
			return api.Captured{Site: id}, "Collecting: what is found comes in within a minute. See it with: lifeboat evidence list", err
		},
	})
}

func (a *app) evidenceRedact() *cobra.Command {
	return a.command(act{
		use: "redact ID", short: "Take the body of a piece of evidence away; what it was stays", args: cobra.ExactArgs(1), incident: true, complete: theEvidence,
		doing: "Taking it away", reason: "one sentence: why",
		example: "  lifeboat evidence redact e4 --reason \"It shows a customer's address\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Redact(ctx, in.incident, in.args[0], in.reason)
		},
	})
}

// typed is a text that an argument holds, or a file, or standard input where nobody sits
// at it; at most most bytes.
func (a *app) typed(arg, file string, most int64) (string, error) {
	in := io.Reader(strings.NewReader(arg))
	switch {
	case arg != "" && file != "":
		return "", usage("give the text once: as an argument or with --file")
	case arg != "":
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return "", noFile(err)
		}
		defer func() { _ = f.Close() }() // it is only read
		in = f
	case file == "-" || !a.o.Typed:
		in = a.o.In
	default:
		return "", usage("say the text: as an argument, with --file FILE, or on standard input")
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return "", noFile(err)
	case int64(len(b)) > most:
		return "", usage("the text has more than %d bytes", most)
	case len(strings.TrimSpace(string(b))) == 0:
		return "", usage("the text is empty: give it as an argument, with --file FILE, or on standard input")
	}
	return string(b), nil
}

// orEmpty is a list that is never null in JSON.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
