package web

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
)

// A lever of another system's flag says what it does, how long that takes, and that it
// was only looked at where nothing was moved.
func TestLeverElsewhereInWords(t *testing.T) {
	t.Parallel()
	l := engine.LeverView{Name: "checkout-off", Kind: "unleash", To: "checkout off in production", Reach: "An estimate: within 15 seconds.", Drill: engine.DrillRecord{At: time.Now(), OK: true, LookedOnly: true}, Armed: true}
	if got := notices(l); got != "It sets checkout off in production, for everybody." {
		t.Error(got)
	}
	if got := howLong(engine.SiteView{}, l); got != l.Reach {
		t.Error(got)
	}
	if got := rehearsed(l, time.Now()); !strings.Contains(got, "Looked at") || !strings.Contains(got, "never moved") {
		t.Error(got)
	}
	for _, c := range []struct {
		kind, state string
		drifted     bool
		want        bool
	}{
		{"unleash", string(incident.Active), true, true}, {"flagd", string(incident.Active), false, false}, {"unleash", string(incident.Undoing), true, false},
		{"zone", string(incident.Active), true, false}, {"feature", string(incident.Active), true, false},
	} {
		if got := again(engine.LeverView{Kind: c.kind, State: c.state, Drifted: c.drifted}); got != c.want {
			t.Errorf("%+v: can be pulled again: %t", c, got)
		}
	}
}
