package feature

import (
	"fmt"
	"time"
)

// Heard says who has heard of what is answered now.
type Heard struct {
	Pages   Listeners `json:"pages"`   // browsers: they keep what they were told
	Servers Listeners `json:"servers"` // programs: each of their questions is answered anew
	Copies  Listeners `json:"copies"`  // lifeboats that answer in our place: each tells programs of its own, who are not counted here
}

// Listeners are the clients of one kind. A client is told from another by its
// address, its key and what it sends along, all of it hashed with a number that
// this process alone has. Who was silent for ten minutes is forgotten.
type Listeners struct {
	Revision  string        `json:"revision"`   // the manifest that brought what is answered now
	Since     time.Time     `json:"since"`      // when it came into force
	Clients   int           `json:"clients"`    // who asked within the last ten minutes
	Heard     int           `json:"heard"`      // those of them who asked since
	Slowest   time.Duration `json:"slowest_ns"` // how long the last of those took who had asked before, too
	Behind    []Behind      `json:"behind"`     // the others, newest first
	Streams   int           `json:"streams"`    // event streams that are open
	Told      int           `json:"told"`       // those that were told of what is answered now
	Uncounted uint64        `json:"uncounted"`  // questions of clients for whom there was no room
}

// Behind are clients that have not asked since an older revision.
type Behind struct {
	Revision string    `json:"revision"` // "" when it is too long ago to be known
	Clients  int       `json:"clients"`
	Seen     time.Time `json:"seen"` // when the last of them asked
}

// Words tells in a sentence who has heard; one names a client of this kind, many several
// of them, and clock a time of day. It is empty where nobody has asked lately.
func (l Listeners) Words(one, many string, clock func(time.Time) string) string {
	if l.Clients == 0 {
		return ""
	}
	kind := many
	if l.Clients == 1 {
		kind = one
	}
	s := fmt.Sprintf("%d of %d %s have heard", l.Heard, l.Clients, kind)
	if l.Clients == 1 {
		s = fmt.Sprintf("%d of 1 %s has heard", l.Heard, kind)
	}
	if l.Heard > 0 && l.Slowest >= 100*time.Millisecond {
		s += fmt.Sprintf(", the slowest after %.1f s", l.Slowest.Seconds())
	}
	if left := l.Clients - l.Heard; left > 0 && len(l.Behind) > 0 {
		s += fmt.Sprintf("; %d not seen since %s", left, clock(l.Behind[0].Seen))
	}
	return s + "."
}
