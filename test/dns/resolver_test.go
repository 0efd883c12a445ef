package dns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// validated has something of every kind of answer; the DS record of the signed zone
// below it is put in by the test.
const validated = `
$TTL 300
@ 3600 IN SOA ns1 hostmaster 7 3600 600 1209600 60
@ IN NS ns1
@ IN MX 10 mail
ns1 IN A 127.0.0.1
mail IN A 192.0.2.25
mail IN AAAA 2001:db8::25
alias IN CNAME mail
alias2 IN CNAME alias
toshop IN CNAME shop
gone IN CNAME nowhere
*.wild IN A 192.0.2.77
*.walias IN CNAME mail
x.y.wild IN A 192.0.2.78
a.b.ent IN A 192.0.2.79
old IN DNAME new
host.new IN A 192.0.2.80
unsigned IN NS ns1
signed IN NS ns1
`

const below = "$TTL 300\n@ IN SOA ns1.example.com. h 1 3600 600 1209600 60\n@ IN NS ns1.example.com.\nwww IN A 192.0.2.90\n"

const resolverConf = `server:
  directory: %[1]q
  interface: 127.0.0.1@%[2]d
  port: %[2]d
  outgoing-interface: %[5]s
  do-ip6: no
  use-syslog: no
  logfile: ""
  chroot: ""
  username: ""
  pidfile: ""
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor: %[4]q
  val-log-level: 2
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  harden-below-nxdomain: yes
  aggressive-nsec: no
  qname-minimisation: no
remote-control:
  control-enable: no
`

const stub = `stub-zone:
  name: %q
  stub-addr: 127.0.0.1@%d
  stub-prime: no
`

// resolver starts a real unbound that trusts one key and asks our server.
func resolver(t *testing.T, port int, anchor string, zones ...string) (ask func(name string, typ uint16) *wire.Msg, said *bytes.Buffer) {
	t.Helper()
	return resolverAt(t, "127.0.0.1", port, anchor, zones...)
}

