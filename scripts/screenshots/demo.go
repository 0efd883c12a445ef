package main

import (
	"context"
)

// demo walks through a whole crisis in the real program.
func (s *studio) demo(_ context.Context, _ string) error { return nil }
