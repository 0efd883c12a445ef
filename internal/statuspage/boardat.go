package statuspage

import (
	"slices"
	"strings"

	"lifeboat/internal/board"
)

// At makes the one document at a path of a page: the same bytes as Fresh and Rest give
// for it. It is for who wants to see a few of them; false where nothing is.
func At(b board.Board, o Options, path string) (Document, bool, error) {
	if path == LogoPath(b.Page) && path != "" {
		return logoOf(b.Page), true, nil
	}
	tags := offered(b.Page)
	tag := tags[0]
	if first, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/"); more && slices.Contains(tags, first) {
		tag, path = first, "/"+rest
	}
	d, err := Document{}, error(nil)
	kind, id, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	in, isIncident := b.Incident(id)
	m, isWork := b.Maintenance(id)
	c, isComponent := b.Component(id)
	months := Months(b)
	switch kind += "/"; {
	case path == "/":
		d, err = Front(b, o, tag)
	case "/"+kind == board.PathIncident && isIncident:
		d, err = IncidentPage(b, o, tag, in)
	case "/"+kind == board.PathMaintenance && isWork:
		d, err = MaintenancePage(b, o, tag, m)
	case "/"+kind == PathComponent && isComponent:
		d, err = ComponentPage(b, o, tag, c)
	case "/"+kind == board.PathHistory && id == "":
		d, err = HistoryPage(b, o, tag, months[0], months)
	case "/"+kind == board.PathHistory && slices.Contains(months, id):
		d, err = HistoryPage(b, o, tag, id, months)
	default:
		return Document{}, false, nil
	}
	return d, true, err
}

func logoOf(p board.Page) Document {
	kind := "image/svg+xml"
	if p.LogoType == "image/png" {
		kind = p.LogoType
	}
	return Document{Type: kind, Body: p.Logo, Policy: "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
}
