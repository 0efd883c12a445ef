package config

import "slices"

// maxChannels is how many are told: each update goes to each of them.
const maxChannels = 20

var allTells = []string{TellsPublic, TellsStaff, TellsIncident}

// channels reads who is told by webhook.
func (b *builder) channels(top section) {
	const sample = `channels: {chat: {webhook: {url: "https://chat.example.com/hook"}}}`
	for _, e := range b.atMost(maxChannels, top.n.get("channels"), "channels", sample) {
		b.id(e.at, "channel", e.key)
		s, ok := b.section(e.value, "channel "+clip(e.key), channelKeys)
		if !ok {
			continue
		}
		c := Channel{Name: e.key, Tells: s.tells()}
		switch n := s.n.get("webhook"); {
		case n != nil:
			if w := b.webhook(s, n); w != nil {
				c.Webhook = *w
			}
		case !s.refused(channelKeys):
			s.needs("webhook", ": nobody would be told", `webhook: {url: "https://chat.example.com/hook"}`)
		}
		b.c.Channels = append(b.c.Channels, c)
	}
}

// tells reads what a channel is told.
func (s section) tells() []string {
	n := s.n.get("tells")
	if n == nil {
		return slices.Clone(allTells)
	}
	nodes := s.list("tells", "[public, staff, incident]")
	if len(nodes) == 0 && (n.shape == listShape && len(n.items) == 0 || n.shape == emptyShape) {
		s.invalid(n.at, "%s is empty: nobody would be told", s.of("tells")).WithHint("for example tells: [staff], or leave tells out")
	}
	var out []string
	for _, n := range nodes {
		what, ok := s.text(n, s.of("tells"), "tells: [public, staff]")
		switch {
		case !ok:
		case !slices.Contains(allTells, what):
			problem := s.invalid(n.at, "%s: expected %s, found %s", s.of("tells"), orList(allTells), n.found())
			if near := nearest(what, allTells); near != "" {
				problem.WithHint("did you mean %q?", near)
			} else {
				problem.WithHint("for example tells: [public, staff]")
			}
		case slices.Contains(out, what):
			s.invalid(n.at, "%s: %s is written twice", s.of("tells"), what).WithHint("remove one")
		default:
			out = append(out, what)
		}
	}
	return out
}
