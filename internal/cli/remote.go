package cli

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// defaultServer is where a running lifeboat is, unless said.
const defaultServer = "http://127.0.0.1:8080"

// remote are the flags of a command that talks to a running lifeboat.
type remote struct {
	server, token, data string
	json                bool
}

func (a *app) remote(cmd *cobra.Command) *remote {
	r := &remote{}
	f := cmd.Flags()
	f.StringVar(&r.server, "server", "", "where lifeboat is: http://HOST:PORT or unix:PATH (LIFEBOAT_SERVER; default "+defaultServer+")")
	f.StringVar(&r.token, "token", "", "token to use (LIFEBOAT_TOKEN, which other accounts can't see); none is needed over a socket")
	f.StringVar(&r.data, "data", "", "data folder whose control.sock is used (default "+defaultData+" where no token is given)")
	f.BoolVar(&r.json, "json", false, "write the result as JSON")
	return r
}

// client connects as the flags and the environment say. Without a token the local
// socket is tried first: whoever may open it needs none.
func (a *app) client(ctx context.Context, r *remote) (*apiclient.Client, error) {
	server, token := r.server, r.token
	if server == "" && r.data == "" {
		server = a.o.Getenv("LIFEBOAT_SERVER")
	}
	if token == "" {
		token = a.o.Getenv("LIFEBOAT_TOKEN")
	}
	switch {
	case server != "":
	case r.data != "":
		server = "unix:" + filepath.Join(r.data, handover.ControlSock)
	case token == "" && answers(ctx, filepath.Join(defaultData, handover.ControlSock)):
		server = "unix:" + filepath.Join(defaultData, handover.ControlSock)
	default:
		server = defaultServer
	}
	return apiclient.New(apiclient.Options{Server: server, Token: token, Via: "cli"})
}

// answers says whether somebody listens on a local socket that we may open.
func answers(ctx context.Context, path string) bool {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was sent
	return true
}

// siteOf finds the site that a command is about: the one named, the only one, or the
// only one with an open incident.
func siteOf(ctx context.Context, c *apiclient.Client, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	o, err := c.Status(ctx)
	if err != nil {
		return "", err
	}
	var all, open []string
	for _, s := range o.Sites {
		all = append(all, s.ID)
		if s.Incident != nil && s.Incident.Phase.Open() {
			open = append(open, s.ID)
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(open) == 1:
		return open[0], nil
	case len(all) == 0:
		return "", fault.New(fault.NotFound, "no site is configured")
	}
	return "", usage("say which site: --site with one of %s", strings.Join(all, ", "))
}
