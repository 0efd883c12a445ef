package answer

import (
	"maps"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/snapshot"
)

// staged is what was made ready for a snapshot that is to come: what takes long with
// large zones is done before the manifest comes, and beside what is in force.
type staged struct {
	parts    map[string]snapshot.Ref // that the snapshot will name
	contents snapshot.Contents
	prepared map[string]preparedZone // by apex
	left     map[string][]byte       // parts that could not be written to disk yet, by hash
}

// stage makes the parts of a coming snapshot ready. It holds the lock for moments only,
// so that snapshots and local orders go on beside it; what it makes is taken by the
// snapshot that names the same parts. The parts are checked as install checks them, and
// change nothing.
func (a *Answer) stage(st feed.Stage, parts map[string][]byte) feed.Staged {
	a.staging.Lock() // a connection that has ended may still be at it
	defer a.staging.Unlock()
	made, err := a.makeReady(st.Parts, parts)
	if err != nil {
		a.o.Logger.Warn("parts of a snapshot were not made ready", "cause", err)
		return feed.Staged{Kind: fault.KindOf(err), Err: err.Error()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.staged = made
	return feed.Staged{}
}

func (a *Answer) makeReady(refs map[string]snapshot.Ref, parts map[string][]byte) (staged, error) {
	made := staged{parts: refs, prepared: map[string]preparedZone{}}
	a.mu.Lock()
	a.staged = staged{parts: refs} // from now on these are not pruned, and what was staged before is not held beside them
	before := a.prepared
	a.mu.Unlock()
	var err error
	if made.left, err = a.folder.Stage(parts); err != nil { // it is tried again with the snapshot, and told then
		a.o.Logger.Warn("parts that came ahead are not on disk yet", "cause", err)
	}
	made.contents, err = snapshot.DecodeContents(refs, func(hash string) ([]byte, error) {
		if b, sent := parts[hash]; sent {
			return b, nil
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.folder.Part(hash)
	})
	if err != nil {
		return staged{}, err
	}
	a.mu.Lock()
	a.memory.Expect(octetsOf(made.contents))
	a.mu.Unlock()
	for i := range made.contents.Zones {
		src := &made.contents.Zones[i]
		if made.prepared[src.Apex], err = prepare(src, made.contents, made.contents.Transfers.Gives(src.Apex), before); err != nil {
			return staged{}, fault.New(fault.Invalid, "the zones can't be served").Because(err)
		}
	}
	return made, nil
}

// decode gives the contents of a snapshot: those that were made ready for it, or else it
// reads the parts.
func (a *Answer) decode(m snapshot.Manifest, parts map[string][]byte) (snapshot.Contents, error) { // with mu held
	if a.staged.prepared != nil && maps.Equal(m.Parts, a.staged.parts) {
		return a.staged.contents, nil
	}
	return snapshot.DecodeContents(m.Parts, a.part(parts))
}

// part finds parts by their hash: among those that came with a snapshot, those that were
// sent ahead, and those on disk.
func (a *Answer) part(parts map[string][]byte) func(hash string) ([]byte, error) { // with mu held
	return func(hash string) ([]byte, error) {
		if b, sent := parts[hash]; sent {
			return b, nil
		}
		if b, ahead := a.staged.left[hash]; ahead {
			return b, nil
		}
		return a.folder.Part(hash)
	}
}

// join adds the parts that could not be written before to those that came with a
// snapshot.
func (s staged) join(parts map[string][]byte) map[string][]byte {
	if len(s.left) == 0 {
		return parts
	}
	out := maps.Clone(s.left)
	maps.Copy(out, parts)
	return out
}
