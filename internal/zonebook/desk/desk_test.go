package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
)

var start = time.Date(2026, 3, 12, 2, 6, 0, 0, time.UTC)

const apex = "shop.example.com."

func fileZone(text string) zone.Source {
	return zone.Source{Apex: apex, TTL: 60, NS: []string{"ns1.example.net."}, Text: text, File: "lifeboat.yaml", Line: 12, Follow: map[string]string{apex: "shop"}}
}

const first = "; the shop\nwww IN CNAME shop.example.com.\nmail 300 IN A 192.0.2.25\n"

// bench is a desk around a record that lasts, and zones that are served at once.
type bench struct {
	*Desk
	t     *testing.T
	store store.Store
	o     Options

	mu     sync.Mutex // guards all below
	served map[string]zone.Source
	serial uint32
	refuse error
}

func at(t *testing.T, s store.Store, zones ...zone.Source) *bench {
	t.Helper()
	book, inForce, err := Open(t.Context(), s, zones, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: s, served: map[string]zone.Source{}}
	for _, z := range inForce {
		b.served[z.Apex] = z
	}
	b.o = Options{
		Store: s, Book: book, Sites: func() map[string]zone.Positions { return nil }, Crisis: func() bool { return false },
		Now: func() time.Time { return start }, Logger: slog.New(slog.DiscardHandler), Servers: []Server{{Name: "ns1.example.net.", Address: netip.MustParseAddrPort("192.0.2.53:53")}},
		Zones: func() (out []zone.Source) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, z := range b.served {
				out = append(out, z)
			}
			return out
		},
		Publish: b.publish, Ask: b.ask, Secondary: []string{"their.example."},
	}
	b.Desk = New(b.o)
	return b
}

func (b *bench) publish(ctx context.Context, src zone.Source, _ int, conds []store.Cond, writes func(uint32) []store.Write) (uint32, bool, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.store.Txn(ctx, conds, writes(b.serial+1)); err != nil {
		return 0, false, false, err
	}
	if b.refuse != nil {
		return 0, false, true, b.refuse
	}
	b.serial++
	b.served[src.Apex] = src
	return b.serial, false, false, nil
}

// ask answers from what is served.
func (b *bench) ask(_ context.Context, _ netip.AddrPort, name string, typ uint16) (*dns.Msg, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	z, err := zone.Parse(b.served[apex])
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	m.Authoritative = true
	for _, rec := range z.Records() {
		if rec.Type != typ || zone.Unpack(rec.Owner) != name {
			continue
		}
		rr, err := dns.NewRR(rec.String())
		if err != nil {
			return nil, err
		}
		if soa, is := rr.(*dns.SOA); is {
			soa.Serial = b.serial
		}
		m.Answer = append(m.Answer, rr)
	}
	return m, nil
}

func who(name string) zonebook.Who { return zonebook.Who{ID: "person/" + name, Name: name} }

func (b *bench) add(name, owner, address string) {
	b.t.Helper()
	if _, err := b.Change(b.t.Context(), apex, who(name), zonebook.Change{Op: zonebook.Add, Name: owner, Type: "A", Data: []string{address}}); err != nil {
		b.t.Fatal(err)
	}
}

// push plans and publishes.
func (b *bench) push(name string, what What) (Published, error) {
	p, err := b.Plan(b.t.Context(), apex, who(name), what)
	if err != nil {
		return Published{}, err
	}
	return b.Publish(b.t.Context(), apex, who(name), Order{What: what, Hash: p.Hash, Accept: true, Note: "because"})
}

