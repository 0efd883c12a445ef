package follow

import (
	"context"
	"encoding/json"
	"sync"

	"lifeboat/internal/feed"
	"lifeboat/internal/subscribe"
)

// maxQuestions is how many visitors may wait for control's word at one time.
const maxQuestions = 64

// questions are what visitors want of control on one connection.
type questions struct {
	queue chan feed.Subscribe // to be sent
	ended chan struct{}       // closed at the end of the connection

	mu      sync.Mutex // guards all below
	last    uint64
	waiting map[uint64]chan subscribe.Told // each holds one
}

func newQuestions() *questions {
	return &questions{queue: make(chan feed.Subscribe, maxQuestions), ended: make(chan struct{}), waiting: map[uint64]chan subscribe.Told{}}
}

// Subscribe asks control what a visitor of a status page wants of it, and waits for its
// word no longer than feed.AskLimit. It tells Away where none comes: no control is
// connected, the connection ends, control stands still or is of a version that knows
// nothing of the question. Then control may have done it all the same.
func (f *Follower) Subscribe(ctx context.Context, a subscribe.Ask) subscribe.Told {
	if told, refused := feed.Refused(a); refused {
		return told
	}
	q := f.asked.Load()
	if q == nil {
		return subscribe.Told{Outcome: subscribe.Away}
	}
	ctx, cancel := context.WithTimeout(ctx, feed.AskLimit)
	defer cancel()
	id, word, outcome := q.enter(a)
	if outcome != "" {
		return subscribe.Told{Outcome: outcome}
	}
	defer q.leave(id)
	select {
	case told := <-word:
		return told
	case <-q.ended:
	case <-ctx.Done():
	}
	return subscribe.Told{Outcome: subscribe.Away}
}

// enter puts a question in line, or says why not.
func (q *questions) enter(a subscribe.Ask) (id uint64, word <-chan subscribe.Told, outcome subscribe.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxQuestions {
		return 0, nil, subscribe.Busy
	}
	q.last++
	select {
	case q.queue <- feed.Subscribe{ID: q.last, Ask: a}:
	default: // full of questions that nobody waits for any more: control reads nothing
		return 0, nil, subscribe.Away
	}
	told := make(chan subscribe.Told, 1)
	q.waiting[q.last] = told
	return q.last, told, ""
}

func (q *questions) leave(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, id)
}

// waits says whether somebody still waits for a question's answer.
func (q *questions) waits(id uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting[id] != nil
}

// send sends what is asked until ctx ends.
func (q *questions) send(ctx context.Context, c *feed.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-q.queue:
			if q.waits(s.ID) && c.Send(feed.TypeSubscribe, s) != nil {
				_ = c.Close() // nothing can follow half a message; with it, ctx ends
				return
			}
		}
	}
}

// hear takes control's word. One that can't be read, or that nobody waits for, is no
// reason to lose the connection.
func (q *questions) hear(body json.RawMessage) {
	var s feed.Subscribed
	if json.Unmarshal(body, &s) != nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if word := q.waiting[s.ID]; word != nil {
		word <- s.Told // holds one
		delete(q.waiting, s.ID)
	}
}
