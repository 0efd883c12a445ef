package config

import (
	"lifeboat/internal/lever"
)

// FilesLever is the driver section of a lever that takes files aside.
type FilesLever struct {
	Root  string   `json:"root"`
	Paths []string `json:"paths,omitempty"`
	Glob  string   `json:"glob,omitempty"`
	Aside string   `json:"aside,omitempty"`
}

// ObjectsLever is the driver section of a lever that takes objects of a bucket aside.
type ObjectsLever struct {
	Endpoint    string   `json:"endpoint"`
	Region      string   `json:"region,omitempty"`
	Bucket      string   `json:"bucket"`
	Credentials string   `json:"credentials_file"`
	Keys        []string `json:"keys,omitempty"`
	Prefix      string   `json:"prefix,omitempty"`
	Aside       string   `json:"aside,omitempty"`
}

const (
	kindFiles   = "files"
	kindObjects = "objects"
)

const (
	filesSample   = "files: {root: /srv/shop/uploads, paths: [banner.jpg]}"
	objectsSample = `objects: {endpoint: "https://s3.example.net", bucket: shop, credentials_file: s3.secret, keys: [banner.jpg]}`
)

// maxListed is how many paths or keys one lever may name.
const maxListed = 1000

// filesLever reads which files a lever takes aside; whether they are there shows
// when it is planned.
func (b *builder) filesLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "files of "+s.where, filesLeverKeys)
	if !ok || !p.needs("root", "", filesSample) {
		return false
	}
	card.Site = b.ownSite(s)
	before := len(b.problems)
	f := FilesLever{Root: p.line("root", "", "/srv/shop/uploads", maxFilePath), Glob: p.line("glob", "", "2026/*.jpg", maxFilePath), Aside: p.line("aside", "", ".lifeboat", 255)}
	p.absolutePath(p.at("root"), p.of("root"), f.Root, filesSample)
	f.Paths = p.eitherOf("paths", "glob", filesSample)
	card.Config = b.raw(f)
	return len(b.problems) == before
}

// objectsLever reads which objects a lever takes aside.
func (b *builder) objectsLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "objects of "+s.where, objectsLeverKeys)
	if !ok || !p.needs("endpoint", "", objectsSample) || !p.needs("bucket", "", objectsSample) || !p.needs("credentials_file", ": requests could not be signed", objectsSample) {
		return false
	}
	card.Site = b.ownSite(s)
	before := len(b.problems)
	o := ObjectsLever{
		Region: p.line("region", "", "eu-central-1", 60), Bucket: p.line("bucket", "", "shop", 255), Prefix: p.line("prefix", "", "img/", 1000),
		Aside: p.line("aside", "", "lifeboat-aside", 255), Keys: p.eitherOf("keys", "prefix", objectsSample),
	}
	text, ok := b.text(p.n.get("endpoint"), p.of("endpoint"), objectsSample)
	if u, why, _ := webhookURL(text); ok && why != "" {
		b.invalid(p.at("endpoint"), "%s %s", p.of("endpoint"), why).WithHint("write the server alone, https://s3.example.net; the access key goes into credentials_file")
	} else if ok && u.Path != "" && u.Path != "/" {
		b.invalid(p.at("endpoint"), "%s has a path", p.of("endpoint")).WithHint("write the server alone; the bucket goes under bucket")
	}
	o.Endpoint = text
	o.Credentials = b.besideFile(p, "credentials_file", "s3.secret")
	card.Config = b.raw(o)
	return len(b.problems) == before
}

// eitherOf reads a list, of which either it or another key must be there.
func (s section) eitherOf(key, other, sample string) []string {
	list, one := s.n.get(key), s.n.get(other)
	switch {
	case list != nil && one != nil:
		s.invalid(s.at(other), "%s has both %s and %s", s.where, key, other).WithHint("keep one of them")
		return nil
	case list == nil && one == nil:
		s.invalid(s.n.at, "%s takes nothing aside", s.where).WithHint("for example %s", sample)
		return nil
	case list == nil:
		return nil
	}
	var out []string
	for _, n := range s.few(key, "[banner.jpg]", maxListed) {
		if text, ok := s.text(n, s.of(key), sample); ok {
			out = append(out, text)
		}
	}
	if len(out) == 0 && list.shape == listShape && len(list.items) == 0 {
		s.invalid(list.at, "%s is empty", s.of(key)).WithHint("for example %s", sample)
	}
	return out
}
