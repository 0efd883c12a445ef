package config

import "time"

var deadlineSpan = span{time.Minute, time.Second, time.Hour}

// The most that is taken of actions and of what one of them runs.
const (
	maxActions  = 100
	maxWords    = 100  // of a command
	maxWordSize = 4096 // bytes
)

const (
	execSample = "exec: [/usr/local/bin/deploy, --release, previous]"
	undoSample = "undo: {exec: [/usr/local/bin/deploy, --release, latest]}"
)

// actions reads the prepared acts for a fix.
func (b *builder) actions(top section) {
	const sample = "actions: {roll-back: {title: Put release 411 back, " + execSample + ", undo: none}}"
	for _, e := range b.atMost(maxActions, top.n.get("actions"), "actions", sample) {
		b.id(e.at, "action", e.key)
		s, ok := b.section(e.value, "action "+clip(e.key), actionKeys)
		if !ok {
			continue
		}
		s.needs("title", ": nobody would know what it does", "title: Put release 411 back")
		act := b.act(s, actionKeys)
		b.c.Actions = append(b.c.Actions, Action{
			Name:     e.key,
			Title:    s.line("title", "", "Put release 411 back", 120),
			Says:     s.line("says", "", "Takes a minute; carts are kept.", 300),
			Site:     b.ownSite(s),
			Exec:     act.Exec,
			Webhook:  act.Webhook,
			Deadline: s.wait("deadline", deadlineSpan),
			Undo:     b.undo(s),
		})
	}
}

// undo reads how an action is taken back; that it can't be must be said.
func (b *builder) undo(s section) *Act {
	if !s.needs("undo", ": nobody would know how to take it back", "undo: none, or "+undoSample) {
		return nil
	}
	n := s.n.get("undo")
	if n.shape == textShape && n.text == "none" {
		return nil
	}
	if n.shape != mapShape {
		b.invalid(n.at, "%s: expected none or a mapping, found %s", s.of("undo"), n.found()).WithHint("write undo: none, or %s", undoSample)
		return nil
	}
	p, ok := b.section(n, s.of("undo"), undoKeys)
	if !ok {
		return nil
	}
	act := b.act(p, undoKeys)
	return &act
}

// act reads the one thing that an action or its undo does.
func (b *builder) act(s section, keys keySet) (act Act) {
	e, w := s.n.get("exec"), s.n.get("webhook")
	switch {
	case e != nil && w != nil:
		b.invalid(s.at("webhook"), "%s has both exec and webhook", s.where).WithHint("keep one of them, or put both into a script")
	case e != nil:
		act.Exec = s.words()
	case w != nil:
		act.Webhook = b.webhook(s, w)
	case !s.refused(keys):
		b.invalid(s.n.at, "%s does nothing", s.where).WithHint("add %s or webhook: {url: \"https://ops.example.com/purge\"}", execSample)
	}
	return act
}

// words reads a program and its arguments, which no shell looks at.
func (s section) words() []string {
	n := s.n.get("exec")
	if n.shape == textShape {
		s.invalid(n.at, "%s: expected a list, found one text: no shell takes it apart", s.of("exec")).WithHint("write each word by itself: %s", execSample)
		return nil
	}
	nodes := s.list("exec", "[/usr/local/bin/deploy, --release, previous]")
	switch {
	case len(nodes) == 0 && (n.shape == listShape && len(n.items) == 0 || n.shape == emptyShape):
		s.invalid(n.at, "%s is empty", s.of("exec")).WithHint("for example %s", execSample)
		return nil
	case len(nodes) > maxWords:
		s.invalid(n.at, "%s: %d words are too many, %d fit", s.of("exec"), len(nodes), maxWords).WithHint("put them into a script, and name that")
		return nil
	}
	out := make([]string, 0, len(nodes))
	for i, n := range nodes {
		if word, ok := s.word(n, i == 0); ok {
			out = append(out, word)
		}
	}
	return out
}

func (s section) word(n *node, program bool) (string, bool) {
	if n.shape == numberShape || n.shape == boolShape {
		s.invalid(n.at, "%s: expected text, found %s", s.of("exec"), n.found()).WithHint("write it in quotes: \"%s\"", clip(n.text))
		return "", false
	}
	word, ok := s.text(n, s.of("exec"), execSample)
	switch {
	case !ok:
		return "", false
	case program:
		return word, s.absolutePath(n.at, s.of("exec"), word, execSample)
	case len(word) > maxWordSize || hasControl(word):
		s.invalid(n.at, "%s: a word has more than %d bytes, a line end or another control character", s.of("exec"), maxWordSize).
			WithHint("put it into a script, and name that")
		return "", false
	}
	return word, true
}
