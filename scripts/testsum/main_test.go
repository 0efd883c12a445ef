package main

import (
	"strings"
	"testing"
	"time"
)

// run gives what a summary of these events prints, and whether all is well.
func run(t *testing.T, strict bool, lines ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	s := newSummary(&out, strict)
	if err := s.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	well := s.finish(time.Second)
	return out.String(), well
}

const (
	passA    = `{"Action":"pass","Package":"p","Test":"TestA"}`
	passP    = `{"Action":"pass","Package":"p","Elapsed":0.5}`
	failP    = `{"Action":"fail","Package":"p","Elapsed":0.5}`
	loudOut  = `{"Action":"output","Package":"p","Test":"TestB","Output":"    x_test.go:3: SKIP-LOUD: no unbound here\n"}`
	skipB    = `{"Action":"skip","Package":"p","Test":"TestB"}`
	failOut  = `{"Action":"output","Package":"p","Test":"TestC","Output":"    x_test.go:9: wrong\n"}`
	failC    = `{"Action":"fail","Package":"p","Test":"TestC"}`
	panicOut = `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: test timed out\n"}`
	buildOut = `{"Action":"build-output","ImportPath":"p","Output":"x.go:1: syntax error\n"}`
)

func TestSummary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		strict bool
		lines  []string
		well   bool
		want   []string
	}{
		{"all well", true, []string{passA, passP}, true, []string{"ok    p", "PASS: 1 tests passed"}},
		{"a test fails", false, []string{passA, failOut, failC, failP}, false, []string{"x_test.go:9: wrong", "FAILED  p TestC", "FAIL:"}},
		{"loud skip", false, []string{passA, loudOut, skipB, passP}, true, []string{"SKIPPED p TestB: no unbound here", "PASS", "1 skipped loudly"}},
		{"loud skip where all must run", true, []string{passA, loudOut, skipB, passP}, false, []string{"SKIPPED p TestB", "FAIL"}},
		{"no data from elsewhere", true, []string{passA, strings.Replace(loudOut, "LOUD", "DATA", 1), skipB, passP}, true, []string{"SKIPPED p TestB: no unbound here", "PASS", "0 skipped loudly"}},
		{"plain skip", true, []string{passA, skipB, passP}, true, []string{"1 skipped,"}},
		{"panic", false, []string{passA, panicOut, failP}, false, []string{"panic: test timed out", "FAILED  p\n"}},
		{"does not build", false, []string{passA, buildOut, failP}, false, []string{"syntax error", "FAILED  p\n"}},
		{"nothing ran", false, nil, false, []string{"FAIL: 0 tests"}},
		{"message of the go command", false, []string{"go: downloading x", passA}, true, []string{"go: downloading x"}},
	} {
		out, well := run(t, c.strict, c.lines...)
		if well != c.well {
			t.Errorf("%s: well is %v, want %v\n%s", c.name, well, c.well, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
	}
}
