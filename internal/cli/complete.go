package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// completeTime bounds how long a shell waits for what could be meant.
const completeTime = 2 * time.Second

// completer gives what the next argument could be, from one look at everything. A tab and
// a few words after it are shown beside it.
type completer func(o api.Overview, args []string) []string

// completion makes the shell's completion of a completer; who can't be reached has
// nothing to offer.
func (a *app) completion(r *remote, of completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), completeTime)
		defer cancel()
		c, err := a.client(ctx, r)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		o, err := c.Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return of(o, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// first completes only the first argument, from the incident of each site.
func first(of func(in incident.Incident) []string) completer {
	return func(o api.Overview, args []string) []string {
		var out []string
		for _, s := range o.Sites {
			if len(args) == 0 && s.Incident != nil {
				out = append(out, of(*s.Incident)...)
			}
		}
		return out
	}
}

var (
	theCauses = first(func(in incident.Incident) (out []string) {
		for _, c := range in.Causes {
			out = append(out, c.ID+"\t"+short(c.Statement, 60))
		}
		return out
	})
	theEvidence = first(func(in incident.Incident) (out []string) {
		for _, e := range in.Evidence {
			out = append(out, e.ID+"\t"+short(e.Title, 60))
		}
		return out
	})
	theFixes = first(func(in incident.Incident) (out []string) {
		for _, f := range in.Fixes {
			out = append(out, f.ID+"\t"+short(f.Change, 60))
		}
		return out
	})
	theFollowUps = first(func(in incident.Incident) (out []string) {
		for _, f := range in.FollowUps {
			out = append(out, f.ID+"\t"+short(f.What, 60))
		}
		return out
	})
	theChanges = first(func(in incident.Incident) (out []string) {
		for _, c := range in.Changes {
			out = append(out, c.ID+"\t"+short(c.What, 60))
		}
		return out
	})
	theDecisions = first(func(in incident.Incident) (out []string) {
		for _, d := range in.Decisions {
			out = append(out, d.ID+"\t"+short(d.Question, 60))
		}
		return out
	})
	theHandovers = first(func(in incident.Incident) (out []string) {
		for _, h := range in.Handovers {
			if h.AcceptedAt.IsZero() {
				out = append(out, h.ID+"\t"+h.Role+" from "+h.From)
			}
		}
		return out
	})
)

// theLevers completes a lever of the card.
func theLevers(o api.Overview, args []string) []string {
	var out []string
	for _, s := range o.Sites {
		for _, l := range s.Levers {
			if len(args) == 0 {
				out = append(out, l.Name+"\t"+l.Title)
			}
		}
	}
	return out
}

// theSites completes a site.
func theSites(o api.Overview, args []string) []string {
	var out []string
	for _, s := range o.Sites {
		if len(args) == 0 {
			out = append(out, s.ID+"\t"+s.Title)
		}
	}
	return out
}

// oneOf completes one of some words, at a place.
func oneOf(at int, words ...string) completer {
	return func(_ api.Overview, args []string) []string {
		if len(args) == at {
			return words
		}
		return nil
	}
}
