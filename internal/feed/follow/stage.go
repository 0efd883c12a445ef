package follow

import (
	"context"
	"encoding/json"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
)

// staging is a Stage with the parts that have come for it.
type staging struct {
	feed.Stage
	parts map[string][]byte
}

// piece takes a piece of a part. What does not fit together ends the connection: nothing
// that follows could be believed.
func (f *Follower) piece(body json.RawMessage, pieces *feed.Pieces) error {
	if f.o.Stage == nil {
		return nil
	}
	var p feed.Piece
	if err := json.Unmarshal(body, &p); err != nil {
		return fault.New(fault.Invalid, "a piece of a part can't be read").Because(err)
	}
	return pieces.Add(p)
}

// makeReady has parts made ready beside all else. Control asks for one at a time.
func (f *Follower) makeReady(c *feed.Conn, body json.RawMessage, pieces *feed.Pieces, stages chan<- staging) error {
	var st staging
	if err := json.Unmarshal(body, &st.Stage); err != nil {
		return fault.New(fault.Invalid, "what is to be made ready can't be read").Because(err)
	}
	st.parts = pieces.Take(func(yield func(string) bool) {
		for _, ref := range st.Parts {
			if !yield(ref.SHA256) {
				return
			}
		}
	})
	why := "this answer takes nothing ahead"
	if f.o.Stage != nil {
		select {
		case stages <- st:
			return nil
		default:
			why = "another snapshot is being made ready"
		}
	}
	return c.Send(feed.TypeStaged, feed.Staged{ID: st.ID, Kind: fault.Conflict, Err: why})
}

// stage makes ready what it is given, one after the other.
func (f *Follower) stage(ctx context.Context, c *feed.Conn, stages <-chan staging) {
	for {
		select {
		case <-ctx.Done():
			return
		case st := <-stages:
			done := f.o.Stage(st.Stage, st.parts)
			done.ID = st.ID
			if c.Send(feed.TypeStaged, done) != nil {
				_ = c.Close() // nothing can follow half a message; with it, ctx ends
			}
		}
	}
}
