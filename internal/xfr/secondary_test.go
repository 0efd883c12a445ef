package xfr

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// bad are streams that are no zone, each with what is said of it.
func bad() map[string]struct {
	say  func(*dns.Msg, net.Conn)
	want string
} {
	type stream = struct {
		say  func(*dns.Msg, net.Conn)
		want string
	}
	www := "www." + apex + " 60 IN A 192.0.2.2"
	return map[string]stream{
		"refused":               {func(q *dns.Msg, c net.Conn) { write(c, answering(q, dns.RcodeRefused)) }, "does not give shop.example.com. away: REFUSED"},
		"nothing":               {func(*dns.Msg, net.Conn) {}, "broke off"},
		"no records":            {lines(), "without its records"},
		"no SOA first":          {lines(nsLine, soaLine(8)), "does not begin with a SOA"},
		"cut":                   {func(q *dns.Msg, c net.Conn) { write(c, answering(q, 0, soaLine(8), nsLine)) }, "broke off"},
		"cut in a message":      {func(q *dns.Msg, c net.Conn) { _, _ = c.Write([]byte{1, 0, 1, 2, 3}) }, "broke off"},
		"another SOA last":      {lines(soaLine(8), nsLine, soaLine(9)), "last SOA record of the transfer is not the first"},
		"goes on after the end": {lines(soaLine(8), nsLine, soaLine(8), www), "goes on after its last SOA"},
		"another class":         {lines(soaLine(8), nsLine, strings.Replace(www, " IN ", " CH ", 1), soaLine(8)), "of class CH"},
		"a name outside":        {lines(soaLine(8), nsLine, "www.example.org. 60 IN A 192.0.2.2", soaLine(8)), "not in the zone"},
		"a SOA of a name below": {lines(soaLine(8), nsLine, "www."+soaLine(3), soaLine(8)), "SOA record below"},
		"a type of questions":   {lines(soaLine(8), nsLine, apex+" 60 IN TYPE200 \\# 0", soaLine(8)), "which no zone can hold"},
		"no name server":        {lines(soaLine(8), www, soaLine(8)), "not a zone that can be served"},
		"a CNAME beside others": {lines(soaLine(8), nsLine, www, "www."+apex+" 60 IN CNAME a.example.org.", soaLine(8)), "a CNAME stands alone"},
		"another id":            {func(q *dns.Msg, c net.Conn) { q.Id++; write(c, answering(q, 0, soaLine(8), nsLine, soaLine(8))) }, "answer to something else"},
		"less than a header":    {func(q *dns.Msg, c net.Conn) { write(c, []byte{1, 2}) }, "less than a message"},
		"counts more than it holds": {func(q *dns.Msg, c net.Conn) {
			m := answering(q, 0, soaLine(8), nsLine, soaLine(8))
			m[7]++
			write(c, m)
		}, ""},
		"endless": {func(q *dns.Msg, c net.Conn) {
			write(c, answering(q, 0, soaLine(8)))
			more := answering(q, 0, www, "a."+apex+" 60 IN A 192.0.2.2")
			for {
				if _, err := c.Write(append([]byte{byte(len(more) >> 8), byte(len(more))}, more...)); err != nil {
					return
				}
			}
		}, "sends more than is taken"},
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, lines(soaLine(7), nsLine, "www."+apex+" 60 IN A 192.0.2.2", soaLine(7)))
	o := FetchOptions{Server: p.addr.String(), Apex: apex, Limit: 10 * time.Second, MaxBytes: 1 << 20}
	z, err := Fetch(t.Context(), o)
	if err != nil || z.Serial() != 7 || len(z.Records()) != 3 {
		t.Errorf("%v, %v", z, err)
	}
	o.Key = us
	if _, err := Fetch(t.Context(), o); !contains(err, "not believed") {
		t.Errorf("an answer that is not signed is believed: %v", err)
	}
	o.Server = "127.0.0.1:1"
	if _, err := Fetch(t.Context(), o); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	p.says(func(_ *dns.Msg, c net.Conn) { _, _ = c.Read(make([]byte, 1)) }) // says nothing until the other side is gone
	o.Server, o.Key, o.Limit = p.addr.String(), snapshot.TSIGKey{}, 20*time.Millisecond
	if _, err := Fetch(t.Context(), o); !contains(err, "longer than 20ms") {
		t.Errorf("%v", err)
	}
}

// secondary keeps apex from a primary. The clock stands still.
type secondary struct {
	*Secondary
	k     *kept
	now   time.Time
	taken [][]Held
	deny  error
}

