package ofrep

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
)

var installed = sync.OnceValues(func() (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", err
	}
	out, err := exec.Command("../../scripts/npm", "--check").Output()
	return strings.TrimSpace(string(out)), err
})

// node prepares a program of the folder node to be run.
func node(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	folder, err := installed()
	if err != nil {
		t.Skipf("SKIP-LOUD: the JavaScript clients are not there (%v); install them with: make deps", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"node/" + program}, args...)...)
	cmd.Env = append(cmd.Environ(), "CLIENTS="+folder)
	return cmd
}
