package engine

import (
	"context"
	"encoding/json"

	"lifeboat/internal/incident"
)

// forget deletes the bodies that events have redacted, unless another piece of evidence,
// of any incident, has the same body. It looks through the whole record, beside all else.
func (e *Engine) forget(events []incident.Event) {
	for _, ev := range events {
		var d incident.RedactedData
		if ev.Type != incident.EvidenceRedacted || json.Unmarshal(ev.Data, &d) != nil || d.SHA256 == "" || e.o.Company.Bodies == nil {
			continue
		}
		e.later("delete a redacted body", func(ctx context.Context) {
			shared, err := e.hasBody(ctx, d.SHA256)
			if err == nil && !shared {
				err = e.o.Company.Bodies.Remove(d.SHA256)
			}
			if err != nil {
				e.o.Logger.Error("a redacted body was not deleted", "incident", ev.Incident, "evidence", d.ID, "cause", err)
			}
		})
	}
}

// hasBody says whether any evidence on record still has a body.
func (e *Engine) hasBody(ctx context.Context, sha256 string) (bool, error) {
	heads, err := e.Incidents(ctx)
	if err != nil {
		return false, err
	}
	for _, h := range heads {
		events, err := e.Events(ctx, h.ID)
		if err != nil {
			return false, err
		}
		for _, x := range incident.Fold(events).Evidence {
			if x.SHA256 == sha256 {
				return true, nil
			}
		}
	}
	return false, nil
}
