package ofrep

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// TestServerClient is a program on a server that asks through Node's SDK: values and
// errors of every kind, a flip at its next question, and a server that is dead, back,
// and hung.
func TestServerClient(t *testing.T) {
	t.Parallel()
	b := launch(t, feature.Access{})
	p := run(t, "server.mjs", b.url())
	de := map[string]any{"targetingKey": "u1", "country": "DE"}
	for _, c := range []struct {
		kind, key string
		fallback  any
		context   map[string]any
		want      details
	}{
		{"boolean", "checkout", false, de, details{Value: raw("true"), Reason: "STATIC", Variant: "on"}},
		{"string", "engine", "x", de, details{Value: raw(`"titles"`), Reason: "TARGETING_MATCH", Variant: "light"}},
		{"string", "engine", "x", map[string]any{}, details{Value: raw(`"full"`), Reason: "DEFAULT", Variant: "on"}},
		{"number", "limit", 1, de, details{Value: raw("12.5"), Reason: "STATIC", Variant: "on"}},
		{"object", "page", map[string]any{}, de, details{Value: raw(`{"colour":"blue","deep":{"n":1}}`), Reason: "STATIC", Variant: "on"}},
		{"boolean", "secret", false, de, details{Value: raw("true"), Reason: "STATIC", Variant: "on"}},
		{"boolean", "ramp", false, de, details{Value: raw("true"), Reason: "TARGETING_MATCH", Variant: "on"}},
		{"boolean", "ramp", false, map[string]any{}, details{Value: raw("false"), Reason: "ERROR", Error: "TARGETING_KEY_MISSING"}},
		{"boolean", "nothing", true, de, details{Value: raw("true"), Reason: "ERROR", Error: "FLAG_NOT_FOUND"}},
		{"boolean", "broken", true, de, details{Value: raw("true"), Reason: "ERROR", Error: "PARSE_ERROR"}},
		{"string", "checkout", "x", de, details{Value: raw(`"x"`), Reason: "ERROR", Error: "TYPE_MISMATCH"}},
		{"string", "engine", "x", map[string]any{"targetingKey": 5}, details{Value: raw(`"x"`), Reason: "ERROR", Error: "INVALID_CONTEXT"}},
	} {
		got := p.evaluate(c.kind, c.key, c.fallback, c.context)
		if string(got.Value) != string(c.want.Value) || got.Reason != c.want.Reason || got.Variant != c.want.Variant || got.Error != c.want.Error {
			t.Errorf("%s for %v: %s %+v, want %s %+v", c.key, c.context, got.Value, got, c.want.Value, c.want)
		}
	}

	b.order(pulled())
	got := p.evaluate("boolean", "checkout", true, de)
	if string(got.Value) != "false" || got.Variant != "off" || got.Metadata["incident"] != "01J" || got.Metadata["by"] != "Ada" || got.Metadata["since"] == "" {
		t.Errorf("pulled: %+v", got)
	}
	b.stop()
	if got := p.evaluate("boolean", "checkout", true, de); string(got.Value) != "true" || got.Reason != "ERROR" {
		t.Errorf("of a dead server: %+v", got)
	}
	b.start(feature.Access{})
	b.order(pulled())
	if got := p.evaluate("boolean", "checkout", true, de); string(got.Value) != "false" {
		t.Errorf("of one that is back: %+v", got)
	}
}

// TestServerClientOfAHungServer: with the time limit of the how-to a server that takes
// connections and says nothing costs that limit, not ten seconds.
func TestServerClientOfAHungServer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody accepts
	p := run(t, "server.mjs", "http://"+ln.Addr().String(), "", "250")
	got := p.evaluate("boolean", "checkout", true, nil)
	if string(got.Value) != "true" || got.Reason != "ERROR" {
		t.Errorf("%+v", got)
	}
}

func TestServerClientWithKey(t *testing.T) {
	t.Parallel()
	access := feature.Access{Keys: []feature.Key{{Name: "shop", SHA256: hash("good"), For: feature.ForServers, PerSecond: 1}}}
	second := time.Now()
	b := launchAt(t, access, func() time.Time { return second })
	good, bad := run(t, "server.mjs", b.url(), "good"), run(t, "server.mjs", b.url(), "bad")
	if got := good.evaluate("boolean", "secret", false, nil); string(got.Value) != "true" {
		t.Errorf("%+v", got)
	}
	if got := good.evaluate("boolean", "secret", false, nil); string(got.Value) != "false" || got.Reason != "ERROR" {
		t.Errorf("a second question within the second: %+v", got)
	}
	if n := b.server.Counts().Limited; n != 1 {
		t.Errorf("%d were told to come later", n)
	}
	if got := bad.evaluate("boolean", "secret", false, nil); string(got.Value) != "false" || got.Reason != "ERROR" {
		t.Errorf("with a bad key: %+v", got)
	}
}
