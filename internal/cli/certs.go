package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
)

func (a *app) certs() *cobra.Command {
	cmd := group("certs", "Certificates: how ready each name is, and what is held", a.certsRenew(), a.certsImport(), a.certsForget())
	var look bool
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&look, "look", false, "look at all names now, as is done once a day")
	cmd.Args, cmd.Example = cobra.NoArgs, "  lifeboat certs\n  lifeboat certs --look --json"
	cmd.Long = `How ready each name is to be served by the standby over HTTPS: a number from 0 to 100 with what it lacks, and the certificates that
are held. Exit code 1 when a name has a problem.`
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		var v api.CertificatesView
		if look {
			err = a.slowly(cmd.Context(), "Looking", func(ctx context.Context) (err error) {
				v, err = c.LookAtCertificates(ctx)
				return err
			})
		} else {
			v, err = c.Certificates(cmd.Context())
		}
		if err != nil {
			return err
		}
		if r.json {
			err = a.writeJSON(v)
		} else {
			a.showCertificates(v)
		}
		if err == nil && troubled(v) {
			return silent{exitFailed}
		}
		return err
	}
	return cmd
}

// troubled says whether any name has a problem.
func troubled(v api.CertificatesView) bool {
	for _, n := range v.Names {
		for _, f := range n.Findings {
			if f.Severity == string(api.SeverityProblem) {
				return true
			}
		}
	}
	return len(v.Problems) > 0
}

func (a *app) showCertificates(v api.CertificatesView) {
	if len(v.Names) == 0 {
		a.printf("No name needs a certificate: no site has scheme https, or the configuration has no certificates.\n")
		return
	}
	t := a.table()
	t.row("NAME", "READY", "DAYS", "KEY", "FROM", "SERVED HERE", "OUTSIDE")
	for _, n := range v.Names {
		t.row(n.Name, fmt.Sprintf("%d of 100", n.Score), fmt.Sprint(n.Days), dash(n.Key), dash(n.Source), string(n.Here.Seen), string(n.Outside.Seen))
	}
	t.end()
	a.readinessFindings(v)
	for _, p := range v.Problems {
		a.printf("\nproblem  %s\n         %s\n", p.About, p.Text)
		if p.Next != "" {
			a.printf("         next: %s\n", p.Next)
		}
	}
	for _, r := range v.Renewals {
		if r.LastError != "" {
			a.printf("\n%s could not be made: %s\n  It is tried again at %s. What is held is served on.\n", r.ID, strings.TrimSuffix(r.LastError, "."), clock(r.NextTry))
		}
	}
	for _, h := range v.Certificates {
		a.printf("\n%s (%s, %s) for %s\n  good until %s, by %s\n", h.ID, h.Source, h.Kind, strings.Join(h.Names, " "), day(h.Until), h.Issuer)
		for _, n := range h.Notes {
			a.printf("  note: %s\n", n)
		}
	}
	if v.Account != "" {
		a.printf("\nThe account, for CAA records: accounturi=%s\n", v.Account)
	}
}

// readinessFindings tells each finding once, with the names that it is about.
func (a *app) readinessFindings(v api.CertificatesView) {
	for _, n := range v.Names {
		for _, f := range n.Findings {
			a.printf("\n%-8s %s (-%d)\n         %s\n", f.Severity, n.Name, f.Costs, f.Text)
			if f.Next != "" {
				a.printf("         next: %s\n", f.Next)
			}
		}
	}
}

func (a *app) certsRenew() *cobra.Command {
	return a.calling(call{
		use: "renew NAME", short: "Have a site's certificates made now", args: cobra.ExactArgs(1), example: "  lifeboat certs renew shop",
		long: "Have the certificates of a site made now, whatever was tried before. NAME is the site, or one of its names. What is held is served on when it fails.",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			v, err := c.RenewCertificates(ctx, args[0])
			return v, fmt.Sprintf("The certificates are made and handed on. Readiness %d of 100.", v.Score), err
		},
	})
}

func (a *app) certsImport() *cobra.Command {
	return a.calling(call{
		use: "import CERTIFICATE KEY", short: "Bring a certificate and its key, PEM files", args: cobra.ExactArgs(2), example: "  lifeboat certs import shop.pem shop.key",
		long: `Bring a certificate and its key, both PEM files; they may be the same one. CERTIFICATE holds the leaf and what leads to its root, in
any order. The key must not be encrypted. It is kept in lifeboat's data folder, readable for lifeboat alone, and never shown.`,
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			cert, err := readSmall(args[0])
			if err != nil {
				return nil, "", err
			}
			key, err := readSmall(args[1])
			if err != nil {
				return nil, "", err
			}
			h, err := c.ImportCertificate(ctx, api.ImportBody{Certificate: string(cert), Key: string(key)})
			text := fmt.Sprintf("%s is held for %s, good until %s.", h.ID, strings.Join(h.Names, " "), day(h.Until))
			for _, n := range h.Notes {
				text += "\nnote: " + n + "."
			}
			return h, text, err
		},
	})
}

func (a *app) certsForget() *cobra.Command {
	return a.calling(call{
		use: "forget ID", short: "Take a certificate away that was brought", args: cobra.ExactArgs(1), example: "  lifeboat certs forget import.shop.example.com.ecdsa",
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			return map[string]any{"forgotten": args[0]}, "It is served no more.", c.ForgetCertificate(ctx, args[0])
		},
	})
}

// maxPEM is the longest file with a certificate or a key, in bytes.
const maxPEM = 40_000

// readSmall reads a file of a person's.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxPEM) {
		return nil, fault.New(fault.Invalid, "it is no regular file of at most %d bytes", maxPEM).At(path).WithHint("name a PEM file")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the file can't be read").At(path).Because(err).WithHint("name a PEM file that you may read")
	}
	return b, nil
}
