package engine

import (
	"context"
	"encoding/json"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
)

// auto is what answer is told that it may do by itself: nothing unless the site
// asks for it, a person has not taken an automatic move back, and the lever is
// armed.
func (e *Engine) auto(s snapshot.Site, o ordered) *snapshot.Auto {
	cfg, known := e.site(s.ID)
	state := o.auto[s.ID]
	if !known || s.Shadow != "" || cfg.Failover != "auto" || state.Held {
		return nil
	}
	name, ok := e.runners[s.ID].remedy()
	if !ok {
		return nil
	}
	rec, err := e.drillRecord(context.Background(), name)
	if err != nil || rec.ArmedUntil.IsZero() {
		return nil
	}
	a := &snapshot.Auto{Lever: name, Position: snapshot.Standby, ArmedUntil: rec.ArmedUntil, Silence: cfg.Silence, Gap: cfg.AutoGap}
	if !state.Last.IsZero() {
		a.NotBefore = state.Last.Add(cfg.AutoGap)
	}
	return a
}

// ResumeAuto lets rules move the site again after a person had taken an automatic
// move back (U3).
func (e *Engine) ResumeAuto(ctx context.Context, site string) error {
	if _, known := e.runners[site]; !known {
		return fault.New(fault.NotFound, "there is no site %q", site)
	}
	was := e.autoOf(site).Held
	if _, err := e.o.Store.Txn(ctx, nil, []store.Write{e.noteHeld(site, false)}); err != nil {
		e.noteHeld(site, was) // what is not on record does not count
		return err
	}
	return e.republish(context.WithoutCancel(ctx))
}

// noteHeld remembers whether rules may move the site; the write keeps it.
func (e *Engine) noteHeld(site string, held bool) store.Write {
	var w store.Write
	e.note(func(next *ordered) {
		a := next.auto[site]
		a.Held = held
		next.auto[site] = a
		w = put(keyAuto+site, a)
	})
	return w
}

// homeOf is where an adopted pull leads back to.
func homeOf(card lever.Card, s snapshot.Site) json.RawMessage {
	if card.Kind != kindZone {
		return json.RawMessage("null")
	}
	return quote(s.Home)
}
