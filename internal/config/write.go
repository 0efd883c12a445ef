package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

// WriteFeatures writes features as they stand in a configuration file: the sections
// features and evaluators. Keys that a configuration can't have are refused.
func WriteFeatures(w feature.Written) ([]byte, error) {
	var out bytes.Buffer
	if len(w.Flags) > 0 {
		out.WriteString("features:\n")
	}
	for _, f := range w.Flags {
		if !featurePattern.MatchString(f.Key) {
			return nil, fault.New(fault.Invalid, "a feature can't be called %s", clip(f.Key)).
				WithHint("give it 1 to 80 of letters, digits, '.', '_' and '-', here and in the code that asks")
		}
		fmt.Fprintf(&out, "  %s:\n", inQuotes(f.Key))
		for _, line := range []struct {
			key   string
			value any
			there bool
		}{
			{"says", f.Says, f.Says != ""}, {"owner", f.Owner, f.Owner != ""}, {"public", f.Public, f.Public}, {"value", f.Value, true}, {"off", f.Off, true},
			{"code_default", f.CodeDefault, len(f.CodeDefault) > 0}, {"variants", f.Variants, len(f.Variants) > 0}, {"targeting", f.Targeting, len(f.Targeting) > 0},
		} {
			if line.there {
				fmt.Fprintf(&out, "    %s: %s\n", line.key, inline(line.value))
			}
		}
	}
	if len(w.Evaluators) > 0 {
		out.WriteString("evaluators:\n")
	}
	for _, name := range slices.Sorted(maps.Keys(w.Evaluators)) {
		if !featurePattern.MatchString(name) {
			return nil, fault.New(fault.Invalid, "an evaluator can't be called %s", clip(name)).WithHint("give it 1 to 80 of letters, digits, '.', '_' and '-'")
		}
		fmt.Fprintf(&out, "  %s: %s\n", inQuotes(name), inline(w.Evaluators[name]))
	}
	return out.Bytes(), nil
}

// inline is a value as JSON, which a configuration file reads, too. Numbers stay as they
// are written, and texts have no escapes that they don't need.
func inline(v any) string {
	var b bytes.Buffer
	if raw, err := json.Marshal(v); err == nil {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return "null" // not reached: it was just written
		}
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { // what was read can be written
		return "null"
	}
	return strings.TrimRight(b.String(), "\n")
}

// inQuotes keeps a key such as 1.5 or no from being taken for something else.
func inQuotes(key string) string { return inline(key) }
