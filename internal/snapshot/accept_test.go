package snapshot

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

func move(id, position string) Order {
	return Order{ID: id, Lever: "to-" + position, Site: "shop", Position: position, At: epoch1, By: "uid 0", Reason: "Pulled at answer."}
}

func flip(id, value string) Order {
	return Order{ID: id, Lever: "close-checkout", Site: "shop", Feature: "checkout", Value: json.RawMessage(value), At: epoch1, By: "uid 0"}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	c := contents()
	at := func(epoch, revision uint64, position string) Manifest {
		m, _ := manifest(t, epoch, revision, position, c)
		return m
	}
	standby := Local{Orders: []Order{move("1", Standby)}}
	both := Local{Orders: []Order{move("1", "backup"), move("2", Standby)}}
	takes := func(m Manifest, taken ...string) Manifest {
		m.Taken = taken
		return m
	}
	for _, k := range []struct {
		name      string
		now, next Manifest
		local     Local
		want      fault.Kind
	}{
		{"the first", Manifest{}, at(1, 1, "main"), Local{}, ""},
		{"the first, of any epoch", Manifest{}, at(9, 1, "main"), Local{}, ""},
		{"the next revision", at(1, 1, "main"), at(1, 2, "main"), Local{}, ""},
		{"a jump of revisions", at(1, 1, "main"), at(1, 200, "main"), Local{}, ""},
		{"control moves away from safety", at(1, 1, Standby), at(1, 2, "main"), Local{}, ""},
		{"the same again", at(1, 2, "main"), at(1, 2, "main"), Local{}, fault.Conflict},
		{"the same number, another place", at(1, 2, "main"), at(1, 2, Standby), Local{}, fault.Conflict},
		{"an older revision", at(1, 2, "main"), at(1, 1, Standby), Local{}, fault.Conflict},
		{"an older epoch", at(2, 1, "main"), at(1, 9, Standby), Local{}, fault.Conflict},
		{"an older epoch that was adopted", at(2, 1, "main"), at(1, 9, Standby), Local{Adopted: 1}, fault.Conflict},
		{"a newer epoch, same place", at(1, 9, Standby), at(2, 1, Standby), Local{}, ""},
		{"a newer epoch, home", at(1, 9, "main"), at(2, 1, "main"), Local{}, ""},
		{"a newer epoch towards safety", at(1, 9, "main"), at(2, 1, "backup"), Local{}, ""},
		{"a newer epoch to the standby", at(1, 9, "backup"), at(2, 1, Standby), Local{}, ""},
		{"a newer epoch away, to home", at(1, 9, Standby), at(2, 1, "main"), Local{}, fault.Refused},
		{"a newer epoch away, to the backup", at(1, 9, Standby), at(2, 1, "backup"), Local{}, fault.Refused},
		{"a newer epoch from the backup home", at(1, 9, "backup"), at(2, 1, "main"), Local{}, fault.Refused},
		{"a newer epoch that says nothing of the site", at(1, 9, Standby), at(2, 1, ""), Local{}, fault.Refused},
		{"a newer epoch with an unknown position", at(1, 9, "backup"), at(2, 1, "moon"), Local{}, fault.Refused},
		{"a newer epoch against a local order", at(1, 9, "main"), at(2, 1, "main"), standby, fault.Refused},
		{"a newer epoch that adopted the local order", at(1, 9, "main"), at(2, 1, Standby), standby, ""},
		{"a newer epoch that takes over both orders", at(1, 9, "main"), takes(at(2, 1, Standby), "1", "2"), both, ""},
		{"a newer epoch that leaves the older and less safe order", at(1, 9, "main"), takes(at(2, 1, Standby), "2"), both, fault.Refused},
		{"a much newer epoch away", at(1, 9, Standby), at(70, 1, "main"), Local{}, fault.Refused},
		{"adopted by a person", at(1, 9, Standby), at(2, 1, "main"), Local{Adopted: 2}, ""},
		{"another epoch was adopted", at(1, 9, Standby), at(3, 1, "main"), Local{Adopted: 2}, fault.Refused},
	} {
		err := Accept(k.now, k.next, c, k.local)
		if fault.KindOf(err) != k.want {
			t.Errorf("%s: %v, want kind %q", k.name, err, k.want)
		}
		if k.want == fault.Refused && !strings.Contains(err.Error(), fmt.Sprintf("lifeboat answer adopt %d", k.next.Epoch)) {
			t.Errorf("%s: no way through in %q", k.name, err)
		}
	}
}

// A drill's stand-in holds back no epoch.
func TestAcceptPassesOverShadows(t *testing.T) {
	t.Parallel()
	c := contents()
	stand := shop()
	stand.ID, stand.Shadow = ShadowID("shop"), "shop"
	c.Sites = append(c.Sites, stand)
	now, _ := manifest(t, 1, 1, "main", c)
	next, _ := manifest(t, 2, 1, "main", c)
	now.Sites[stand.ID], next.Sites[stand.ID] = SiteOrder{Position: Standby}, SiteOrder{Position: "main"}
	must(t, Accept(now, next, c, Local{}))
}