func newSecondary(t *testing.T, p *primary, dir string) *secondary {
	t.Helper()
	s := &secondary{now: time.Now().Truncate(time.Second)}
	s.Secondary = NewSecondary(SecondaryOptions{
		Dir: dir, Now: func() time.Time { return s.now }, MaxBytes: 1 << 16, Limit: 10 * time.Second,
		Take: func(c Change) error {
			if s.deny != nil {
				return s.deny
			}
			for _, h := range c.Zones() {
				if h.Signed != nil {
					if _, err := authdns.PrepareForeign(h.Zone, h.Signed); err != nil {
						return err
					}
				}
			}
			s.taken = append(s.taken, c.Zones())
			c.Commit()
			return nil
		},
	})
	s.Configure(snapshot.Transfers{In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: p.addr}}}}})
	s.k = s.kept[apex]
	return s
}

// Whatever a primary sends that is no zone, the last good copy holds, in memory and on
// disk.
func TestBadTransfersChangeNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range bad() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPrimary(t, lines(soaLine(7), nsLine, soaLine(7)))
			s := newSecondary(t, p, t.TempDir())
			if !s.look(t.Context(), s.k) || len(s.taken) != 1 {
				t.Fatalf("the good zone did not come: %+v", s.Copies())
			}
			before, err := os.ReadFile(s.file(apex))
			must(t, err)
			p.says(tt.say)
			if s.look(t.Context(), s.k) || len(s.taken) != 1 {
				t.Errorf("taken: %+v", s.Copies())
			}
			c := s.Copies()[0]
			if c.Serial != 7 || !strings.Contains(c.Problem, tt.want) || c.Problem == "" || len(s.Zones()) != 1 {
				t.Errorf("%+v, want %q", c, tt.want)
			}
			after, err := os.ReadFile(s.file(apex))
			must(t, err)
			if string(after) != string(before) {
				t.Errorf("the file is another one: %s", after)
			}
		})
	}
}

// A copy is kept from one start to the next, for nobody else to read, until it expires;
// and a serial does not go back.
func TestCopyIsKept(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, lines(soaLine(7), nsLine, soaLine(7)))
	dir := filepath.Join(t.TempDir(), "copies")
	s := newSecondary(t, p, dir)
	if len(s.Zones()) != 0 || !s.look(t.Context(), s.k) {
		t.Fatalf("%+v", s.Copies())
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, s.file(apex): 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
	}
	p.says(lines(soaLine(6), nsLine, soaLine(6)))
	if !s.look(t.Context(), s.k) || s.Copies()[0].Serial != 7 || len(s.taken) != 1 {
		t.Errorf("an older serial was taken: %+v", s.Copies())
	}
	p.says(lines(soaLine(7))) // nothing is new
	s.now = s.now.Add(time.Hour)
	if !s.look(t.Context(), s.k) || len(s.taken) != 1 || !s.Copies()[0].Good.Equal(s.now) {
		t.Errorf("%+v", s.Copies())
	}

	again := newSecondary(t, p, dir)
	again.now = s.now
	if z := again.Zones(); len(z) != 1 || z[0].Zone.Serial() != 7 || !again.k.good.Equal(s.now) {
		t.Fatalf("after a restart: %+v", again.Copies())
	}
	p.says(func(*dns.Msg, net.Conn) {})
	again.now = s.now.Add(86399 * time.Second)
	if again.look(t.Context(), again.k) || len(again.Zones()) != 1 || len(again.taken) != 0 {
		t.Errorf("before it expires: %+v", again.Copies())
	}
	again.now = s.now.Add(86400 * time.Second)
	if again.look(t.Context(), again.k) || len(again.Zones()) != 0 || len(again.taken) != 1 || len(again.taken[0]) != 0 || !again.Copies()[0].Expired {
		t.Errorf("expired: %+v", again.Copies())
	}
	p.says(lines(soaLine(7)))
	if !again.look(t.Context(), again.k) || len(again.Zones()) != 1 || again.Copies()[0].Expired || len(again.taken) != 2 {
		t.Errorf("heard again: %+v", again.Copies())
	}
}

// A copy that can't be served with the rest is refused, and what is damaged on disk is
// passed over.
func TestCopyIsRefused(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, lines(soaLine(7), nsLine, soaLine(7)))
	dir := t.TempDir()
	s := newSecondary(t, p, dir)
	s.deny = errors.New("zone shop.example.com. is there twice")
	if s.look(t.Context(), s.k) || len(s.Zones()) != 0 || !strings.Contains(s.Copies()[0].Problem, "there twice") {
		t.Errorf("%+v", s.Copies())
	}
	if _, err := os.Stat(s.file(apex)); err == nil {
		t.Error("it is kept")
	}
	for name, text := range map[string]string{"garbage": "\x00\x01", "cut": soaLine(7)[:30], "no SOA": nsLine, "empty": "", "no name server": soaLine(7), "other": strings.ReplaceAll(soaLine(7), "shop", "other")} {
		must(t, os.WriteFile(s.file(apex), []byte(text), 0o600))
		again := newSecondary(t, p, dir)
		if len(again.Zones()) != 0 || again.Copies()[0].Problem == "" {
			t.Errorf("%s: %+v", name, again.Copies())
		}
		if !again.look(t.Context(), again.k) {
			t.Errorf("%s: the zone does not come again", name)
		}
	}
}

