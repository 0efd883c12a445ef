package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/answer"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/xfr"
)

// Limits on an exchange with answer.sock.
const (
	answerTime = 10 * time.Second
	maxAnswer  = 4 << 20 // bytes
)

// answer runs the data plane (process.go), and has the commands that speak to a
// running one where control can't be asked.
func (a *app) answer(p Processes) *cobra.Command {
	cmd := group("answer", "The data plane: look at it, or pull a lever where control can't be asked")
	if p.Answer != nil {
		cmd = p.Answer()
		if cmd.Args == nil {
			cmd.Args = cobra.NoArgs
		}
	}
	cmd.AddCommand(a.answerStatus(), a.answerPull(), a.answerTrust(), a.answerAdopt())
	return cmd
}

// socket are the flags of a command that speaks to answer.sock.
type socket struct {
	data string
	json bool
}

func (a *app) socket(cmd *cobra.Command) *socket {
	s := &socket{}
	cmd.Flags().StringVar(&s.data, "data", defaultData, "data folder whose answer.sock is used")
	cmd.Flags().BoolVar(&s.json, "json", false, "write the result as JSON")
	return s
}

// ask sends one request to answer.sock.
func (s *socket) ask(ctx context.Context, q answer.Request) (answer.Reply, error) {
	path := filepath.Join(s.data, handover.AnswerSock)
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return answer.Reply{}, fault.New(fault.Unavailable, "the answer process can't be reached at %s", path).Because(fmt.Errorf("%w: %w", apiclient.ErrUnreachable, err)).
			WithHint("say where its data folder is with --data, and ask as root or as the account that started it")
	}
	defer func() { _ = c.Close() }() // nothing is lost with it
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	line, err := json.Marshal(q)
	if err != nil {
		return answer.Reply{}, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return answer.Reply{}, fault.New(fault.Unavailable, "the answer process went away").Because(err)
	}
	var r answer.Reply
	line, err = bufio.NewReader(io.LimitReader(c, maxAnswer)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return r, fault.New(fault.Unavailable, "the answer process did not say what came of it").Because(err).WithHint("look: lifeboat answer status")
	}
	if !r.OK {
		return r, fault.New(r.Kind, "%s", r.Err)
	}
	return r, nil
}

// answerCommand makes a command of one request.
func (a *app) answerCommand(use, short, long string, args cobra.PositionalArgs, request func(args []string) (answer.Request, error), say func(answer.Reply, []string)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: args}
	s := a.socket(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := request(args)
		if err != nil {
			return err
		}
		r, err := s.ask(cmd.Context(), q)
		if err != nil {
			return err
		}
		if s.json {
			return a.writeJSON(r)
		}
		say(r, args)
		return nil
	}
	return cmd
}

func (a *app) answerStatus() *cobra.Command {
	return a.answerCommand("status", "What it answers with, and what it sees", "", cobra.NoArgs,
		func([]string) (answer.Request, error) { return answer.Request{Do: "status"}, nil },
		func(r answer.Reply, _ []string) { a.standing(r) })
}

func (a *app) answerPull() *cobra.Command {
	return a.answerCommand("pull LEVER", "Pull a lever right here, without control",
		"Pull a lever right here, without control. It is in force at once and stays so; control writes it down when it is back. Where control can be reached, use lifeboat pull.",
		cobra.ExactArgs(1),
		func(args []string) (answer.Request, error) { return answer.Request{Do: "pull", Lever: args[0]}, nil },
		func(r answer.Reply, args []string) {
			a.printf("%s is in force here. Control takes it over when it is back.\n\n", args[0])
			a.standing(r)
		})
}

func (a *app) answerTrust() *cobra.Command {
	return a.answerCommand("trust KEY", "Trust a control by its public key",
		"Trust a control by its public key. An answer on a machine of its own trusts nobody until a person has said so here.",
		cobra.ExactArgs(1),
		func(args []string) (answer.Request, error) { return answer.Request{Do: "trust", Key: args[0]}, nil },
		func(answer.Reply, []string) { a.printf("This control is trusted from now on.\n") })
}

func (a *app) answerAdopt() *cobra.Command {
	return a.answerCommand("adopt EPOCH", "Let a new store's epoch move visitors",
		"Let a new store's epoch move visitors away from safety. Needed once, after a store was lost or put back from a backup while a site was failed over.",
		cobra.ExactArgs(1),
		func(args []string) (answer.Request, error) {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return answer.Request{}, usage("EPOCH is a number, as lifeboat answer status shows it, not %q", args[0])
			}
			return answer.Request{Do: "adopt", Epoch: n}, nil
		},
		func(_ answer.Reply, args []string) { a.printf("Epoch %s is adopted.\n", args[0]) })
}

// standing tells what answer says of itself.
func (a *app) standing(r answer.Reply) {
	s := r.Status
	if s == nil {
		a.printf("process %d, ready: %v\n", r.PID, r.Ready)
		return
	}
	state := "ready"
	if !r.Ready {
		state = "not ready: it has no good snapshot, or trusts nobody yet"
	}
	t := a.table()
	t.row("process", strconv.Itoa(r.PID), state)
	t.row("snapshot", "epoch "+strconv.FormatUint(s.Epoch, 10), "revision "+strconv.FormatUint(s.Revision, 10))
	t.row("control", "heard "+lasted(time.Duration(s.SilentS*float64(time.Second)))+" ago", strconv.Itoa(s.Waiting)+" reports wait for it, "+strconv.FormatUint(s.Gaps, 10)+" lost")
	for _, site := range sorted(s.Positions) {
		if !strings.Contains(site, "~") { // a drill's stand-in
			t.row("ordered", site, s.Positions[site])
		}
	}
	for _, place := range sorted(s.Seen) {
		t.row("seen", place, s.Seen[place])
	}
	for _, o := range s.Orders {
		t.row("local order", o.Lever, "by "+o.By+" at "+clock(o.At)+"; control does not know yet")
	}
	for _, p := range s.Secondaries {
		t.row("secondary", p.Zone+" at "+p.Address.String(), secondaryWords(p))
	}
	for _, c := range s.Copies {
		t.row("copy", c.Zone, copyWords(c))
	}
	for _, l := range s.Levers {
		t.row("lever", l.Name, l.Title)
	}
	t.end()
	if s.Problem != "" {
		a.printf("\n! %s\n", s.Problem)
	}
}

// secondaryWords say how far a secondary has come.
func secondaryWords(p xfr.Standing) string {
	ours := strconv.FormatUint(uint64(p.Ours), 10)
	switch {
	case p.Serial == p.Ours:
		return "has serial " + ours
	case p.Problem != "":
		return "behind serial " + ours + ": " + p.Problem
	case p.At.IsZero():
		return "not heard yet; ours is serial " + ours
	}
	return "has serial " + strconv.FormatUint(uint64(p.Serial), 10) + ", behind ours, " + ours
}

// copyWords say how it stands with the copy of somebody else's zone.
func copyWords(c xfr.Copy) string {
	said := "serial " + strconv.FormatUint(uint64(c.Serial), 10) + ", good at " + clock(c.Good)
	switch {
	case c.Serial == 0 && c.Good.IsZero():
		said = "has not come yet"
	case c.Expired:
		said += ", expired: it is not answered"
	}
	if c.Signed {
		said += ", signed by its primary until " + day(c.Until)
	}
	if c.Problem != "" {
		said += ": " + c.Problem
	}
	return said
}