func (b *bench) must(name string, what What) Published {
	b.t.Helper()
	out, err := b.push(name, what)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) text() string {
	b.t.Helper()
	text, err := b.Text(apex)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// TestPublishAndUndo: a revision is seen at the name servers, is kept with who, why and
// what, and is undone octet by octet; after a restart the newest is in force.
func TestPublishAndUndo(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := at(t, s, fileZone(first))
	b.add("ada", "api", "192.0.2.7")
	done := b.must("ada", What{})
	if done.Revision.Number != 1 || done.Outcome.Words != "Answered by 1 of 1 name servers after 0 ms." || !done.Outcome.Servers[0].New {
		t.Errorf("it came to %+v", done)
	}
	if d, err := b.Draft(t.Context(), apex, who("ada")); err != nil || len(d.Changes) != 0 {
		t.Errorf("the draft is still there: %+v %v", d, err)
	}
	if _, err := b.push("ada", What{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an empty draft is published: %v", err)
	}
	published := b.text()
	if again := at(t, s, fileZone(first)); again.text() != published || again.o.Book.Standing(apex).State != Ahead {
		t.Errorf("after a restart it is %s %+v", again.text(), again.o.Book.Standing(apex))
	}
	b.must("ada", What{Kind: zonebook.FromBefore, Of: -1})
	if b.text() != first {
		t.Errorf("what is back is\n%s", b.text())
	}
	b.mu.Lock()
	if z := b.served[apex]; z.File != "lifeboat.yaml" || z.Line != 12 {
		t.Errorf("it is known as %s:%d", z.File, z.Line)
	}
	b.mu.Unlock()
	b.must("ada", What{Kind: zonebook.FromBefore, Of: 1})
	if b.text() != published {
		t.Error("revision 1 did not come back")
	}
	list, err := b.History(t.Context(), apex)
	if err != nil || len(list) != 4 || list[0].Kind != zonebook.FromBefore || list[0].Of != 1 || list[2].Note != "because" || list[2].By.Name != "ada" || list[2].Outcome == nil || list[3].Kind != zonebook.FromFile {
		t.Errorf("the history is %+v %v", list, err)
	}
	for n := range 4 {
		if _, text, err := b.Revised(t.Context(), apex, n); err != nil || (text.Text == first) != (n%2 == 0) {
			t.Errorf("revision %d is %q %v", n, text.Text, err)
		}
	}
}

// TestTheFileChanges: what was published stays in force whatever the file says by then,
// and the difference is told until a person has decided.
func TestTheFileChanges(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := at(t, s, fileZone(first))
	b.add("ada", "api", "192.0.2.7")
	b.must("ada", What{})
	published := b.text()
	other := fileZone(first + "shop2 IN A 192.0.2.77\n")
	b = at(t, s, other)
	if st := b.o.Book.Standing(apex); st.State != Parted || b.text() != published || len(st.Changed) != 2 {
		t.Fatalf("it stands %+v, in force\n%s", st, b.text())
	}
	if err := b.Keep(t.Context(), apex, who("ada")); err != nil {
		t.Fatal(err)
	}
	if st := b.o.Book.Standing(apex); st.State != Ahead {
		t.Errorf("after a decision it stands %+v", st)
	}
	if err := b.Keep(t.Context(), apex, who("ada")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second decision: %v", err)
	}
	if b = at(t, s, other); b.o.Book.Standing(apex).State != Ahead {
		t.Error("the decision is forgotten")
	}
	exported := fileZone(b.text())
	if at(t, s, exported).o.Book.Standing(apex).State != AsFile {
		t.Error("what was exported into the file is told to differ")
	}
	b.must("ada", What{Kind: zonebook.FromFile})
	if b.text() != other.Text || b.o.Book.Standing(apex).State != AsFile {
		t.Errorf("the file's records are not taken: %s", b.text())
	}
}

// TestUnfit: a revision that does not fit the configuration any more keeps nothing from
// starting: the file's records are served, and it is told.
func TestUnfit(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := at(t, s, fileZone(first))
	b.add("ada", "api", "192.0.2.7")
	b.must("ada", What{})
	changed := fileZone(first)
	changed.Follow = map[string]string{apex: "shop", "api." + apex: "shop"} // which has an address now
	b = at(t, s, changed)
	if st := b.o.Book.Standing(apex); st.State != Unfit || b.text() != first || !strings.Contains(st.Problem, "api") {
		t.Fatalf("it stands %+v, in force\n%s", st, b.text())
	}
	b.add("ada", "cdn", "192.0.2.8")
	if got := b.must("ada", What{}); got.Revision.Number != 2 || strings.Contains(b.text(), "api") {
		t.Errorf("the next is %+v:\n%s", got, b.text())
	}
}

// TestPublishersAtOnce: of those who publish at the same moment none loses a change: each
// is published, or is told and finds the draft as it was.
func TestPublishersAtOnce(t *testing.T) {
	t.Parallel()
	b := at(t, mem.New(mem.Options{}), fileZone(first))
	const people = 8
	var wg sync.WaitGroup
	for i := range people {
		name := fmt.Sprintf("p%d", i)
		wg.Go(func() {
			b.add(name, name, fmt.Sprintf("192.0.2.%d", 100+i))
			for {
				_, err := b.push(name, What{})
				if err == nil {
					return
				}
				if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
					return
				}
				if d, err := b.Draft(t.Context(), apex, who(name)); err != nil || len(d.Changes) != 1 {
					t.Errorf("the draft of %s is %+v %v", name, d, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range people {
		if !strings.Contains(b.text(), fmt.Sprintf("192.0.2.%d\n", 100+i)) {
			t.Errorf("the change of p%d is lost:\n%s", i, b.text())
		}
	}
	if n := b.o.Book.Head(apex).Number; n != people {
		t.Errorf("there are %d revisions", n)
	}
}

// TestStale: a plan that somebody else has overtaken is refused, and the draft stays and
// is shown against what there is now.
func TestStale(t *testing.T) {
	t.Parallel()
	b := at(t, mem.New(mem.Options{}), fileZone(first))
	b.add("ada", "api", "192.0.2.7")
	b.add("ben", "cdn", "192.0.2.8")
	p, err := b.Plan(t.Context(), apex, who("ben"), What{})
	if err != nil {
		t.Fatal(err)
	}
	b.must("ada", What{})
	if _, err := b.Publish(t.Context(), apex, who("ben"), Order{Hash: p.Hash}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("it came to %v", err)
	}
	again, err := b.Plan(t.Context(), apex, who("ben"), What{})
	if err != nil || len(again.Since) != 1 || again.Since[0].By.Name != "ada" || len(again.Lines) != 1 {
		t.Errorf("the plan is %+v %v", again, err)
	}
	b.must("ben", What{})
	for _, part := range []string{"192.0.2.7", "192.0.2.8"} {
		if !strings.Contains(b.text(), part) {
			t.Errorf("%s is lost", part)
		}
	}
}

// TestAnswerRefuses: records that answer does not take are in the record, and so is that
// it goes on with what it had; the draft stays.
func TestAnswerRefuses(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Options{})
	b := at(t, s, fileZone(first))
	b.add("ada", "api", "192.0.2.7")
	b.mu.Lock()
	b.refuse = errors.New("no")
	b.mu.Unlock()
	if _, err := b.push("ada", What{}); err == nil {
		t.Fatal("it is published")
	}
	if d, err := b.Draft(t.Context(), apex, who("ada")); err != nil || len(d.Changes) != 1 {
		t.Errorf("the draft is %+v %v", d, err)
	}
	if again := at(t, s, fileZone(first)); again.text() != first || b.text() != first {
		t.Error("what was refused is in force")
	}
	list, err := b.History(t.Context(), apex)
	if err != nil || len(list) != 3 || !strings.Contains(list[0].Summary, "refused revision 1") {
		t.Errorf("the history is %+v %v", list, err)
	}
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()
	if got := b.must("ada", What{}); got.Revision.Number != 3 {
		t.Errorf("the next is %d", got.Revision.Number)
	}
}

// TestAccept: what takes an answer away is published only by who says that it is meant.
func TestAccept(t *testing.T) {
	t.Parallel()
	b := at(t, mem.New(mem.Options{}), fileZone(first))
	if _, err := b.Change(t.Context(), apex, who("ada"), zonebook.Change{Op: zonebook.Remove, Name: "mail", Type: "A"}); err != nil {
		t.Fatal(err)
	}
	p, err := b.Plan(t.Context(), apex, who("ada"), What{})
	if err != nil || len(p.Asks) != 1 {
		t.Fatal(p.Asks, err)
	}
	if _, err := b.Publish(t.Context(), apex, who("ada"), Order{Hash: p.Hash}); fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "mail.shop.example.com") {
		t.Errorf("it came to %v", err)
	}
	if _, err := b.Publish(t.Context(), apex, who("ada"), Order{Hash: p.Hash, Accept: true}); err != nil {
		t.Error(err)
	}
}

// TestNotHere: what can't be edited says why and where else.
func TestNotHere(t *testing.T) {
	t.Parallel()
	big := fileZone("")
	big.Apex, big.Follow, big.Text = "big.example.", nil, strings.Repeat("a 60 IN TXT \"x\"\n", zonebook.MaxText/16+1)
	b := at(t, mem.New(mem.Options{}), fileZone(first), big)
	for name, says := range map[string]string{"their.example": "comes from another server", "nothing.example": "there is no zone", "big.example": "too large to be edited"} {
		_, err := b.Change(t.Context(), name, who("ada"), zonebook.Change{Op: zonebook.Add, Name: "x", Type: "A", Data: []string{"192.0.2.1"}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := b.Zones(t.Context())
	if err != nil || len(list) != 3 || list[0].Editable || list[1].Zone != apex || list[2].Editable || list[2].Why == "" {
		t.Errorf("the list is %+v %v", list, err)
	}
	b.o.Degraded = func() bool { return true }
	if _, err := New(b.o).Change(t.Context(), apex, who("ada"), zonebook.Change{Op: zonebook.Add, Name: "x", Type: "A", Data: []string{"192.0.2.1"}}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("with a record that can't be written: %v", err)
	}
}
