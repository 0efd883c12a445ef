package house

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// unwanted modules, each with its reason. A name stands for all below it.
var unwanted = map[string]string{
	"github.com/mattn/go-sqlite3":     "needs cgo: lifeboat is one static binary; modernc.org/sqlite is the same database in Go",
	"github.com/crawshaw/sqlite":      "needs cgo: lifeboat is one static binary",
	"github.com/bvinc/go-sqlite-lite": "needs cgo: lifeboat is one static binary",
	"codeberg.org/miekg/dns":          "v2 is not available here; DNS wire format is github.com/miekg/dns, behind zone and authdns",
	"github.com/sirupsen/logrus":      "log/slog is in the standard library",
	"go.uber.org/zap":                 "log/slog is in the standard library",
	"github.com/rs/zerolog":           "log/slog is in the standard library",
	"github.com/spf13/viper":          "configuration is one strict file whose errors name line and column; layers of defaults from everywhere can't do that",
	"gopkg.in/yaml.v2":                "two YAML readers read one file in two ways; goccy/go-yaml gives the positions that we need",
	"github.com/gin-gonic/gin":        "net/http routes; huma describes the API",
	"github.com/labstack/echo":        "net/http routes; huma describes the API",
	"github.com/gofiber/fiber":        "net/http routes; huma describes the API",
	"github.com/gorilla/mux":          "net/http routes by method and path since Go 1.22",
	"gorm.io/gorm":                    "the store is four verbs with compare-and-swap; a mapper hides the transaction that they need",
	"github.com/stretchr/testify":     "plain tests and go-cmp say enough",
	"github.com/pkg/errors":           "fmt.Errorf with %w, and fault where a person reads it",
	"github.com/google/cel-go":        "guard rails are typed Go rules with a sentence each; nobody should need to read a language at three in the morning",
}

// demanded gives the modules that go.mod names.
func demanded(t *testing.T) []string {
	t.Helper()
	out, err := run(treeRoot(t), "go", "mod", "edit", "-json")
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Require []struct{ Path string }
	}
	if err := json.Unmarshal(out, &parsed); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range parsed.Require {
		list = append(list, r.Path)
	}
	return list
}

func TestUnwantedModules(t *testing.T) {
	t.Parallel()
	for _, m := range demanded(t) {
		for place, reason := range unwanted {
			if in(m, place) {
				t.Errorf("go.mod names %s: %s", m, reason)
			}
		}
	}
}

// TestDependenciesAreExplained: each module that our code imports has a line in
// docs/reference/dependencies.md.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	const page = "docs/reference/dependencies.md"
	text := string(read(t, page))
	modules := demanded(t)
	for m := range imported(allPackages(t), modules) {
		if !strings.Contains(text, "`"+m+"`") {
			t.Errorf("%s has no line for %s: somebody will have to judge one day whether it is still needed; say the need, and why this one", page, m)
		}
	}
	for line := range strings.Lines(text) {
		m, isRow := rowModule(line)
		if isRow && !slices.Contains(modules, m) {
			t.Errorf("%s explains %s, which go.mod does not name: take the line out", page, m)
		}
	}
}

// imported gives the modules whose packages our packages and tests import.
func imported(all []listed, modules []string) map[string]bool {
	found := map[string]bool{}
	for _, p := range all {
		for _, imports := range [][]string{p.Imports, p.TestImports, p.XTestImports} {
			for _, dep := range imports {
				if m := owner(dep, modules); m != "" {
					found[m] = true
				}
			}
		}
	}
	return found
}

// owner is the module with the longest name that the package lies in.
func owner(dep string, modules []string) string {
	longest := ""
	for _, m := range modules {
		if in(dep, m) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}

// rowModule reads the module from a row of the table: "| `module` | …".
func rowModule(line string) (string, bool) {
	rest, ok := strings.CutPrefix(line, "| `")
	if !ok {
		return "", false
	}
	m, _, ok := strings.Cut(rest, "`")
	return m, ok
}
