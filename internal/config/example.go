package config

import (
	"bytes"
	_ "embed"
)

//go:embed example.yaml
var sample []byte

// Example is a whole file with comments, to begin from.
func Example() []byte { return bytes.Clone(sample) }