// resolverAt starts one that asks from an address.
func resolverAt(t *testing.T, at string, port int, anchor string, zones ...string) (ask func(name string, typ uint16) *wire.Msg, said *bytes.Buffer) {
	t.Helper()
	dir, own := t.TempDir(), freePort(t)
	conf := fmt.Sprintf(resolverConf, dir, own, port, anchor, at)
	for _, z := range zones {
		conf += fmt.Sprintf(stub, z, port)
	}
	if err := os.WriteFile(filepath.Join(dir, "unbound.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	said = new(bytes.Buffer)
	cmd := exec.Command(copied(t, tool(t, "unbound"), dir), "-d", "-c", filepath.Join(dir, "unbound.conf"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process, which the cleanup below stops
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		stop(cmd.Process.Pid, ended)
		if t.Failed() {
			t.Logf("unbound said:\n%s", said)
		}
	})
	c := wire.Client{Net: "tcp", Timeout: 5 * time.Second}
	try := func(name string, typ uint16) (*wire.Msg, error) {
		q := new(wire.Msg)
		q.SetQuestion(name, typ)
		q.SetEdns0(4096, true)
		m, _, err := c.Exchange(q, fmt.Sprintf("127.0.0.1:%d", own))
		return m, err
	}
	for deadline := time.Now().Add(startLimit); ; {
		if _, err := try(zones[0], wire.TypeSOA); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("unbound does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return func(name string, typ uint16) *wire.Msg {
		t.Helper()
		m, err := try(name, typ)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, said
}

// TestResolverValidates has unbound resolve every kind of answer through us, at every
// position of a site, over UDP with its limits as in the world.
func TestResolverValidates(t *testing.T) {
	t.Parallel()
	tool(t, "unbound")
	now := time.Now()
	sites := map[string]zone.Positions{"shop": positions()}
	var keys []*signer.Key
	for range 2 {
		key, err := signer.NewKey(now)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	child, err := zone.Pack("signed.example.com.")
	if err != nil {
		t.Fatal(err)
	}
	sources := []zone.Source{
		{Apex: "example.com.", TTL: 60, Text: validated + "signed IN DS " + dnssec.DSText(dnssec.DS(child, keys[1].Data())) + "\n",
			Follow: map[string]string{"example.com.": "shopless", "shop.example.com.": "shop", "*.tenants.example.com.": "shop"}},
		{Apex: "signed.example.com.", Text: below},
		{Apex: "unsigned.example.com.", Text: below},
	}
	apex := positions()
	delete(apex, "alias") // an apex can't be one
	sites["shopless"] = apex
	var zones []*zone.Zone
	var signed []dnssec.Zone
	for i, src := range sources {
		z, err := zone.Parse(src)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, z)
		if i < 2 {
			s, _, err := signer.Keys{Keys: keys[i : i+1]}.Sign(signer.Wanted{Zone: z, Sites: sites, Serial: z.Serial()}, dnssec.Zone{}, now)
			if err != nil {
				t.Fatal(err)
			}
			signed = append(signed, s)
		}
	}
	table, err := authdns.CompileSigned(zones, sites, signed)
	if err != nil {
		t.Fatal(err)
	}
	server := authdns.New(authdns.Options{})
	port := serve(t, server)
	move := func(position string, limit uint32, serial uint32) {
		t.Helper()
		o := authdns.Orders{Position: map[string]string{"shop": position, "shopless": position}, TTLCap: map[string]uint32{"shop": limit, "shopless": limit}, Serial: map[string]uint32{"example.com.": serial}}
		if position == "alias" {
			o.Position["shopless"] = "standby"
		}
		view, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		server.Set(view)
	}
	move("four", 0, 7)
	anchor := "example.com. DS " + dnssec.DSText(dnssec.DS(zones[0].ApexWire(), keys[0].Data()))
	ask, _ := resolver(t, port, anchor, "example.com.", "signed.example.com.", "unsigned.example.com.")
	check := func(name string, typ uint16, rcode, answers int, secure bool) {
		t.Helper()
		m := ask(name, typ)
		n := 0
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != wire.TypeRRSIG {
				n++
			}
		}
		if m.Rcode != rcode || m.AuthenticatedData != secure || n != answers {
			t.Errorf("%s %s: %s with %d records, secure %v; want %s with %d, %v\n%s", name, wire.Type(typ), wire.RcodeToString[m.Rcode], n, m.AuthenticatedData,
				wire.RcodeToString[rcode], answers, secure, m)
		}
	}
	const a, aaaa, ok, no = wire.TypeA, wire.TypeAAAA, wire.RcodeSuccess, wire.RcodeNameError
	check("example.com.", wire.TypeSOA, ok, 1, true)
	check("example.com.", wire.TypeDNSKEY, ok, 1, true)
	check("example.com.", wire.TypeCDS, ok, 1, true)
	check("example.com.", wire.TypeCDNSKEY, ok, 1, true)
	check("example.com.", wire.TypeMX, ok, 1, true)
	check("example.com.", wire.TypeNS, ok, 1, true)
	check("mail.example.com.", a, ok, 1, true)
	check("MaiL.example.com.", aaaa, ok, 1, true)
	check("mail.example.com.", wire.TypeTXT, ok, 0, true)
	check("alias2.example.com.", a, ok, 3, true)
	check("gone.example.com.", a, no, 1, true)
	check("nowhere.example.com.", a, no, 0, true)
	check("a.long.way.down.example.com.", a, no, 0, true)
	check("zzz.example.com.", a, no, 0, true)
	check("0.example.com.", a, no, 0, true)
	check("any.wild.example.com.", a, ok, 1, true)
	check("very.deep.wild.example.com.", a, ok, 1, true)
	check("any.wild.example.com.", aaaa, ok, 0, true)
	check("any.walias.example.com.", a, ok, 2, true)
	check("z.y.wild.example.com.", a, no, 0, true)
	check("y.wild.example.com.", a, ok, 0, true)
	check("ent.example.com.", a, ok, 0, true)
	check("b.ent.example.com.", wire.TypeMX, ok, 0, true)
	check("host.old.example.com.", a, ok, 3, true)
	check("none.old.example.com.", a, no, 2, true)
	check("old.example.com.", wire.TypeDNAME, ok, 1, true)
	check("signed.example.com.", wire.TypeDS, ok, 1, true)
	check("unsigned.example.com.", wire.TypeDS, ok, 0, true)
	check("www.signed.example.com.", a, ok, 1, true)
	check("none.signed.example.com.", a, no, 0, true)
	check("www.unsigned.example.com.", a, ok, 1, false)
	check("none.unsigned.example.com.", a, no, 0, false)
	for i, at := range []struct {
		position string
		a, aaaa  int
	}{{"four", 2, 0}, {"six", 0, 1}, {"both", 1, 1}, {"standby", 1, 0}} {
		for _, limit := range []uint32{0, 5} {
			move(at.position, limit, uint32(8+i))
			for _, name := range []string{"example.com.", "shop.example.com.", "acme.tenants.example.com."} {
				check(name, a, ok, at.a, true)
				check(name, aaaa, ok, at.aaaa, true)
				check(name, wire.TypeTXT, ok, 0, true)
			}
			check("toshop.example.com.", a, ok, 1+at.a, true)
			check("example.com.", wire.TypeSOA, ok, 1, true)
		}
	}
	move("alias", 0, 7+dnssec.SerialsAhead) // the first one that is not signed: held back
	check("shop.example.com.", wire.TypeCNAME, ok, 1, true)
	check("acme.tenants.example.com.", wire.TypeCNAME, ok, 1, true)
	check("example.com.", wire.TypeSOA, ok, 1, true)
	if n := server.Counts().Panics; n > 0 {
		t.Errorf("%d panics", n)
	}
}

// TestResolverRefusesForgery shows that the resolver of these tests would see it: one
// octet of an address is changed, and the answer is refused.
func TestResolverRefusesForgery(t *testing.T) {
	t.Parallel()
	tool(t, "unbound")
	now := time.Now()
	key, err := signer.NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(below, "www", "mail IN A 192.0.2.91\nwww", 1)
	z, err := zone.Parse(zone.Source{Apex: "example.com.", Text: strings.ReplaceAll(text, "ns1.example.com.", "ns1.elsewhere.example.")})
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := signer.Keys{Keys: []*signer.Key{key}}.Sign(signer.Wanted{Zone: z, Serial: 1}, dnssec.Zone{}, now)
	if err != nil {
		t.Fatal(err)
	}
	table, err := authdns.CompileSigned([]*zone.Zone{z}, nil, []dnssec.Zone{signed})
	if err != nil {
		t.Fatal(err)
	}
	view, err := table.View(authdns.Orders{})
	if err != nil {
		t.Fatal(err)
	}
	server := authdns.New(authdns.Options{})
	server.Set(view)
	port := relay(t, server, func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte{192, 0, 2, 91}, []byte{192, 0, 2, 92})
	})
	ask, _ := resolver(t, port, "example.com. DS "+dnssec.DSText(dnssec.DS(z.ApexWire(), key.Data())), "example.com.")
	if m := ask("www.example.com.", wire.TypeA); m.Rcode != wire.RcodeSuccess || !m.AuthenticatedData {
		t.Errorf("the good one: %s", m)
	}
	if m := ask("mail.example.com.", wire.TypeA); m.Rcode != wire.RcodeServerFailure {
		t.Errorf("the forged one: %s", m)
	}
}

// serve has a server answer on a free port until the test ends.
func serve(t *testing.T, s *authdns.Server) (port int) {
	t.Helper()
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, udp, []*net.TCPListener{tcp}) }() // ends with ctx
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		udp[0].Close()
		tcp.Close()
	})
	return tcp.Addr().(*net.TCPAddr).Port
}

// relay is a server over UDP whose answers are changed on their way.
func relay(t *testing.T, s *authdns.Server, change func([]byte) []byte) (port int) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when the socket is closed
		defer close(done)
		in := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDP(in)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDP(change(s.Handle(nil, in[:n], true)), from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).Port
}
