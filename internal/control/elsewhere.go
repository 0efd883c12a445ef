package control

import (
	"context"

	"lifeboat/internal/action"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/envfile"
	"lifeboat/internal/lever/flagfile"
	"lifeboat/internal/lever/flipt"
	"lifeboat/internal/lever/launchdarkly"
	"lifeboat/internal/lever/unleash"
)

// elsewhere is the part of the table of levers that flip flags in other systems. None
// of them needs answer.
func elsewhere(o Options) map[string]lever.Driver {
	return map[string]lever.Driver{
		flagfile.Flagd:    flagfile.NewFlagd(flagfile.Options{Now: o.Now}),
		flagfile.GOFF:     flagfile.NewGOFF(flagfile.Options{Now: o.Now}),
		envfile.Kind:      envfile.New(envfile.Options{Now: o.Now, Run: reloads(action.New(action.Options{Now: o.Now}))}),
		unleash.Kind:      unleash.New(o.Now),
		flipt.Kind:        flipt.New(o.Now),
		launchdarkly.Kind: launchdarkly.New(o.Now),
	}
}

// reloads runs a lever's commands as prepared acts are run.
func reloads(r *action.Runner) func(context.Context, envfile.Command) (text, problem string) {
	return func(ctx context.Context, c envfile.Command) (text, problem string) {
		out := r.Run(ctx, action.Action{Name: "reload", Exec: c.Words, Deadline: c.Deadline}, action.Input{
			Operation: action.Do, Incident: c.For.Incident, Action: c.For.Pull, Key: "reload-" + c.For.Incident + "-" + c.For.Pull,
		})
		return out.Text, out.Problem
	}
}