// Differences are applied to the copy, and where they do not fit the whole zone is asked
// for.
func TestDifferencesComeIn(t *testing.T) {
	t.Parallel()
	a := func(host, ip string) string { return host + "." + apex + " 60 IN A " + ip }
	p := newPrimary(t, lines(soaLine(7), nsLine, a("www", "192.0.2.1"), a("old", "192.0.2.9"), soaLine(7)))
	s := newSecondary(t, p, t.TempDir())
	if !s.look(t.Context(), s.k) {
		t.Fatalf("%+v", s.Copies())
	}
	p.says(lines(soaLine(9),
		soaLine(7), a("www", "192.0.2.1"), soaLine(8), a("www", "192.0.2.2"), a("new", "192.0.2.3"),
		soaLine(8), a("old", "192.0.2.9"), soaLine(9), soaLine(9)))
	if !s.look(t.Context(), s.k) {
		t.Fatalf("%+v", s.Copies())
	}
	got := s.Zones()[0].Zone.Text()
	if !s.k.copy.steps || s.Copies()[0].Serial != 9 || !strings.Contains(got, "192.0.2.2") || !strings.Contains(got, "192.0.2.3") || strings.Contains(got, "192.0.2.1\n") || strings.Contains(got, "old.") {
		t.Errorf("%+v\n%s", s.Copies(), got)
	}
	for name, misfit := range map[string][]string{
		"takes out what is not there": {soaLine(10), soaLine(9), a("none", "192.0.2.1"), soaLine(10), soaLine(10)},
		"steps do not join":           {soaLine(12), soaLine(9), soaLine(10), soaLine(11), soaLine(12), soaLine(12)},
		"goes back":                   {soaLine(12), soaLine(9), soaLine(8), soaLine(12), soaLine(12)},
	} {
		whole := []string{soaLine(10), nsLine, soaLine(10)}
		p.says(func(q *dns.Msg, c net.Conn) {
			if q.Question[0].Qtype == dns.TypeIXFR {
				lines(misfit...)(q, c)
				return
			}
			lines(whole...)(q, c)
		})
		one := newSecondary(t, p, t.TempDir())
		one.k.copy = s.k.copy
		if !one.look(t.Context(), one.k) || one.Copies()[0].Serial != 10 || one.k.copy.steps {
			t.Errorf("%s: %+v", name, one.Copies())
		}
	}
}

// A zone that its primary has signed keeps its signatures, for whoever asks and for those
// who get it from here. One that could not be answered so that it validates is refused,
// with what can be done about it.
func TestSignedCopies(t *testing.T) {
	t.Parallel()
	over := func(owner, typ string) string {
		return owner + " 60 IN RRSIG " + typ + " 13 4 60 20300101000000 20200101000000 1 " + apex + " AAAA"
	}
	www := "www." + apex
	key := apex + " 60 IN DNSKEY 257 3 13 AAAA"
	good := []string{nsLine, www + " 60 IN A 192.0.2.2", key, over(apex, "SOA"), over(apex, "NS"), over(apex, "DNSKEY"), over(apex, "NSEC"), over(www, "A"), over(www, "NSEC"),
		apex + " 60 IN NSEC " + www + " NS SOA RRSIG NSEC DNSKEY", www + " 60 IN NSEC " + apex + " A RRSIG NSEC"}
	without := func(parts ...string) (out []string) {
		for _, l := range good {
			if !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(l, p) }) {
				out = append(out, l)
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		lines []string
		want  string // what is said; "" where it is taken
	}{
		"signed":                   {good, ""},
		"keys, and nothing signed": {[]string{nsLine, key}, ""},
		"without a chain":          {without(" NSEC "), "it proves with NSEC3 records, or not at all"},
		"with NSEC3":               {append(without(" NSEC "), apex+" 0 IN NSEC3PARAM 1 0 0 -", over(apex, "NSEC3PARAM")), "nsec3: off"},
		"half a chain":             {without(www + " 60 IN NSEC"), "broken behind " + apex},
		"no SOA signature":         {without("RRSIG SOA"), "its SOA record has no signature"},
		"no key signature":         {without("RRSIG DNSKEY"), "its DNSKEY record has no signature"},
		"an unsigned denial":       {without(www + " 60 IN RRSIG NSEC"), "has no signature"},
		"two denials":              {append(slices.Clone(good), www+" 60 IN NSEC "+www+" A"), "has two NSEC records"},
		"a name without records":   {append(without(www+" 60 IN NSEC"), www+" 60 IN NSEC x."+apex+" A", "x."+apex+" 60 IN NSEC "+apex+" A", over("x."+apex, "NSEC")), "is of a name that is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPrimary(t, lines(append(append([]string{soaLine(7)}, c.lines...), soaLine(7))...))
			s := newSecondary(t, p, t.TempDir())
			took := s.look(t.Context(), s.k)
			copies := s.Copies()
			if took != (c.want == "") || !strings.Contains(copies[0].Problem, c.want) || took && copies[0].Problem != "" {
				t.Fatalf("%+v, want %q", copies, c.want)
			}
			if name != "signed" {
				return
			}
			h := s.Zones()[0]
			if h.Signed == nil || len(h.Signed.Chain) != 2 || len(h.Given.static) != len(good) || !copies[0].Signed || copies[0].Until.Year() != 2030 {
				t.Errorf("%+v of %+v", h, copies)
			}
			again := newSecondary(t, p, s.o.Dir)
			if kept := again.Zones(); len(kept) != 1 || kept[0].Signed == nil {
				t.Errorf("after a restart: %+v", kept)
			}
			s.now = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
			if c := s.Copies()[0]; !strings.Contains(c.Problem, "are over") {
				t.Errorf("years later: %+v", c)
			}
		})
	}
}

