package feature

import (
	"math"
	"strconv"
	"strings"
)

// falsy is what JavaScript counts as false.
func falsy(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case bool:
		return !x
	case float64:
		return x == 0 || math.IsNaN(x)
	case string:
		return x == ""
	}
	return false
}

// truthy is JsonLogic's: what has nothing in it is false, too.
func truthy(v any) bool {
	switch x := v.(type) {
	case []any:
		return len(x) > 0
	case map[string]any:
		return len(x) > 0
	}
	return !falsy(v)
}

// identical is JavaScript's ===, of values: two lists or objects are never the same.
func identical(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, is := b.(bool)
		return is && x == y
	case float64:
		y, is := b.(float64)
		return is && x == y
	case string:
		y, is := b.(string)
		return is && x == y
	}
	return false
}

// number is JavaScript's +v; lists and objects are no numbers.
func number(v any) float64 {
	switch x := v.(type) {
	case nil:
		return 0
	case bool:
		if x {
			return 1
		}
		return 0
	case float64:
		return x
	case string:
		return numeral(x)
	}
	return math.NaN()
}

// numeral reads a number as JavaScript does.
func numeral(s string) float64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if len(s) > 2 && s[0] == '0' {
		if base, is := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'O': 8, 'b': 2, 'B': 2}[s[1]]; is {
			n, err := strconv.ParseUint(s[2:], base, 64)
			if err != nil {
				return math.NaN()
			}
			return float64(n)
		}
	}
	switch s {
	case "Infinity", "+Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return math.NaN()
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) {
		return math.NaN()
	}
	return n
}

// integer is a number without its fraction, and 0 for what is none.
func integer(v any) int {
	n := number(v)
	if math.IsNaN(n) {
		return 0
	}
	return int(max(-1<<30, min(1<<30, math.Trunc(n))))
}

// text is JavaScript's String(v).
func text(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return numberText(x)
	case string:
		return x
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			if e != nil {
				parts[i] = text(e)
			}
		}
		return strings.Join(parts, ",")
	}
	return "[object Object]"
}

// numberText writes a number as JavaScript does.
func numberText(n float64) string {
	switch a := math.Abs(n); {
	case math.IsNaN(n):
		return "NaN"
	case math.IsInf(n, 1):
		return "Infinity"
	case math.IsInf(n, -1):
		return "-Infinity"
	case n == 0:
		return "0"
	case a >= 1e21 || a < 1e-6:
		s := strconv.FormatFloat(n, 'e', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		sign := exponent[:1]
		return mantissa + "e" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}
