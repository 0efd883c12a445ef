package docs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/config"
)

// rest stands for the sections that an example leaves out.
var rest = []struct{ key, text string }{
	{"nameservers", "nameservers: {ns1.example.net.: 127.0.0.1:5354}\n"},
	{"sites", "sites: {shop: {names: [shop.example.com, www.shop.example.com], origins: {main: {address: 203.0.113.10}}, standby: {address: 198.51.100.7}}}\n"},
	{"zones", "zones: {shop.example.com: {ns: [ns1.example.net.], follow: {\"@\": shop}}}\n"},
	{"levers", "levers: {to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}}\n"},
	{"features", "features: {checkout: {value: true, off: false}}\n"},
}

// TestExamplesParse reads every configuration in the documents; sections that an
// example leaves out are added.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.lang != "yaml" || strings.Contains(b.text, "groups:") { // a rule file of Prometheus
				continue
			}
			found++
			text := b.text
			for _, r := range rest {
				if !regexp.MustCompile(`(?m)^` + r.key + `:`).MatchString(text) {
					text += r.text
				}
			}
			if _, err := config.Parse(fmt.Sprintf("%s:%d", page, b.line), []byte(text)); err != nil {
				t.Errorf("%v\nin:\n%s", err, text)
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d examples were found", found)
	}
}

// row is a row of the reference whose values are within bounds.
var row = regexp.MustCompile("(?m)^\\| `((?:sites|zones)\\.[^`]+)` \\| ([^|]*) \\| ([0-9]+(?:ms|s|m|h)?) – ([0-9]+(?:ms|s|m|h)?) \\|")

// TestBounds holds the defaults and bounds of the reference against the program: the
// bounds are taken, what lies just outside is refused.
func TestBounds(t *testing.T) {
	t.Parallel()
	rows := row.FindAllStringSubmatch(read(t, "docs/reference/configuration.md"), -1)
	if len(rows) < 15 {
		t.Fatalf("only %d rows with bounds were found", len(rows))
	}
	for _, m := range rows {
		key, usual, least, most := m[1], strings.TrimSpace(m[2]), m[3], m[4]
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			for _, good := range []string{least, most} {
				if _, err := with(key, good); err != nil {
					t.Errorf("%s: %s is refused: %v", key, good, err)
				}
			}
			for _, bad := range []string{beyond(least, -1), beyond(most, 1)} {
				if _, err := with(key, bad); err == nil {
					t.Errorf("%s: %s is taken, and the reference says %s to %s", key, bad, least, most)
				}
			}
			if regexp.MustCompile(`^[0-9]+(ms|s|m|h)?$`).MatchString(usual) {
				said, err := with(key, usual)
				left, lerr := with(key, "")
				if err != nil || lerr != nil || !reflect.DeepEqual(said, left) {
					t.Errorf("%s: %s is not the default (%v, %v)", key, usual, err, lerr)
				}
			}
		})
	}
}

// beyond is one less or one more, in the bound's own unit; negative where there is
// nothing less.
func beyond(bound string, by int) string {
	unit := strings.TrimLeft(bound, "0123456789")
	var n int
	_, _ = fmt.Sscan(strings.TrimSuffix(bound, unit), &n)
	if n == 1 && by < 0 && unit == "s" {
		return "999ms"
	}
	return fmt.Sprint(n+by) + unit
}

// with reads a small configuration with one value set; "" leaves it out.
func with(key, value string) (*config.Config, error) {
	parts := strings.Split(key, ".")
	last := ", " + parts[len(parts)-1] + ": " + value
	if value == "" {
		last = ""
	}
	set := func(place, usual string) string {
		if slices.Contains(strings.Split(place, " "), strings.Join(parts[2:], ".")) {
			return usual + last
		}
		return usual
	}
	kind := set("checks.CHECK.http.status", "http: {path: /") + "}"
	if strings.Contains(key, ".tcp.") {
		kind = "tcp: {port: " + value + "}"
	}
	check := set("checks.CHECK.every checks.CHECK.timeout checks.CHECK.down_after checks.CHECK.up_after", kind)
	site := "names: [shop.example.com], origins: {main: {address: 203.0.113.10}}, standby: {address: 198.51.100.7}, checks: {home: {" + check + "}}"
	for _, part := range []string{"sanity", "go_back"} {
		if strings.Contains(key, "."+part+".") {
			site += ", " + part + ": {" + strings.TrimPrefix(last, ", ") + "}"
		}
	}
	zone := "ns: [ns1.example.net.], follow: {\"@\": shop}"
	if len(parts) == 3 && parts[0] == "sites" {
		site += last
	}
	if len(parts) == 3 && parts[0] == "zones" {
		zone += last
	}
	return config.Parse("t.yaml", []byte("sites: {shop: {"+site+"}}\nzones: {shop.example.com: {"+zone+"}}\n"))
}
