package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"lifeboat/internal/account"
	"lifeboat/internal/action"
	"lifeboat/internal/capture"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/evidence"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// evidenceRoom is how much the bodies of evidence may take on disk, in bytes.
const evidenceRoom = 4 << 30

// maxSecret is the longest secret that is read from a file, in bytes.
const maxSecret = 4 << 10

// company is what the engine is given beside its store and its drivers.
func company(o Options, record store.Store, accounts *account.Book, result func(context.Context, outbox.Message, error)) (engine.Company, *outbox.Box, error) {
	c := engine.Company{Tail: func(path string, most int64) capture.Item { return capture.Tail(path, most, o.Now) }}
	bodies, err := evidence.Open(filepath.Join(o.Dir, "evidence"), evidenceRoom)
	if err != nil { // everything else goes on without
		o.Logger.Error("evidence can't be kept", "cause", err)
	} else {
		c.Bodies = bodies
	}
	c.Ledger = ledger.New(ledger.Options{Store: record, Now: o.Now, NewID: o.NewID, Logger: o.Logger})
	acts, err := actions(o.Config)
	if err != nil {
		return c, nil, err
	}
	c.Acts, c.Run = cards(o.Config), runner(o, acts)
	c.Others = func(a incident.Actor) int { return accounts.Others(a.ID, role.Operator) }
	box, err := channels(o, record, &c, result)
	if err != nil {
		return c, nil, err
	}
	c.Outbox = box
	return c, box, nil
}

// secret reads the secret of a webhook; "" is none.
func secret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the secret can't be read").At(path).Because(errors.Unwrap(err)).WithHint("write it into the file, readable for lifeboat only, or take secret_file out of the configuration")
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if b = bytes.TrimSpace(b); err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the secret can't be read").At(path).Because(err).WithHint("write it into the file")
	}
	return b, nil
}

// actions makes the prepared acts of the configuration, with their secrets.
func actions(cfg *config.Config) (map[string]action.Action, error) {
	out := map[string]action.Action{}
	for _, a := range cfg.Actions {
		do, err := act(a.Exec, a.Webhook)
		if err != nil {
			return nil, err
		}
		do.Name, do.Title, do.Says, do.Site, do.Deadline = a.Name, a.Title, a.Says, a.Site, a.Deadline
		if a.Undo != nil {
			undo, err := act(a.Undo.Exec, a.Undo.Webhook)
			if err != nil {
				return nil, err
			}
			undo.Name, undo.Title, undo.Site, undo.Deadline = a.Name, a.Title, a.Site, a.Deadline
			do.Undo = &undo
		}
		out[a.Name] = do
	}
	return out, nil
}

func act(exec []string, hook *config.Webhook) (action.Action, error) {
	a := action.Action{Exec: exec}
	if hook == nil {
		return a, nil
	}
	key, err := secret(hook.SecretFile)
	a.Webhook = &action.Webhook{URL: hook.URL, Secret: key}
	return a, err
}

func cards(cfg *config.Config) []engine.Act {
	var out []engine.Act
	for _, a := range cfg.Actions {
		out = append(out, engine.Act{Name: a.Name, Title: a.Title, Says: a.Says, Site: a.Site, Undo: a.Undo != nil})
	}
	return out
}

// runner runs prepared acts by name.
func runner(o Options, acts map[string]action.Action) func(context.Context, engine.Job) engine.Ran {
	do := action.New(action.Options{Now: o.Now})
	return func(ctx context.Context, j engine.Job) engine.Ran {
		a, known := acts[j.Action]
		if !known {
			return engine.Ran{Detail: "the configuration has no action " + j.Action + " any more"}
		}
		op := action.Do
		if j.Undo {
			op = action.Undo
		}
		out := do.Run(ctx, a, action.Input{Operation: op, Incident: j.Incident, Fix: j.Fix, Site: j.Site, Action: j.Action, Key: j.Key})
		return engine.Ran{OK: out.OK, Detail: out.Problem, Output: out.Text}
	}
}

// channels makes the box of what goes out.
func channels(o Options, record store.Store, c *engine.Company, result func(context.Context, outbox.Message, error)) (*outbox.Box, error) {
	var all []outbox.Channel
	for _, ch := range o.Config.Channels {
		key, err := secret(ch.Webhook.SecretFile)
		if err != nil {
			return nil, err
		}
		c.Channels = append(c.Channels, engine.Channel{Name: ch.Name, Tells: ch.Tells})
		to := outbox.Channel{Name: ch.Name, URL: ch.Webhook.URL, Secret: key}
		if err := to.Check(); err != nil { // its messages wait, and say why
			o.Logger.Error("a channel can't be used", "channel", ch.Name, "cause", err)
			continue
		}
		all = append(all, to)
	}
	return outbox.New(outbox.Options{Store: record, Channels: all, Now: o.Now, NewID: o.NewID, Logger: o.Logger, Result: result})
}
