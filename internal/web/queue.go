package web

import (
	"errors"
	"net/http"
	"net/url"

	"lifeboat/internal/account"
	"lifeboat/internal/outbox"
)

type messageRow struct {
	outbox.Message
	Retry, Drop ask
}

// messages is the room of what could not go out yet. Nothing waits for it.
func (s *server) messages(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err != nil {
		s.fail(w, who, err)
		return
	}
	queue, err := s.o.Engine.Queue(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	var rows []messageRow
	for _, m := range queue[:min(len(queue), maxRows)] {
		row := messageRow{Message: m, Retry: x.ask("retry", "message", m.ID), Drop: x.ask("drop", "message", m.ID)}
		row.Retry.Small, row.Drop.Small = true, true
		row.Retry.Name, row.Drop.Name = "Try now: "+m.Channel, "Give it up: "+m.Channel
		rows = append(rows, row)
	}
	headline := count(len(queue), "message waits.", "messages wait.")
	if len(queue) == 0 {
		headline = "Every message has gone out."
	}
	p := s.room(who, x.o, "/messages", headline, "A channel that does not answer is tried again, for a day. Nothing else waits for it.")
	p.Say, p.Body = s.said(r), rows
	s.show(w, http.StatusOK, "messages.html", p)
}

// isTooSoon says whether somebody tries to sign in too often.
func isTooSoon(err error) bool {
	var soon *account.TooSoon
	return errors.As(err, &soon)
}
