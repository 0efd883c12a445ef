package postmortem

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

func refusalOf(err error) *fault.Refusal {
	var r *fault.Refusal
	errors.As(err, &r)
	return r
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, x := range stories(t) {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			got := Markdown(Build(x.events, x.o))
			file := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "").Replace(x.name)+".md")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s reads otherwise now; -update writes it anew:\n%s", file, firstDifference(string(got), string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one of them is longer"
}
