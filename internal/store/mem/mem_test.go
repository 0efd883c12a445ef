package mem_test

import (
	"testing"

	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return mem.New(mem.Options{}) })
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	storetest.Compaction(t, func(_ *testing.T, keep int) store.Store { return mem.New(mem.Options{Keep: keep}) })
}