// Any number of NOTIFY messages make for no more looks than one at a time.
func TestNotifyFloodIsOneLook(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1000)
	p := newPrimary(t, func(q *dns.Msg, c net.Conn) {
		asked <- struct{}{}
		lines(soaLine(7), nsLine, soaLine(7))(q, c)
	})
	s := newSecondary(t, p, t.TempDir())
	s.o.Least = time.Hour // nothing is looked at again in this test
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ended by stop
		defer close(ended)
		s.Run(ctx)
	}()
	<-asked
	for range 10_000 {
		if !s.Notified(apex, here, "") {
			t.Fatal("not taken")
		}
	}
	stop()
	<-ended
	if len(asked) > 1 {
		t.Errorf("%d looks", len(asked))
	}
}

// FuzzIncoming: whatever a primary sends, nothing panics, and what is taken is a zone
// with the serial that it began with.
func FuzzIncoming(f *testing.F) {
	q := new(dns.Msg).SetAxfr(apex)
	q.Id = 0
	f.Add(answering(q, 0, soaLine(8), nsLine, soaLine(8)), true)
	f.Add(answering(q, 0, soaLine(8), soaLine(7), nsLine, soaLine(8), nsLine, soaLine(8)), true)
	f.Add(answering(q, 0, soaLine(8)), false)
	f.Add(answering(q, dns.RcodeRefused), false)
	signed := []string{soaLine(8), nsLine, apex + " 60 IN DNSKEY 257 3 13 AAAA", apex + " 60 IN NSEC " + apex + " NS SOA RRSIG NSEC DNSKEY"}
	for _, typ := range []string{"SOA", "NS", "DNSKEY", "NSEC"} {
		signed = append(signed, apex+" 60 IN RRSIG "+typ+" 13 3 60 20300101000000 20200101000000 1 "+apex+" AAAA")
	}
	f.Add(answering(q, 0, append(signed, soaLine(8))...), false)
	have, err := newCopied(apex, "test", records(soaLine(7), nsLine))
	must(f, err)
	f.Fuzz(func(t *testing.T, msg []byte, differences bool) {
		if len(msg) < headerSize || len(msg) > 4096 {
			return
		}
		in := &incoming{o: FetchOptions{Apex: apex, Now: time.Now}, have: have}
		if !differences {
			in.have = nil
		}
		if in.take(msg) != nil || in.phase != atEnd || in.fresh {
			return
		}
		c, err := in.checked("test")
		if err == nil && (c.serial != in.serial || c.records[0].Type != dns.TypeSOA) {
			t.Fatalf("serial %d, began with %d", c.serial, in.serial)
		}
		if err == nil && c.signed != nil {
			_, _ = authdns.PrepareForeign(c.zone, c.signed) // refuses, or makes it ready
		}
	})
}

func records(all ...string) (out []zone.Record) {
	for _, line := range all {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		r, err := recordOf(rr, apex)
		if err != nil {
			panic(err)
		}
		out = append(out, r)
	}
	return out
}
