package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine/desk"
)

// searchEvery is between two looks at a search.
const searchEvery = 200 * time.Millisecond

func (a *app) dataSearch() *cobra.Command {
	var b api.DataSearchBody
	var bodies, logs, usual []string
	var stop string
	return a.calling(call{
		use: "search [DATABASE]", short: "Have lifeboat look for the row that does the harm, over the connection that it keeps", args: cobra.MaximumNArgs(1),
		long: `Look for the row that does the harm as data find does, but where lifeboat control runs: over the connection that it keeps to the database, and with
the evidence of the open incident, unless logs or bodies are given.

--by moving takes rows away for a moment, with everything that hangs on them, asks the page that fails, and puts them back: for harm that only the
page itself shows. Visitors miss these rows for that moment. Everything is back when it ends, also when it is stopped with Ctrl-C.`,
		example: "  lifeboat data search --page /orders --by moving\n  lifeboat data search shop --log error.log\n  lifeboat data search --stop 01jq8zt3kd",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.By, "by", "", "narrow down by `query`, pages, moving or none; query where there is one unless said, else pages")
			f.StringArrayVar(&b.Paths, "page", nil, "`PATH` of a page that fails, as /orders; may be repeated")
			f.StringArrayVar(&bodies, "body", nil, "`FILE` with what a failing page answered; may be repeated")
			f.StringArrayVar(&logs, "log", nil, "`FILE` of log lines since it began, - for standard input; may be repeated")
			f.StringArrayVar(&usual, "usual", nil, "`FILE` of log lines from before; may be repeated")
			f.StringVar(&stop, "stop", "", "stop the `SEARCH` of this id, in place of beginning one")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			if stop != "" {
				return struct{}{}, "It stops, and what it has taken away is put back.", c.StopSearch(ctx, stop)
			}
			if len(args) > 0 {
				b.Database = args[0]
			}
			var err error
			if b.Database, err = databaseOf(ctx, c, b.Database); err != nil {
				return nil, "", err
			}
			var e [3][]string
			if e[0], err = a.texts(bodies); err == nil {
				if e[1], err = a.logLines(logs); err == nil {
					e[2], err = a.logLines(usual)
				}
			}
			if err != nil {
				return nil, "", err
			}
			b.Bodies, b.Logs, b.Usual = e[0], e[1], e[2]
			s, err := c.SearchData(ctx, b)
			if err != nil {
				return nil, "", err
			}
			if s, err = searched(ctx, c, s); err != nil {
				return nil, "", err
			}
			if s.Problem != "" {
				return s, "", fault.New(fault.Unavailable, "%s", strings.TrimSuffix(s.Problem, ".")).WithHint("see what is held with: lifeboat data held")
			}
			if s.Finding != nil && len(s.Finding.Rows) == 0 {
				return s, searchText(s), silent{exitFailed}
			}
			return s, searchText(s), nil
		},
	})
}

// searched waits until a search is over. Whoever ends the waiting ends the search.
func searched(ctx context.Context, c *apiclient.Client, s desk.Search) (desk.Search, error) {
	tick := time.NewTicker(searchEvery)
	defer tick.Stop()
	for id := s.ID; s.Running; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return s, errors.Join(context.Cause(ctx), c.StopSearch(short, id))
		}
		var err error
		if s, err = c.DataSearch(ctx, id); err != nil && ctx.Err() == nil {
			return s, err
		}
	}
	return s, nil
}

// searchText is a search for people.
func searchText(s desk.Search) string {
	var out strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, format+"\n", args...) }
	line("%s in %s, the likeliest first:", many(len(s.Candidates), "candidate"), s.Database)
	for _, c := range s.Candidates[:min(len(s.Candidates), maxShown)] {
		line("  %s %s: %s", c.Table, strings.Join(c.Key, ","), strings.Join(c.Why, "; "))
	}
	for _, n := range s.Notices {
		line("  note: %s", n)
	}
	if s.Finding == nil {
		return out.String() + "\nTo narrow them down: lifeboat data search --by moving --page PATH"
	}
	moved := ""
	if s.Moves > 0 {
		moved = fmt.Sprintf(", rows were away %s, and all are back", times(s.Moves))
	}
	line("\n%s (%s%s)", s.Finding.Words, many(s.Finding.Asked, "question"), moved)
	if len(s.Finding.Rows) > 0 {
		r := s.Finding.Rows[0]
		line("\nNext: lifeboat data plan %s --key %s", r.Table, strings.Join(r.Key, ","))
	}
	return out.String()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
