package publish

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/snapshot"
)

// Stage has answer hold parts and make them ready ahead of the snapshot that names them,
// so that to publish this is quick. Parts go in pieces: whatever is published meanwhile
// goes between them. It waits until answer is ready, and does nothing where none is
// connected, or one that does not know of it: then Publish sends them. An error says why
// answer can't take the parts, in which case it would not take the snapshot either, or
// that its word did not come before ctx ended.
func (s *Server) Stage(ctx context.Context, refs map[string]snapshot.Ref, parts map[string][]byte) error {
	s.staging.Lock()
	defer s.staging.Unlock()
	s.mu.Lock()
	se := s.conn
	s.mu.Unlock()
	if se == nil || !se.hello.Stages {
		return nil
	}
	missing := se.missing(parts)
	if len(missing) == 0 {
		return nil
	}
	late := context.AfterFunc(ctx, func() { _ = se.Close() }) // as in Publish: half a message ends the connection
	defer late()
	for _, hash := range missing {
		if err := se.sendPart(hash, parts[hash]); err != nil {
			return fault.New(fault.Unavailable, "send a part ahead to answer").Because(err)
		}
	}
	id := se.nextStage()
	if err := se.Send(feed.TypeStage, feed.Stage{ID: id, Parts: refs}); err != nil {
		return fault.New(fault.Unavailable, "send parts ahead to answer").Because(err)
	}
	for {
		select {
		case st := <-se.staged:
			if st.ID != id {
				continue
			}
			if st.Err != "" {
				return fault.New(cmp.Or(st.Kind, fault.Invalid), "answer can't take what is to be published: %s", st.Err)
			}
			se.holds(missing)
			return nil
		case <-se.done:
			return fault.New(fault.Unavailable, "answer left while parts were sent ahead")
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "answer did not make ready in time what is to be published").Because(context.Cause(ctx))
		}
	}
}

// missing are the hashes of parts that answer does not hold, in order.
func (se *session) missing(parts map[string][]byte) (hashes []string) {
	se.mu.Lock()
	defer se.mu.Unlock()
	for _, hash := range slices.Sorted(maps.Keys(parts)) {
		if !se.held[hash] {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// holds notes that answer holds parts.
func (se *session) holds(hashes []string) {
	se.mu.Lock()
	defer se.mu.Unlock()
	for _, hash := range hashes {
		se.held[hash] = true
	}
}

func (se *session) nextStage() uint64 {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.stages++
	return se.stages
}

// hear takes answer's word on a Stage; one that nobody has waited for is dropped.
func (se *session) hear(st feed.Staged) {
	for {
		select {
		case se.staged <- st:
			return
		default:
		}
		select {
		case <-se.staged:
		default:
		}
	}
}

// sendPart sends a part in pieces.
func (se *session) sendPart(hash string, part []byte) error {
	for at := 0; at < len(part); at += feed.MaxPiece {
		piece := feed.Piece{SHA256: hash, Size: len(part), Offset: at, Data: part[at:min(at+feed.MaxPiece, len(part))]}
		if err := se.Send(feed.TypePiece, piece); err != nil {
			return err
		}
	}
	return nil
}
