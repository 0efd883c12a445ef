package dbtest

import (
	"os"
	"strings"
	"testing"
)

// SkipLoud skips a test for want of a server, or fails it where that must not happen.
func SkipLoud(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("SKIP-LOUD: %s is missing (%v): run scripts/deps", what, err)
	}
	t.Skipf("SKIP-LOUD: %s is missing (%v): run scripts/deps", what, err)
}

// Differ gives the lines that only one of two sorted dumps has.
func Differ(a, b string) string {
	count := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		count[l]++
	}
	for _, l := range strings.Split(b, "\n") {
		count[l]--
	}
	var out []string
	for l, n := range count {
		if n > 0 {
			out = append(out, "- "+l)
		} else if n < 0 {
			out = append(out, "+ "+l)
		}
		if len(out) > 40 {
			break
		}
	}
	return strings.Join(out, "\n")
}

// Rounds is how often a test that tries many times does so: more under LIFEBOAT_SOAK=1.
func Rounds(few, many int) int {
	if os.Getenv("LIFEBOAT_SOAK") == "1" {
		return many
	}
	return few
}
