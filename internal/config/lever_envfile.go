package config

import (
	"fmt"
	"regexp"
	"time"

	"lifeboat/internal/lever"
)

const kindEnvFile = "envfile"

// EnvFileLever is the driver section of an envfile lever.
type EnvFileLever struct {
	File     string         `json:"file"` // absolute
	Key      string         `json:"key"`
	Value    string         `json:"value"`
	Reload   []string       `json:"reload,omitempty"`
	Deadline time.Duration  `json:"deadline,omitempty"`
	Observe  EnvFileObserve `json:"observe,omitzero"`
	Drill    string         `json:"drill,omitempty"`
}

// EnvFileObserve is how the application is asked what it has: one of the two.
type EnvFileObserve struct {
	URL      string   `json:"url,omitempty"`
	Exec     []string `json:"exec,omitempty"`
	Contains string   `json:"contains,omitempty"` // what it says while the lever is pulled
}

var envFileLeverKeys = keySet{
	known: []string{"file", "key", "value", "reload", "observe", "drill"},
	later: map[string]string{"exec": "write reload: {exec: […]}", "signal": "write reload: {exec: [/bin/systemctl, reload, shop]}", "unset": `write value: ""`},
}

var reloadKeys = keySet{
	known: []string{"exec", "deadline"},
	later: map[string]string{"webhook": "write exec: of a program that asks it", "shell": useScript},
}

var observeKeys = keySet{
	known: []string{"url", "exec", "contains"},
	later: map[string]string{"not_contains": "write what it says while the lever is pulled", "status": "write what its text contains"},
}

var reloadSpan = span{10 * time.Second, time.Second, time.Minute}

// envKeyPattern is what environment variables are called (POSIX, Environment
// Variables, chapter 8), small letters taken, too.
var envKeyPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,199}$`)

const envSample = `envfile: {file: /etc/shop/shop.env, key: CHECKOUT, value: "off", reload: {exec: [/bin/systemctl, reload, shop]}}`

func (b *builder) envFileLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "envfile of "+s.where, envFileLeverKeys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	var l EnvFileLever
	l.File, ok = p.filePath("file", envSample)
	l.Key, l.Drill = p.must("key", envSample, &ok), p.drillFlag("key", "a key of the same file")
	for what, key := range map[string]string{"key": l.Key, "drill": l.Drill} {
		if key != "" && !envKeyPattern.MatchString(key) {
			b.invalid(p.at(what), "%s: %q is no name of an environment variable", p.of(what), clip(key)).WithHint("letters, digits and _, for example CHECKOUT")
		}
	}
	l.Value, ok = p.envValue(ok)
	if r := p.n.get("reload"); r != nil {
		if q, is := b.section(r, "reload of "+p.where, reloadKeys); is && q.needs("exec", ": nothing would be run", "exec: [/bin/systemctl, reload, shop]") {
			l.Reload, l.Deadline = q.words(), q.wait("deadline", reloadSpan)
		}
	} else {
		b.warn(p.n.at, "%s has no reload: nothing tells the application to read the file again", p.where).WithHint("add reload: {exec: [/bin/systemctl, reload, shop]}")
	}
	if o := p.n.get("observe"); o != nil {
		if q, is := b.section(o, "observe of "+p.where, observeKeys); is {
			l.Observe = b.envObserve(q)
		}
	}
	card.To, card.Config = fmt.Sprintf("%s=%s", l.Key, l.Value), b.raw(l)
	return ok
}

// envValue reads what stands behind the =, exactly; it may be empty.
func (s section) envValue(ok bool) (string, bool) {
	n := s.n.get("value")
	if n == nil || n.shape == textShape && n.text == "" {
		return "", s.needs("value", "", `value: "off"`) && ok
	}
	return s.line("value", "", `"off"`, 4096), ok
}

func (b *builder) envObserve(q section) EnvFileObserve {
	var o EnvFileObserve
	url, exec := q.n.get("url"), q.n.get("exec")
	switch {
	case url != nil && exec != nil:
		b.invalid(q.at("exec"), "%s has both url and exec", q.where).WithHint("keep one of them")
	case url != nil:
		o.URL = b.remoteURL(q, "http://127.0.0.1:8080/settings", true)
	case exec != nil:
		o.Exec = q.words()
	default:
		b.invalid(q.n.at, "%s asks nobody", q.where).WithHint(`add url: "http://127.0.0.1:8080/settings" or exec: […]`)
	}
	if q.needs("contains", ": nothing could be told from the answer", `contains: "checkout=off"`) {
		o.Contains = q.line("contains", "", `"checkout=off"`, 200)
	}
	return o
}
