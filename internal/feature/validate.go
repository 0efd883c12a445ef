package feature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// MaxKey is the most bytes that a flag's key may have.
const MaxKey = 128

// Validate checks every flag and that no key is there twice. It gives the first
// problem as a *fault.Error whose place is "features.KEY" or a field of it.
func Validate(flags []Flag) error {
	seen := make(map[string]bool, len(flags))
	for _, f := range flags {
		if err := f.Validate(); err != nil {
			return err
		}
		if seen[f.Key] {
			return fault.New(fault.Invalid, "two features have the key %q", f.Key).
				At("features." + f.Key).WithHint("remove one of them")
		}
		seen[f.Key] = true
	}
	return nil
}

// Validate checks one flag: its key's spelling, that both value and off are
// given, that they have one type and differ. A type other than boolean is refused
// with kind NotSupported.
func (f Flag) Validate() error {
	place := "features." + printable(f.Key)
	if err := checkKey(f.Key); err != nil {
		return fault.New(fault.Invalid, "%s", err).At(place).
			WithHint("use letters, digits and . _ - : /, beginning with a letter or digit, at most %d", MaxKey)
	}
	value, err := f.field(place+".value", f.Value)
	if err != nil {
		return err
	}
	off, err := f.field(place+".off", f.Off)
	if err != nil {
		return err
	}
	if value == off {
		return fault.New(fault.Invalid, "off is the same as value, so that pulling a lever changes nothing").
			At(place+".off").WithHint("say off: %t", !value)
	}
	return f.checkDefault(place)
}

// checkDefault looks at the optional code_default.
func (f Flag) checkDefault(place string) error {
	if len(f.CodeDefault) == 0 {
		return nil
	}
	_, err := f.field(place+".code_default", f.CodeDefault)
	return err
}

// CheckValue says whether a value could be ordered for the flag.
func (f Flag) CheckValue(value json.RawMessage) error {
	_, err := f.field("features."+printable(f.Key), value)
	return err
}

func (f Flag) field(place string, raw json.RawMessage) (bool, error) {
	switch t := typeOf(raw); t {
	case "boolean":
		return isTrue(raw), nil
	case "":
		return false, fault.New(fault.Invalid, "a value is missing").
			At(place).WithHint("say true or false: a switch always answers with a value that somebody wrote down")
	case "broken":
		return false, fault.New(fault.Invalid, "the value is not JSON").At(place).WithHint("say true or false")
	default:
		return false, fault.New(fault.NotSupported, "a feature of type %s is not in this version", t).
			At(place).WithHint("say true or false")
	}
}

// typeOf names the JSON type of a value, "" when there is none or it is null,
// "broken" when it is not JSON.
func typeOf(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if !json.Valid(raw) {
		return "broken"
	}
	switch raw[0] {
	case 't', 'f':
		return "boolean"
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	}
	return "number"
}

func isTrue(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "true" }

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("a feature has no key")
	}
	if len(key) > MaxKey {
		return fmt.Errorf("the key has %d bytes, at most %d are possible", len(key), MaxKey)
	}
	for i := range len(key) {
		if !keyByte(key[i], i == 0) {
			return fmt.Errorf("the key %q may not hold %q at byte %d", key, key[i], i+1)
		}
	}
	return nil
}

func keyByte(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '.', c == '_', c == '-', c == ':', c == '/', c == '~': // ~ marks the stand-in that a drill flips
		return !first
	}
	return false
}

// printable keeps a misspelt key readable in a place: short, and free of
// characters that a terminal would obey.
func printable(key string) string {
	if len(key) > MaxKey {
		key = key[:MaxKey]
	}
	for i, r := range key {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return key[:i] + "…"
		}
	}
	return key
}
