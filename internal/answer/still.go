package answer

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/boardfeed"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

// Still are the status pages of the last good snapshot in a folder of answer's, which
// may be running or not; control and the store are not needed. sights are what the checks
// saw last: without them a measured part of a page is not known to work. The folder is
// only read. None there is fault NotFound.
func Still(dir string, sights []feed.Sight, now time.Time) ([]board.Board, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no snapshot at %s", dir).WithHint("say where the data folder is with --data")
	}
	folder, err := snapshot.OpenFolder(dir)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the snapshot can't be read").Because(err).WithHint("ask as root or as the account that started lifeboat")
	}
	defer func() { _ = folder.Close() }() // nothing was written
	key, err := folder.Key()
	if err != nil {
		return nil, err
	}
	m, c, _, err := folder.Load(key)
	if err != nil {
		return nil, err
	}
	local, err := folder.LoadLocal()
	if err != nil {
		return nil, err
	}
	orders, facts := inViewOf(m, c, local, now)
	facts, _ = heard(facts, c.Sites, orders)
	for _, s := range sights {
		seen := board.Seen{Site: s.Site, Place: s.Place, Check: s.Check, Seen: s.Seen, At: s.Last.At, Every: s.Every}
		if s.Last.Verdict == probe.Pass {
			seen.Took = s.Last.Took
		}
		facts.Seen = append(facts.Seen, seen)
	}
	var out []board.Board
	for _, p := range facts.Sheet.Pages {
		out = append(out, board.Make(p, facts))
	}
	return out, nil
}

// StillDocuments are all documents of a status page as a copy that says it is one;
// missing is the path of what is said where nothing is.
func StillDocuments(b board.Board, missing string) (map[string]statuspage.Document, error) {
	o := statuspage.Options{Feeds: boardfeed.Links(), Still: true}
	all, err := boardfeed.All(b)
	if err != nil {
		return nil, err
	}
	for _, write := range []func(board.Board, statuspage.Options) (map[string]statuspage.Document, error){statuspage.Rest, statuspage.Fresh} {
		docs, err := write(b, o)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, docs)
	}
	all[missing], err = statuspage.Missing(b, o, statuspage.Offered(b.Page)[0])
	return all, err
}
