package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

func (a *app) queue() *cobra.Command {
	return group("queue", "Messages that wait to go out", a.queueList(),
		a.calling(call{
			use: "retry ID", short: "Try a message again now", args: cobra.ExactArgs(1), example: "  lifeboat queue retry 01J9ZZ6V3Q4W5E6R7T8Y9U0P1A-chat",
			do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
				return map[string]any{"retried": args[0]}, "It is tried now. See what came of it with: lifeboat queue list", c.RetryMessage(ctx, args[0])
			},
		}),
		a.calling(call{
			use: "drop ID", short: "Give a message up", args: cobra.ExactArgs(1), example: "  lifeboat queue drop 01J9ZZ6V3Q4W5E6R7T8Y9U0P1A-chat",
			do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
				return map[string]any{"dropped": args[0]}, "The message is dropped.", c.DropMessage(ctx, args[0])
			},
		}))
}

func (a *app) queueList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "What waits, why, and when it is tried again", Args: cobra.NoArgs, Example: "  lifeboat queue list"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		messages, err := c.Queue(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(api.Queue{Messages: orEmpty(messages)})
		}
		if len(messages) == 0 {
			a.printf("Nothing waits: every message has gone out.\n")
			return nil
		}
		t := a.table()
		t.row("MESSAGE", "CHANNEL", "WHAT", "SINCE", "TRIES", "NEXT TRY", "WHY IT WAITS")
		for _, m := range messages {
			t.row(m.ID, m.Channel, m.Kind, day(m.Created), fmt.Sprint(m.Attempts), nextTry(m), dash(m.LastError))
		}
		t.end()
		return nil
	}
	return cmd
}

func nextTry(m api.Message) string {
	switch {
	case !m.Dead.IsZero():
		return "given up"
	case m.NextTry.IsZero():
		return "at once"
	}
	return clock(m.NextTry)
}
