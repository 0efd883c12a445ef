package house

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// neverSay are words for which we have another one; only those that are safe to
// look for. One word for one thing lets people find it everywhere.
var neverSay = map[string]string{
	"maintenance page":  "standby page",
	"switchover":        "failover",
	"fail-over":         "fail over, or failover",
	"fail-back":         "fail back, or failback",
	"root cause":        "possible cause, or contributing factor",
	"action item":       "follow-up",
	"runbook":           "lever",
	"canary":            "stage",
	"audit trail":       "timeline",
	"disaster recovery": "fail over and fail back",
}

// spoken are the rooms whose texts people read.
var spoken = []string{"internal/web/", "internal/api/", "internal/statuspage/", "internal/standby/", "internal/cli/", "internal/incident/", "internal/demo/"}

func TestWords(t *testing.T) {
	t.Parallel()
	var patterns []string
	for word := range neverSay {
		patterns = append(patterns, regexp.QuoteMeta(word))
	}
	never := regexp.MustCompile(`(?i)\b(` + strings.Join(patterns, "|") + `)s?\b`)
	check := func(place, text string) {
		for _, match := range never.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s says %q: one word for one thing; say %q", place, match[0], neverSay[strings.ToLower(match[1])])
		}
	}
	speaks := func(file string) bool {
		return slices.ContainsFunc(spoken, func(room string) bool { return strings.HasPrefix(file, room) })
	}
	for _, file := range allFiles(t) {
		template := slices.Contains([]string{".html", ".tmpl", ".txt"}, path.Ext(file))
		if speaks(file) && template && !strings.Contains(file, "testdata/") {
			check(file, string(read(t, file)))
		}
	}
	for _, s := range allSources(t) {
		if s.test() || !speaks(s.path) {
			continue
		}
		for node, text := range literals(s) {
			check(s.at(node), text)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(treeRoot(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSpeaksOfTheProduct: what is written here is for whoever runs or builds
// lifeboat anywhere, so it names no one machine and no one's way of working.
func TestSpeaksOfTheProduct(t *testing.T) {
	t.Parallel()
	foreign := map[string]string{ // put together, so that this file does not hold them
		"/wo" + "rk/":         "a path that only one machine has",
		"/tmp/" + "bash":      "a path that only one machine has",
		"issue" + " #":        "a number means nothing without its tracker; say what it is about",
		"ai " + "assistant":   "the texts speak of the product only",
		"co-authored" + "-by": "the texts speak of the product only",
	}
	for _, file := range allFiles(t) {
		text := bytes.ToLower(read(t, file))
		if bytes.IndexByte(text, 0) >= 0 || path.Base(file) == "go.sum" {
			continue
		}
		for word, reason := range foreign {
			if i := bytes.Index(text, []byte(word)); i >= 0 {
				t.Errorf("%s:%d: %q: %s", file, 1+bytes.Count(text[:i], []byte("\n")), word, reason)
			}
		}
	}
}