func TestEffective(t *testing.T) {
	t.Parallel()
	c := contents()
	for _, k := range []struct {
		name     string
		position string
		orders   []Order
		want     string
	}{
		{"nothing said", "", nil, "main"},
		{"the manifest", "backup", nil, "backup"},
		{"a position that is not there", "moon", nil, "main"},
		{"a local order over the manifest", "main", []Order{move("1", Standby)}, Standby},
		{"the newest local order", "main", []Order{move("1", "backup"), move("2", Standby)}, Standby},
		{"a feature's order moves nothing", "backup", []Order{flip("1", "false")}, "backup"},
		{"another site's order", "backup", []Order{{ID: "1", Site: "blog", Position: Standby}}, "backup"},
		{"a local order to what is not there", "backup", []Order{move("1", "moon")}, "backup"},
		{"the newest that leads somewhere", "main", []Order{move("1", Standby), move("2", "moon")}, Standby},
	} {
		m, _ := manifest(t, 1, 1, k.position, c)
		if got := Effective(m, Local{Orders: k.orders}, shop()); got != k.want {
			t.Errorf("%s: %q, want %q", k.name, got, k.want)
		}
	}
}

func TestEffectiveFlags(t *testing.T) {
	t.Parallel()
	m := Manifest{Features: map[string]feature.Order{"checkout": {Value: json.RawMessage("true"), Lever: "a", Share: 50}, "search": {Value: json.RawMessage("false"), Share: 25}}}
	got := EffectiveFlags(m, Local{Orders: []Order{flip("1", "true"), move("2", Standby), flip("3", "false")}})
	if string(got["checkout"].Value) != "false" || got["checkout"].Share != 0 || got["search"].Share != 25 || got["checkout"].Since != "2026-03-01T12:00:00Z" || got["checkout"].By != "uid 0" || string(got["search"].Value) != "false" || len(got) != 2 {
		t.Errorf("%+v", got)
	}
	if string(m.Features["checkout"].Value) != "true" {
		t.Error("the manifest was changed")
	}
	if got := EffectiveFlags(Manifest{}, Local{}); got == nil || len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	l := Local{Orders: []Order{move("1", "backup"), flip("2", "false"), move("3", Standby)}, Serials: map[string]uint32{"a.": 4}, Adopted: 7, LastAuto: map[string]time.Time{"shop": epoch1}}
	for _, k := range []struct{ taken, left []string }{
		{nil, []string{"1", "2", "3"}},
		{[]string{"9"}, []string{"1", "2", "3"}},
		{[]string{"2"}, []string{"1", "3"}},
		{[]string{"3", "1", "1"}, []string{"2"}},
		{[]string{"1", "2", "3"}, nil},
	} {
		got := l.Settle(k.taken)
		var left []string
		for _, o := range got.Orders {
			left = append(left, o.ID)
		}
		if !slices.Equal(left, k.left) || got.Adopted != 7 || got.Serials["a."] != 4 || len(got.LastAuto) != 1 {
			t.Errorf("taken %v: left %v, %+v", k.taken, left, got)
		}
	}
	if len(l.Orders) != 3 || l.Orders[0].ID != "1" {
		t.Errorf("the orders before were changed: %+v", l.Orders)
	}
}

func TestToward(t *testing.T) {
	t.Parallel()
	c := contents()
	c.Sites[0].Positions["second"] = addresses("203.0.113.30")
	blank := move("1", "")
	for _, k := range []struct {
		name  string
		at    string
		order Order
		want  fault.Kind
	}{
		{"home to standby", "main", move("1", Standby), ""},
		{"home to backup", "main", move("1", "backup"), ""},
		{"backup to standby", "backup", move("1", Standby), ""},
		{"backup to another origin", "backup", move("1", "second"), ""},
		{"standby to backup", Standby, move("1", "backup"), fault.Refused},
		{"standby to home", Standby, move("1", "main"), fault.Refused},
		{"backup to home", "backup", move("1", "main"), fault.Refused},
		{"where it is", Standby, move("1", Standby), fault.Conflict},
		{"home when home", "main", move("1", "main"), fault.Conflict},
		{"nowhere", "main", move("1", "moon"), fault.NotFound},
		{"no position", "main", blank, fault.NotFound},
		{"another site", "main", Order{Site: "blog", Position: Standby}, fault.NotFound},
		{"a feature", "main", flip("1", "false"), ""},
		{"an unknown feature", "main", Order{Feature: "moon", Value: json.RawMessage("false")}, fault.NotFound},
	} {
		m, _ := manifest(t, 1, 1, k.at, c)
		err := Toward(k.order, m, Local{}, c)
		if fault.KindOf(err) != k.want {
			t.Errorf("%s: %v, want kind %q", k.name, err, k.want)
		}
		if k.want == fault.Refused && (!strings.Contains(err.Error(), "U1") || !strings.Contains(err.Error(), "lifeboat go-back")) {
			t.Errorf("%s: no rule or no way through in %q", k.name, err)
		}
	}
	m, _ := manifest(t, 1, 1, "main", c)
	if err := Toward(flip("2", "false"), m, Local{Orders: []Order{flip("1", "false")}}, c); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a feature that is closed already: %v", err)
	}
	m.Features = map[string]feature.Order{"checkout": {Value: json.RawMessage("false"), Share: 50}}
	if err := Toward(flip("2", "false"), m, Local{}, c); err != nil {
		t.Errorf("a feature that is closed to half: %v", err)
	}
	if err := Toward(move("2", "backup"), m, Local{Orders: []Order{move("1", Standby)}}, c); fault.KindOf(err) != fault.Refused {
		t.Errorf("back down from a local order: %v", err)
	}
}

