//go:build !linux

package slottest

import "testing"

// InTmpfs skips: only Linux has namespaces.
func InTmpfs(t *testing.T, _ int, _ func(folder string)) {
	t.Helper()
	t.Skip("SKIP-LOUD: no tmpfs in a namespace on this system")
}

// Fill is never reached here.
func Fill(*testing.T, string) (free func()) { return func() {} }
