package statuspage

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// Beacon is the path at which an open page asks whether it may come back.
const Beacon = "/.well-known/standby.json"

// Spread is over how long open pages that have heard of the return come back, so that
// they don't all meet the repaired site at once.
const Spread = 30 * time.Second

// beacon is what an open page asks for. Whatever else it is given, but a fault, means
// that somebody else answers at the name again.
type beacon struct {
	Standby int    `json:"standby"` // its version
	Site    string `json:"site"`
	State   string `json:"state"`  // closed, or moved for those who came late
	News    string `json:"news"`   // another one means that the page says something new
	Every   int    `json:"every"`  // seconds between two questions
	Spread  int    `json:"spread"` // seconds over which pages come back
}

// Comeback is the small JSON for open pages.
func Comeback(p Page) []byte {
	sum := sha256.Sum256([]byte(string(p.Mode) + "\x00" + p.IncidentID + "\x00" + p.Message + "\x00" + p.Title + "\x00" + p.Contact + "\x00" + machine(p.Since)))
	b := beacon{Standby: 1, Site: p.Site, State: "closed", News: base64.RawURLEncoding.EncodeToString(sum[:6]), Every: int(Refresh / time.Second), Spread: int(Spread / time.Second)}
	if p.Mode != Crisis {
		b.State = "moved"
	}
	text, _ := json.Marshal(b) // of texts and numbers: it can't fail
	return append(text, '\n')
}
