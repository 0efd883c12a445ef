package cli

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/answer"
	"lifeboat/internal/board"
	"lifeboat/internal/export"
	"lifeboat/internal/fault"
)

// exported is what an export says of itself.
type exported struct {
	export.Written
	Page string    `json:"page"`
	URL  string    `json:"url"`
	At   time.Time `json:"at"`
	Seen bool      `json:"seen"` // what the checks see is in it
}

// boardExport writes the status page into a folder. It asks nobody but the folder of the
// answer process, and that process for what its checks see: control may be gone.
func (a *app) boardExport() *cobra.Command {
	cmd := &cobra.Command{Use: "export DIR", Short: "Write the status page into a folder that any web server can serve", Args: cobra.ExactArgs(1),
		Long: "Write the status page with all its forms into a folder that any web server or bucket can serve. DIR is replaced in one step; it has to be new, " +
			"empty, or an earlier export. The page is made from the last good snapshot, so control is not needed; what the checks see comes from the answer " +
			"process where it runs. A copy says that it is one, and when it was made.",
		Example: "  lifeboat status export /srv/status"}
	s := a.socket(cmd)
	var host string
	var private bool
	cmd.Flags().StringVar(&host, "host", "", "the host name of the status page, where there are several")
	cmd.Flags().BoolVar(&private, "private", false, "write a private page, too; whoever can read the folder can read it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := exported{At: time.Now().UTC()}
		r, unseen := s.ask(cmd.Context(), answer.Request{Do: "sights"})
		out.Seen = unseen == nil
		boards, err := answer.Still(filepath.Join(s.data, "answer"), r.Sights, out.At)
		if err != nil {
			return err
		}
		b, err := chosen(boards, host)
		if err != nil {
			return err
		}
		if b.Page.Private != nil && !private {
			return fault.New(fault.Refused, "the status page at %s is private, and a folder has no lock", b.Page.URL).
				WithHint("say --private to write it all the same")
		}
		docs, err := answer.StillDocuments(b, "/"+export.Missing)
		if err != nil {
			return err
		}
		files, err := export.Files(docs)
		if err != nil {
			return err
		}
		if out.Written, err = export.Write(args[0], files); err != nil {
			return err
		}
		out.Page, out.URL = b.Page.Name, b.Page.URL
		if s.json {
			return a.writeJSON(out)
		}
		a.printf("%s: %d files, %d bytes, are in %s.\n", out.Page, out.Files, out.Bytes, args[0])
		if !out.Seen {
			a.printf("The answer process could not be asked what its checks see, so measured parts are shown as not known.\n")
		}
		return nil
	}
	return cmd
}

// chosen is the page of a host name, or the only one.
func chosen(boards []board.Board, host string) (board.Board, error) {
	var hosts []string
	for _, b := range boards {
		if host != "" && slices.Contains(b.Page.Hosts, strings.ToLower(host)) || host == "" && len(boards) == 1 {
			return b, nil
		}
		hosts = append(hosts, b.Page.Hosts...)
	}
	switch {
	case len(boards) == 0:
		return board.Board{}, fault.New(fault.NotFound, "there is no status page").WithHint("write status: {host: status.example.com} into the configuration")
	case host == "":
		return board.Board{}, usage("say which status page with --host: %s", strings.Join(hosts, ", "))
	}
	return board.Board{}, fault.New(fault.NotFound, "there is no status page at %s", host).WithHint("there are: %s", strings.Join(hosts, ", "))
}
