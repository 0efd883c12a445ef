package publish

import (
	"context"
	"encoding/json"

	"lifeboat/internal/feed"
	"lifeboat/internal/subscribe"
)

// Limits of what visitors want at one time.
const (
	atOnce       = 16 // questions that are being answered, of all connections
	maxQuestions = 64 // that have come on one and have not been answered
)

// question has what a visitor wants answered, beside all else. One too many is dropped:
// who asks waits for feed.AskLimit and no longer, and so does this.
func (s *Server) question(ctx context.Context, se *session, body json.RawMessage) {
	select {
	case se.questions <- struct{}{}:
	default:
		return
	}
	se.answering.Go(func() { // ends with ctx
		ctx, cancel := context.WithTimeout(ctx, feed.AskLimit)
		defer cancel()
		defer func() { <-se.questions }()
		q, err := feed.ReadSubscribe(body)
		if err != nil {
			s.o.Logger.Warn("a visitor's question is passed over", "cause", err)
			return
		}
		if told, inTime := s.tell(ctx, q.Ask); inTime && se.Send(feed.TypeSubscribed, feed.Subscribed{ID: q.ID, Told: told}) != nil {
			_ = se.Close() // nothing can follow half a message; with it, ctx ends
		}
	})
}

// tell waits for its turn, and says whether there is anything to be told by then.
func (s *Server) tell(ctx context.Context, a subscribe.Ask) (told subscribe.Told, inTime bool) {
	if told, refused := feed.Refused(a); refused {
		return told, true
	}
	if s.o.Subscribe == nil {
		return subscribe.Told{Outcome: subscribe.Away}, true
	}
	select {
	case s.subscribing <- struct{}{}:
	case <-ctx.Done():
		return told, false
	}
	defer func() { <-s.subscribing }()
	if ctx.Err() != nil {
		return told, false
	}
	return s.o.Subscribe(ctx, a), true
}
