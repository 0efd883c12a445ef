package engine

import (
	"context"
	"encoding/json"
	"slices"

	"lifeboat/internal/incident"
)

// forget deletes the bodies that events have redacted, beside all else.
func (e *Engine) forget(events []incident.Event) {
	if e.o.Company.Bodies != nil && slices.ContainsFunc(events, func(ev incident.Event) bool { return ev.Type == incident.EvidenceRedacted }) {
		e.later("delete redacted bodies", e.sweep)
	}
}

// sweep deletes all bodies that were redacted and that no other piece of evidence, of any
// incident, has. It looks through the whole record, so it finds what an earlier control
// did not come to, too.
func (e *Engine) sweep(ctx context.Context) {
	if e.o.Company.Bodies == nil {
		return
	}
	gone, err := e.redacted(ctx)
	if err != nil {
		e.o.Logger.Error("redacted bodies are not deleted", "cause", err)
		return
	}
	for sha256, by := range gone {
		if err := e.o.Company.Bodies.Remove(sha256); err != nil {
			e.o.Logger.Error("a redacted body was not deleted", "incident", by.Incident, "evidence", by.Subject.ID, "cause", err)
		}
	}
}

// redacted gives the bodies that nobody may see any more, with what says so.
func (e *Engine) redacted(ctx context.Context) (map[string]incident.Event, error) {
	heads, err := e.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	gone, kept := map[string]incident.Event{}, map[string]bool{}
	for _, h := range heads {
		events, err := e.Events(ctx, h.ID)
		if err != nil {
			return nil, err
		}
		for _, ev := range events {
			var d incident.RedactedData
			if ev.Type == incident.EvidenceRedacted && json.Unmarshal(ev.Data, &d) == nil && d.SHA256 != "" {
				gone[d.SHA256] = ev
			}
		}
		for _, x := range incident.Fold(events).Evidence {
			kept[x.SHA256] = true
		}
	}
	for sha256 := range kept {
		delete(gone, sha256)
	}
	return gone, nil
}
