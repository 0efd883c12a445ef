package feature

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/fault"
)

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Flag{Key: "checkout", Value: raw("true"), Off: raw("false")}
	for name, c := range map[string]struct {
		change func(*Flag)
		kind   fault.Kind
		place  string
	}{
		"good":                            {func(*Flag) {}, "", ""},
		"turned round":                    {func(f *Flag) { f.Value, f.Off = raw("false"), raw("true") }, "", ""},
		"key with all bytes":              {func(f *Flag) { f.Key = "a.B_9-x:y/z" }, "", ""},
		"with code default":               {func(f *Flag) { f.CodeDefault = raw("false") }, "", ""},
		"no key":                          {func(f *Flag) { f.Key = "" }, fault.Invalid, "features."},
		"key with space":                  {func(f *Flag) { f.Key = "check out" }, fault.Invalid, "features.check out"},
		"key begins with dot":             {func(f *Flag) { f.Key = ".checkout" }, fault.Invalid, "features..checkout"},
		"key not ASCII":                   {func(f *Flag) { f.Key = "caisse-é" }, fault.Invalid, "features.caisse-é"},
		"key with escape":                 {func(f *Flag) { f.Key = "a\x1b[2J" }, fault.Invalid, "features.a…"},
		"key too long":                    {func(f *Flag) { f.Key = strings.Repeat("k", MaxKey+1) }, fault.Invalid, "features." + strings.Repeat("k", MaxKey)},
		"no value":                        {func(f *Flag) { f.Value = nil }, fault.Invalid, "features.checkout.value"},
		"no off":                          {func(f *Flag) { f.Off = nil }, fault.Invalid, "features.checkout.off"},
		"off is null":                     {func(f *Flag) { f.Off = raw("null") }, fault.Invalid, "features.checkout.off"},
		"off is value":                    {func(f *Flag) { f.Off = raw("true") }, fault.Invalid, "features.checkout.off"},
		"off is broken":                   {func(f *Flag) { f.Off = raw("fals") }, fault.Invalid, "features.checkout.off"},
		"off is a string":                 {func(f *Flag) { f.Off = raw(`"false"`) }, fault.Invalid, "features.checkout.off"},
		"value is a number":               {func(f *Flag) { f.Value = raw("3") }, fault.Invalid, "features.checkout.off"},
		"numbers":                         {func(f *Flag) { f.Value, f.Off = raw("3"), raw("0") }, "", ""},
		"equal numbers":                   {func(f *Flag) { f.Value, f.Off = raw("3"), raw("3.0") }, fault.Invalid, "features.checkout.off"},
		"texts":                           {func(f *Flag) { f.Value, f.Off = raw(`"cards"`), raw(`"none"`) }, "", ""},
		"objects":                         {func(f *Flag) { f.Value, f.Off = raw(`{"a":1,"b":2}`), raw(`{}`) }, "", ""},
		"equal objects":                   {func(f *Flag) { f.Value, f.Off = raw(`{"a":1,"b":2}`), raw(`{"b":2, "a":1}`) }, fault.Invalid, "features.checkout.off"},
		"value is an array":               {func(f *Flag) { f.Value = raw("[1]") }, fault.NotSupported, "features.checkout.value"},
		"value is long":                   {func(f *Flag) { f.Value, f.Off = raw(`"`+strings.Repeat("x", maxValue)+`"`), raw(`""`) }, fault.Invalid, "features.checkout.value"},
		"default is a number":             {func(f *Flag) { f.CodeDefault = raw("3") }, fault.Invalid, "features.checkout.code_default"},
		"a variant":                       {func(f *Flag) { f.Variants = map[string]json.RawMessage{"half": raw("true")} }, "", ""},
		"a variant called on":             {func(f *Flag) { f.Variants = map[string]json.RawMessage{"on": raw("true")} }, fault.Invalid, "features.checkout.variants.on"},
		"a variant of another type":       {func(f *Flag) { f.Variants = map[string]json.RawMessage{"x": raw("3")} }, fault.Invalid, "features.checkout.variants.x"},
		"a rule":                          {func(f *Flag) { f.Targeting = raw(`{"if":[{"var":"beta"},"on","off"]}`) }, "", ""},
		"a rule that is a name":           {func(f *Flag) { f.Targeting = raw(`"on"`) }, fault.Invalid, "features.checkout.targeting"},
		"a rule with an unknown operator": {func(f *Flag) { f.Targeting = raw(`{"if":[{"vra":"beta"},"on","off"]}`) }, fault.Invalid, "features.checkout.targeting.if.0.vra"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good
			c.change(&f)
			err := Validate([]Flag{f})
			if got := fault.KindOf(err); got != c.kind {
				t.Fatalf("kind %q, want %q (%v)", got, c.kind, err)
			}
			var told *fault.Error
			if errors.As(err, &told) && (told.Place != c.place || told.Hint == "") {
				t.Errorf("place %q hint %q, want place %q and a hint", told.Place, told.Hint, c.place)
			}
		})
	}
}

