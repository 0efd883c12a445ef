package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
)

// WriteUp builds the post-mortem of an incident from its events.
func (e *Engine) WriteUp(ctx context.Context, id string, public bool) (postmortem.Document, error) {
	events, err := e.Events(ctx, id)
	if err != nil {
		return postmortem.Document{}, err
	}
	return postmortem.Build(events, e.writeUpOptions(incident.Fold(events).Site, public)), nil
}

func (e *Engine) writeUpOptions(site string, public bool) postmortem.Options {
	o := postmortem.Options{Title: site, Now: e.o.Now().UTC(), Public: public, Actions: map[string]string{}}
	if cfg, known := e.site(site); known {
		o.Title, o.Names = cfg.Title, cfg.Names
	}
	for _, a := range e.o.Company.Acts {
		o.Actions[a.Name] = a.Title
	}
	return o
}

// FinishWriteUp makes the write-up final: the hash of its text goes on record.
func (e *Engine) FinishWriteUp(ctx context.Context, id string, by incident.Actor) (Result, error) {
	doc, err := e.WriteUp(ctx, id, false)
	if err != nil {
		return Result{}, err
	}
	sum := sha256.Sum256(postmortem.Markdown(doc))
	return e.DoIn(ctx, id, incident.Finalise{SHA256: hex.EncodeToString(sum[:])}, by)
}
