// Command testsum reads what go test -json writes and says in a few lines how it
// went: a line for each package as it ends, the output of what failed, the loud
// skips, the slowest packages.
//
// A loud skip is a test that found something missing on this machine and says so
// with "SKIP-LOUD: …". With CI=true in the environment it counts as a failure:
// what must hold everywhere has to be tested somewhere. A test that wants data which is
// no part of the project says "SKIP-DATA: …": it is told, and never a failure.
//
// Concurrency: one goroutine.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	began := time.Now()
	s := newSummary(os.Stdout, os.Getenv("CI") == "true")
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.finish(time.Since(began)) {
		os.Exit(1)
	}
}

// event is one line of go test -json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// test names one test of one package; with no name, the package's own output.
type test struct{ pkg, name string }

type timed struct {
	pkg     string
	seconds float64
}

type summary struct {
	out       io.Writer
	strict    bool // loud skips count as failures
	output    map[test]*strings.Builder
	passed    map[string]int // top tests, by package
	build     strings.Builder
	failed    []string // "package Test" or "package"
	badTests  map[string]bool
	loud      []string
	data      []string // skipped for want of data that is no part of the project
	quiet     int      // skips that are no concern
	slow      []timed
	tests     int
	withTests int // packages
}

func newSummary(out io.Writer, strict bool) *summary {
	return &summary{
		out: out, strict: strict,
		output: map[test]*strings.Builder{}, passed: map[string]int{}, badTests: map[string]bool{},
	}
}

// read takes all events. A line that is no event (a message of the go command) is
// passed on.
func (s *summary) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		fmt.Fprint(s.out, line)
		return
	}
	s.take(e)
}

func (s *summary) take(e event) {
	key := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		if s.output[key] == nil {
			s.output[key] = &strings.Builder{}
		}
		s.output[key].WriteString(e.Output)
	case "build-output":
		s.build.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e, key)
		}
	}
}

func (s *summary) endTest(e event, key test) {
	text := s.text(key)
	top := !strings.Contains(e.Test, "/")
	switch {
	case e.Action == "fail":
		s.badTests[e.Package] = true
		s.failed = append(s.failed, e.Package+" "+e.Test)
		fmt.Fprintf(s.out, "FAIL  %s %s\n%s", e.Package, e.Test, indent(text))
	case e.Action == "skip" && strings.Contains(text, "SKIP-LOUD"):
		s.loud = append(s.loud, e.Package+" "+e.Test+": "+reasonAfter(text, "SKIP-LOUD"))
	case e.Action == "skip" && strings.Contains(text, "SKIP-DATA"):
		s.data = append(s.data, e.Package+" "+e.Test+": "+reasonAfter(text, "SKIP-DATA"))
		s.quiet++
	case e.Action == "skip":
		s.quiet++
	case top:
		s.passed[e.Package]++
		s.tests++
	}
	delete(s.output, key)
}

// endPackage tells of a package, and of a failure that no test owns: it did not
// build, panicked or ran out of time.
func (s *summary) endPackage(e event) {
	s.slow = append(s.slow, timed{e.Package, e.Elapsed})
	switch {
	case e.Action == "fail" && !s.badTests[e.Package]:
		s.failed = append(s.failed, e.Package)
		fmt.Fprintf(s.out, "FAIL  %s\n%s%s", e.Package, indent(s.build.String()), indent(s.unfinished(e.Package)))
		s.build.Reset()
	case e.Action == "fail":
		fmt.Fprintf(s.out, "FAIL  %s  %.1f s\n", e.Package, e.Elapsed)
	case e.Action == "pass" && s.passed[e.Package] > 0:
		s.withTests++
		fmt.Fprintf(s.out, "ok    %s  %.1f s, %d tests\n", e.Package, e.Elapsed, s.passed[e.Package])
	}
	delete(s.output, test{e.Package, ""})
}

// unfinished is the output of the tests that never ended, then the package's own.
func (s *summary) unfinished(pkg string) string {
	var keys []test
	for key := range s.output {
		if key.pkg == pkg && key.name != "" {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b test) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	for _, key := range append(keys, test{pkg, ""}) {
		b.WriteString(s.text(key))
		delete(s.output, key)
	}
	return b.String()
}

func (s *summary) text(key test) string {
	if b := s.output[key]; b != nil {
		return b.String()
	}
	return ""
}

func reasonAfter(text, mark string) string {
	_, after, _ := strings.Cut(text, mark)
	reason, _, _ := strings.Cut(strings.TrimLeft(after, ": "), "\n")
	return reason
}

func indent(text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return ""
	}
	return "      " + strings.ReplaceAll(text, "\n", "\n      ") + "\n"
}

// finish prints the summary and says whether all is well.
func (s *summary) finish(took time.Duration) bool {
	fmt.Fprintln(s.out)
	if s.build.Len() > 0 {
		fmt.Fprint(s.out, indent(s.build.String()))
	}
	s.printSlowest()
	for _, l := range append(s.data, s.loud...) {
		fmt.Fprintln(s.out, "SKIPPED", l)
	}
	for _, f := range s.failed {
		fmt.Fprintln(s.out, "FAILED ", f)
	}
	well := len(s.failed) == 0 && s.tests > 0
	word := "PASS"
	switch {
	case !well:
		word = "FAIL"
	case len(s.loud) > 0 && s.strict:
		word, well = "FAIL (loud skips are failures here)", false
	}
	fmt.Fprintf(s.out, "%s: %d tests passed in %d packages, %d failed, %d skipped loudly, %d skipped, %s\n",
		word, s.tests, s.withTests, len(s.failed), len(s.loud), s.quiet, took.Round(time.Second))
	return well
}

func (s *summary) printSlowest() {
	slices.SortFunc(s.slow, func(a, b timed) int { return int(1000 * (b.seconds - a.seconds)) })
	for _, p := range s.slow[:min(3, len(s.slow))] {
		if p.seconds > 10 {
			fmt.Fprintf(s.out, "slow   %s %.1f s\n", p.pkg, p.seconds)
		}
	}
}