func TestValidateTwice(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "checkout", Value: raw("true"), Off: raw("false")}
	if err := Validate([]Flag{f, f}); fault.KindOf(err) != fault.Invalid {
		t.Fatalf("two features with one key: got %v", err)
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "checkout", Value: raw("true"), Off: raw("false")}
	turned := Flag{Key: "read-only", Value: raw("false"), Off: raw(" true ")}
	order := Order{Value: raw("false"), Lever: "close-checkout", Incident: "01J", By: "anna", Since: "2026-03-12T02:07:00Z"}
	about := map[string]string{"lever": "close-checkout", "incident": "01J", "by": "anna", "since": "2026-03-12T02:07:00Z"}
	with := func(value string) *Order { o := order; o.Value = raw(value); return &o }
	for name, c := range map[string]struct {
		flag  Flag
		order *Order
		want  Answer
	}{
		"calm":            {f, nil, Answer{Value: raw("true"), Variant: On, Reason: Static}},
		"pulled":          {f, &order, Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: about}},
		"ordered to calm": {f, with("true"), Answer{Value: raw("true"), Variant: On, Reason: Static, Metadata: about}},
		"turned calm":     {turned, nil, Answer{Value: raw("false"), Variant: On, Reason: Static}},
		"turned pulled":   {turned, with("true"), Answer{Value: raw("true"), Variant: Off, Reason: Static, Metadata: about}},
		"order is null":   {f, with("null"), Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: about}},
		"order is empty":  {f, with(""), Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: about}},
		"order is text":   {f, with(`"true"`), Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: about}},
		"order is broken": {f, with(`{`), Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: about}},
		"nothing known":   {f, &Order{Value: raw("false")}, Answer{Value: raw("false"), Variant: Off, Reason: Static, Metadata: map[string]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Evaluate(c.flag, c.order)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A switch always answers with an explicit boolean, whatever is ordered.
func TestEvaluateAlwaysAnswers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calm := rapid.Bool().Draw(t, "calm")
		f := Flag{Key: "k", Value: raw("true"), Off: raw("false")}
		if !calm {
			f.Value, f.Off = f.Off, f.Value
		}
		var o *Order
		if rapid.Bool().Draw(t, "ordered") {
			o = &Order{Value: json.RawMessage(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))}
		}
		a := Evaluate(f, o)
		var b bool
		if err := json.Unmarshal(a.Value, &b); err != nil {
			t.Fatalf("answered %q: %v", a.Value, err)
		}
		if a.Reason != Static || (b == calm) != (a.Variant == On) {
			t.Fatalf("answer %+v for calm %t", a, calm)
		}
	})
}

func FuzzValidate(f *testing.F) {
	f.Add("checkout", "true", "false")
	f.Add("", "null", "")
	f.Add("a\xff", "{", "1e9")
	f.Fuzz(func(t *testing.T, key, value, off string) {
		flag := Flag{Key: key, Value: raw(value), Off: raw(off)}
		err := flag.Validate()
		if err == nil && Evaluate(flag, nil).Variant != On {
			t.Fatalf("a valid flag %+v is not on in calm", flag)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("a refusal without words")
		}
	})
}
