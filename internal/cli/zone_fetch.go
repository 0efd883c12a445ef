package cli

import (
	"io"
	"os"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
)

func (a *app) zoneFetch() *cobra.Command {
	var from, keyFile, to string
	cmd := &cobra.Command{
		Use: "fetch ZONE", Short: "Get a zone from a name server, and write it as a zone file", Args: cobra.ExactArgs(1),
		Long: `Get a zone from a name server by zone transfer (AXFR), check it as zone check does, and write it as a zone file. What is bad is not
written. Signatures (RRSIG, NSEC) are left out.`,
		Example: "  lifeboat zone fetch example.com --from 192.0.2.53 --key-file ns2.key --out example.com.zone",
	}
	cmd.Flags().StringVar(&from, "from", "", "the name server, `HOST:PORT`; the port is 53 unless said")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "`FILE` with the TSIG key to sign with, as tsig-keygen prints it")
	cmd.Flags().StringVar(&to, "out", "", "`FILE` to write, which must not be there yet; the terminal when left out")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		apex := strings.ToLower(dns.Fqdn(args[0]))
		if _, ok := dns.IsDomainName(apex); !ok {
			return usage("%q is not the name of a zone, such as example.com", args[0])
		}
		if from == "" {
			return usage("say which name server has the zone: --from HOST:PORT")
		}
		o := xfr.FetchOptions{Server: withPort(from), Apex: apex, Limit: transferLimit, MaxBytes: maxZone, Now: a.o.Now}
		var err error
		if keyFile != "" {
			if o.Key, err = readKey(keyFile); err != nil {
				return failed{err}
			}
		}
		z, err := xfr.Fetch(cmd.Context(), o)
		if err != nil {
			return failed{err}
		}
		for _, w := range z.Warnings() {
			a.tell("warning: %s\n", w)
		}
		if to == "" {
			a.printf("%s", z.Text())
			return nil
		}
		if err := writeNew(to, z.Text()); err != nil {
			return failed{err}
		}
		a.printf("%s: zone %s, %s, serial %d\n", to, z.Apex(), many(z.Size(), "record"), z.Serial())
		return nil
	}
	return cmd
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fault.New(fault.Conflict, "can't write it").At(path).Because(reason(err)).WithHint("choose a name that is not there yet")
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fault.New(fault.Unavailable, "can't write it").At(path).Because(reason(err))
	}
	return nil
}

// readKey reads a file with a TSIG key.
func readKey(path string) (snapshot.TSIGKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return snapshot.TSIGKey{}, fault.New(fault.NotFound, "can't read the key").At(path).Because(reason(err)).WithHint("make one with: tsig-keygen -a hmac-sha256 NAME")
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return snapshot.TSIGKey{}, fault.New(fault.Invalid, "can't read the key").At(path).Because(reason(err))
	}
	return xfr.ParseKeyFile(string(b), path)
}
