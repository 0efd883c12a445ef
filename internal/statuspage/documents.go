package statuspage

import (
	"encoding/json"
	"time"

	"lifeboat/internal/probe"
)

// The problem types (RFC 9457 section 3.1.1).
const (
	TypeClosed = "urn:lifeboat:problem:site-closed"
	TypeMoved  = "urn:lifeboat:problem:not-here"
)

// problem is a problem document with our extension members (RFC 9457 section 3.2).
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Site       string `json:"site,omitempty"`
	Incident   string `json:"incident,omitempty"`
	Since      string `json:"since,omitempty"`
	Message    string `json:"message,omitempty"`
	CheckedAt  string `json:"checked_at,omitempty"`
	RetryAfter int    `json:"retry_after"` // seconds
}

func problemJSON(p Page, k knowledge, s story) ([]byte, error) {
	doc := problem{
		Type:       TypeClosed,
		Title:      "Service Unavailable",
		Status:     503,
		Detail:     "We know that something is wrong with " + p.Title + " and are looking into it. Ask again later.",
		Site:       p.Site,
		Incident:   s.Ref,
		Message:    cut(p.Message, maxMessage),
		CheckedAt:  machine(k.at),
		RetryAfter: int(Refresh / time.Second),
	}
	if p.Mode == Crisis {
		doc.Since = machine(p.Since)
	} else {
		doc.Type, doc.Message = TypeMoved, ""
		doc.Detail = p.Title + " is at another address. Look its name up again, and ask there."
	}
	return encode(doc)
}

// status is the small JSON of the status page. Lists are never null.
type status struct {
	Site     string    `json:"site"`
	Title    string    `json:"title"`
	Names    []string  `json:"names"`
	State    state     `json:"state"` // closed, open, broken or unknown
	Says     string    `json:"says"`
	Ordered  ordered   `json:"ordered"`
	Seen     seenJSON  `json:"seen"`
	Incident *incident `json:"incident,omitempty"`
	Written  string    `json:"written_at"`
}

type ordered struct {
	Position string `json:"position"`
	Since    string `json:"since,omitempty"`
}

type seenJSON struct {
	State     probe.Seen  `json:"state"` // up, down or unknown
	CheckedAt string      `json:"checked_at,omitempty"`
	Checks    []checkJSON `json:"checks"`
}

type checkJSON struct {
	Name      string     `json:"name"`
	Seen      probe.Seen `json:"seen"`
	CheckedAt string     `json:"checked_at,omitempty"`
}

type incident struct {
	ID      string `json:"id,omitempty"`
	Title   string `json:"title,omitempty"`
	Message string `json:"message,omitempty"`
}

func statusJSON(p Page, k knowledge, s story) ([]byte, error) {
	doc := status{
		Site:    p.Site,
		Title:   p.Title,
		Names:   append([]string{}, p.Names...),
		State:   s.State,
		Says:    s.Head,
		Ordered: ordered{Position: p.Ordered, Since: machine(p.Since)},
		Seen:    seenJSON{State: k.seen, CheckedAt: machine(k.at), Checks: []checkJSON{}},
		Written: machine(p.Now),
	}
	for _, f := range k.checks {
		doc.Seen.Checks = append(doc.Seen.Checks, checkJSON{f.Name, f.Seen, machine(f.At)})
	}
	if about := (incident{ID: s.Ref, Title: p.IncidentTitle, Message: cut(p.Message, maxMessage)}); about != (incident{}) {
		doc.Incident = &about
	}
	return encode(doc)
}

// machine is RFC 3339 in UTC, "" for no time at all.
func machine(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}

func encode(doc any) ([]byte, error) {
	b, err := json.MarshalIndent(doc, "", "  ")
	return append(b, '\n'), err
}
