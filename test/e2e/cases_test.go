package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/demo"
	"lifeboat/internal/incident"
)

// TestEveryCase plays each case that the demo lists, as people do who want to see it:
// it ends well, no DNS answer was wrong or missing, no visitor met what they should not
// have, and report and post-mortem tell of it.
func TestEveryCase(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Still: true}) // for its folder and its processes
	listed := b.typed(nil, "", "demo", "--script", "--list")
	cases := strings.Split(strings.TrimSpace(listed.out), "\n")
	if listed.code != done || len(cases) < 10 {
		t.Fatalf("the cases are %+v", listed)
	}
	for i, line := range cases {
		name, _, told := strings.Cut(line, " ")
		if !told {
			t.Errorf("nothing is said of the case %s", name)
		}
		if !soak() && i%3 != 2 { // package demo plays others
			continue
		}
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			ran := b.typed([]string{"TMPDIR=" + b.dir}, "", "demo", "--script", "--json", "--case", name, "--out", out)
			var r demo.Report
			if err := json.Unmarshal([]byte(ran.out), &r); err != nil || ran.code != done {
				t.Fatalf("exit code %d, %v\n%s\n%s", ran.code, err, ran.out, ran.err)
			}
			checkCase(t, name, out, r)
		})
	}
}

func checkCase(t *testing.T, name, out string, r demo.Report) {
	t.Helper()
	if !r.OK || r.Case != name || r.FailedStep != "" || r.Failure != "" || r.Incident == "" {
		t.Errorf("it ended with %v, %q %q in incident %q", r.OK, r.FailedStep, r.Failure, r.Incident)
	}
	if d := r.DNS; d.Asked == 0 || d.Wrong != 0 || d.Missing != 0 {
		t.Errorf("DNS: %+v", d)
	}
	if v := r.Visits; v.Total() == 0 || v.Unexpected != 0 {
		t.Errorf("visits: %+v", v)
	}
	if n := len(r.Phases); n < 2 || r.Phases[n-1] != incident.Closed && r.Phases[n-1] != incident.Cancelled {
		t.Errorf("it went through %v", r.Phases)
	}
	if len(r.Steps) == 0 || len(r.Summary) == 0 || r.TimelineEvents == 0 {
		t.Errorf("the report tells of %d steps and %d events, in %d sentences", len(r.Steps), r.TimelineEvents, len(r.Summary))
	}
	text, err := os.ReadFile(r.PostMortem)
	if err != nil || filepath.Dir(r.PostMortem) != out {
		t.Fatalf("the post-mortem is %s, %v", r.PostMortem, err)
	}
	for _, want := range append([]string{r.Incident, "# "}, r.Summary...) {
		if !strings.Contains(string(text), want) {
			t.Errorf("the post-mortem does not say %q", want)
		}
	}
}
