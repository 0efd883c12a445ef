package feature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
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

// maxValue is the most bytes that a value may have as JSON.
const maxValue = 16 << 10

// MaxVariants is how many variants a flag may have besides on and off.
const MaxVariants = 50

// Validate checks one flag: its key's spelling, that both value and off are
// given, that all values have one type, that on and off differ or a rule makes a
// difference, and its rule. A
// list is refused with kind NotSupported: clients of OFREP have no such type.
func (f Flag) Validate() error {
	if err := f.usable(); err != nil {
		return err
	}
	if Same(f.Value, f.Off) && len(f.Targeting) == 0 { // with a rule, a lever closes it to whom the rule lets in
		return fault.New(fault.Invalid, "off is the same as value, so that pulling a lever changes nothing").
			At("features."+printable(f.Key)+".off").WithHint("%s", otherHint(f.Value))
	}
	return nil
}

// usable is Validate for who has to answer: a flag that no lever can close has a
// value all the same.
func (f Flag) usable() error {
	place := "features." + printable(f.Key)
	if err := checkKey(f.Key); err != nil {
		return fault.New(fault.Invalid, "%s", err).At(place).
			WithHint("use letters, digits and . _ - : /, beginning with a letter or digit, at most %d", MaxKey)
	}
	for _, v := range []struct {
		name string
		raw  json.RawMessage
	}{{"value", f.Value}, {"off", f.Off}} {
		if err := f.field(place+"."+v.name, v.raw); err != nil {
			return err
		}
	}
	if len(f.CodeDefault) > 0 {
		if err := f.field(place+".code_default", f.CodeDefault); err != nil {
			return err
		}
	}
	if err := f.checkVariants(place); err != nil {
		return err
	}
	if len(f.Targeting) == 0 {
		return nil
	}
	_, err := readRule(f.Targeting, place+".targeting")
	return err
}

func otherHint(value json.RawMessage) string {
	if typeOf(value) == "boolean" {
		return "say off: " + strconv.FormatBool(!isTrue(value))
	}
	return "say what it is when it is off"
}

// checkVariants looks at the optional variants.
func (f Flag) checkVariants(place string) error {
	if len(f.Variants) > MaxVariants {
		return fault.New(fault.Invalid, "%d variants are too many, %d fit", len(f.Variants), MaxVariants).
			At(place + ".variants").WithHint("keep those that a rule names")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Variants)) {
		at := place + ".variants." + printable(name)
		switch {
		case name == On || name == Off || name == Ordered:
			return fault.New(fault.Invalid, "the variant %s is there already", name).At(at).
				WithHint("on is what value says, off is what off says, ordered is what a person ordered besides; call this one otherwise")
		case checkKey(name) != nil:
			return fault.New(fault.Invalid, "%s", checkKey(name)).At(at).WithHint("use letters, digits and . _ -, beginning with a letter or digit")
		}
		if err := f.field(at, f.Variants[name]); err != nil {
			return err
		}
	}
	return nil
}

// CheckValue says whether a value could be ordered for the flag.
func (f Flag) CheckValue(value json.RawMessage) error {
	return f.field("features."+printable(f.Key), value)
}

// Same says whether two values are the same to a client.
func Same(a, b json.RawMessage) bool {
	if bytes.Equal(tight(a), tight(b)) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// field checks a value of the flag against the type of its calm one.
func (f Flag) field(place string, raw json.RawMessage) error {
	want := typeOf(f.Value)
	hint := "say true or false"
	if want != "" && want != "boolean" && want != "broken" && want != "array" {
		hint = "say a value of type " + want + ", as value is"
	}
	t := typeOf(raw)
	switch {
	case t == "":
		return fault.New(fault.Invalid, "a value is missing").
			At(place).WithHint("%s: a switch always answers with a value that somebody wrote down", hint)
	case t == "broken":
		return fault.New(fault.Invalid, "the value is not JSON").At(place).WithHint("%s", hint)
	case t == "array":
		return fault.New(fault.NotSupported, "a feature that is a list is not in this version").
			At(place).WithHint("put the list into an object: {items: [1, 2]}")
	case len(raw) > maxValue:
		return fault.New(fault.Invalid, "the value has %d bytes, %d fit", len(raw), maxValue).
			At(place).WithHint("send a name, and keep what it stands for in the program that asks")
	case t != want:
		return fault.New(fault.Invalid, "the value is of type %s, and the feature is of type %s", t, want).
			At(place).WithHint("%s", hint)
	}
	return nil
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