// Whatever manifests come, in whatever order, and whatever is ordered locally: a
// site moves away from safety only by an order of the control that is in force, or
// of one that a person adopted.
func TestNeverAwayFromSafety(t *testing.T) {
	t.Parallel()
	c := contents()
	site := c.Sites[0]
	rapid.Check(t, func(r *rapid.T) {
		now, local := Manifest{}, Local{}
		var ids []string
		for step := range rapid.IntRange(1, 30).Draw(r, "steps") {
			before := Effective(now, local, site)
			excused := false
			switch what := rapid.IntRange(0, 9).Draw(r, "what"); {
			case what == 0:
				local.Adopted = rapid.Uint64Range(0, 5).Draw(r, "adopted")
			case what < 4 && now.Epoch > 0:
				o := move(fmt.Sprint(step), rapid.SampledFrom([]string{"main", "backup", Standby, "moon"}).Draw(r, "to"))
				if Toward(o, now, local, c) == nil {
					local.Orders = append(slices.Clone(local.Orders), o)
					ids = append(ids, o.ID)
				}
			default:
				next := Manifest{Format: 1, Epoch: rapid.Uint64Range(1, 5).Draw(r, "epoch"), Revision: rapid.Uint64Range(1, 9).Draw(r, "revision"), Sites: map[string]SiteOrder{}}
				if p := rapid.SampledFrom([]string{"", "main", "backup", Standby, "moon"}).Draw(r, "position"); p != "" {
					next.Sites["shop"] = SiteOrder{Position: p}
				}
				if len(ids) > 0 && rapid.Bool().Draw(r, "takes") {
					next.Taken = rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID).Draw(r, "taken")
				}
				if Accept(now, next, c, local) != nil {
					continue
				}
				if next.Epoch < now.Epoch || next.Epoch == now.Epoch && next.Revision <= now.Revision {
					r.Fatalf("(%d, %d) was followed by (%d, %d)", now.Epoch, now.Revision, next.Epoch, next.Revision)
				}
				excused = next.Epoch == now.Epoch || now.Epoch == 0 || local.Adopted == next.Epoch
				now, local = next, local.Settle(next.Taken)
			}
			if after := Effective(now, local, site); site.Rank(after) < site.Rank(before) && !excused {
				r.Fatalf("step %d moved the site from %s to %s", step, before, after)
			}
		}
	})
}

// Who may ask for features is carried where it is said, and a snapshot of a version
// that knew of no keys is read as before.
func TestCarriesAccess(t *testing.T) {
	t.Parallel()
	for _, want := range []feature.Access{
		{},
		{Origins: []string{"https://shop.example.com"}},
		{Keys: []feature.Key{{Name: "shop", SHA256: "2bb8", For: feature.ForServers, PerSecond: 5}}},
	} {
		c := contents()
		c.Access = want
		parts, refs, err := c.Encode()
		must(t, err)
		if _, named := refs[PartAccess]; named != (len(want.Keys)+len(want.Origins) > 0) {
			t.Errorf("%+v: the part is named: %t", want, named)
		}
		got, err := DecodeContents(refs, func(hash string) ([]byte, error) { return parts[hash], nil })
		must(t, err)
		if diff := cmp.Diff(want, got.Access); diff != "" {
			t.Error(diff)
		}
	}
}

// What the name server does is carried where it is said: also that no network is
// exempt, which is not the same as a word of none.
func TestCarriesDNS(t *testing.T) {
	t.Parallel()
	for _, want := range []DNS{
		{},
		{NSID: "ns1"},
		{RequireCookie: true},
		{Rate: -1},
		{Slip: 3},
		{Exempt: []netip.Prefix{}},
		{NSID: "ns1", Rate: 5, Slip: -1, Exempt: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}},
	} {
		c := contents()
		c.DNS = want
		parts, refs, err := c.Encode()
		must(t, err)
		if _, named := refs[PartDNS]; named == reflect.DeepEqual(want, DNS{}) {
			t.Errorf("%+v: the part is named: %t", want, named)
		}
		got, err := DecodeContents(refs, func(hash string) ([]byte, error) { return parts[hash], nil })
		must(t, err)
		if !reflect.DeepEqual(got.DNS, want) {
			t.Errorf("%+v became %+v", want, got.DNS)
		}
	}
}
