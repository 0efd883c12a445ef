package xfr

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"
)

// kind is a way to run somebody else's name server.
type kind struct {
	name, command string
	configure     func(setting) (files map[string]string, args []string)
	prepare       func(*testing.T, setting) // nil: nothing
	polls         bool                      // it looks at times, whatever NOTIFY says
}

// setting is what a peer is to do: be a secondary of ours, or with a text the primary.
type setting struct {
	dir  string
	port int
	us   netip.AddrPort
	text string
	sign string // "nsec" or "nsec3": it signs the zone itself

	known func(peer netip.AddrPort) // is told the peer's address before it runs, and asks us; nil: nobody
}

const zoneFile = "shop.zone"

var kinds = []kind{
	{name: "BIND", command: "named", configure: configureBIND},
	{name: "Knot", command: "knotd", configure: configureKnot},
	{name: "NSD", command: "nsd", configure: configureNSD},
	{name: "PowerDNS", command: "pdns_server", configure: configurePowerDNS, prepare: preparePowerDNS, polls: true},
}

func configureBIND(s setting) (map[string]string, []string) {
	what := fmt.Sprintf("type secondary; primaries { %s port %d key %q; }; masterfile-format text;", s.us.Addr(), s.us.Port(), keyName)
	if s.text != "" {
		what = fmt.Sprintf("type primary; allow-transfer { key %q; }; notify explicit; also-notify { %s port %d key %q; }; ixfr-from-differences yes;", keyName, s.us.Addr(), s.us.Port(), keyName)
	}
	policy := ""
	if s.sign != "" {
		policy = "dnssec-policy \"own\" { keys { csk lifetime unlimited algorithm ecdsap256sha256; }; " + map[string]string{"nsec": "", "nsec3": "nsec3param iterations 0 optout no salt-length 0; "}[s.sign] + "};\n"
		what += fmt.Sprintf(" dnssec-policy \"own\"; inline-signing yes; key-directory %q; masterfile-format text;", s.dir)
	}
	conf := policy + fmt.Sprintf(`options {
  directory %[1]q; pid-file none; lock-file none; session-keyfile none; managed-keys-directory %[1]q;
  listen-on port %[2]d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; empty-zones-enable no; notify-delay 0; startup-notify-rate 1000; notify-rate 1000; serial-query-rate 1000;
};
controls { };
key %[3]q { algorithm hmac-sha256; secret %[4]q; };
zone %[5]q { file %[6]q; check-names ignore; %[7]s };
`, s.dir, s.port, keyName, secret, apex, filepath.Join(s.dir, zoneFile), what)
	return map[string]string{"named.conf": conf}, []string{"-g", "-4", "-n", "1", "-c", filepath.Join(s.dir, "named.conf")}
}

func configureKnot(s setting) (map[string]string, []string) {
	what := "    master: us\n    acl: tell\n    journal-content: changes\n    zonefile-sync: -1\n    zonefile-load: none\n"
	if s.text != "" {
		what = "    notify: us\n    acl: give\n    zonefile-load: difference\n    journal-content: changes\n    zonefile-sync: -1\n"
	}
	policy := ""
	if s.sign != "" {
		policy = "policy:\n  - id: own\n    single-type-signing: on\n    algorithm: ecdsap256sha256\n    nsec3: " + map[string]string{"nsec": "off", "nsec3": "on\n    nsec3-iterations: 0\n    nsec3-salt-length: 0"}[s.sign] + "\n"
		what += "    dnssec-signing: on\n    dnssec-policy: own\n"
	}
	conf := fmt.Sprintf(`server:
  rundir: %[1]q
  listen: 127.0.0.1@%[2]d
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: %[1]q
key:
  - id: %[3]q
    algorithm: hmac-sha256
    secret: %[4]s
remote:
  - id: us
    address: %[5]s@%[6]d
    key: %[3]q
acl:
  - id: tell
    address: %[5]s
    key: %[3]q
    action: notify
  - id: give
    address: %[5]s
    key: %[3]q
    action: transfer
%[10]szone:
  - domain: %[7]q
    storage: %[1]q
    file: %[8]q
    semantic-checks: off
%[9]s`, s.dir, s.port, keyName, secret, s.us.Addr(), s.us.Port(), apex, zoneFile, what, policy)
	return map[string]string{"knot.conf": conf}, []string{"-c", filepath.Join(s.dir, "knot.conf")}
}

func configureNSD(s setting) (map[string]string, []string) {
	what := fmt.Sprintf("  allow-notify: %[1]s %[3]s\n  request-xfr: %[1]s@%[2]d %[3]s\n  store-ixfr: yes\n", s.us.Addr(), s.us.Port(), keyName)
	if s.text != "" {
		what = fmt.Sprintf("  provide-xfr: %[1]s %[3]s\n  notify: %[1]s@%[2]d %[3]s\n  store-ixfr: yes\n  create-ixfr: yes\n", s.us.Addr(), s.us.Port(), keyName)
	}
	conf := fmt.Sprintf(`server:
  ip-address: 127.0.0.1@%[1]d
  username: ""
  chroot: ""
  database: ""
  pidfile: ""
  zonesdir: %[2]q
  zonelistfile: "%[2]s/zone.list"
  xfrdfile: "%[2]s/xfrd.state"
  xfrdir: %[2]q
  server-count: 1
  rrl-ratelimit: 0
  verbosity: 2
  xfrd-reload-timeout: 0
remote-control:
  control-enable: no
key:
  name: %[3]q
  algorithm: hmac-sha256
  secret: %[4]q
zone:
  name: %[5]q
  zonefile: %[6]q
%[7]s`, s.port, s.dir, keyName, secret, apex, zoneFile, what)
	return map[string]string{"nsd.conf": conf}, []string{"-d", "-c", filepath.Join(s.dir, "nsd.conf")}
}

func configurePowerDNS(s setting) (map[string]string, []string) {
	what := fmt.Sprintf("type slave; masters { %s; };", s.us)
	role := "secondary=yes\n"
	if s.text != "" {
		what = fmt.Sprintf("type master; also-notify { %s; };", s.us)
		role = fmt.Sprintf("primary=yes\nalso-notify=%s\nonly-notify=\n", s.us)
	}
	conf := fmt.Sprintf(`launch=bind
bind-config=%[1]s/zones.conf
bind-dnssec-db=%[1]s/keys.sqlite3
local-address=127.0.0.1
local-port=%[2]d
socket-dir=%[1]s
daemon=no
guardian=no
write-pid=no
disable-syslog=yes
dname-processing=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
receiver-threads=1
distributor-threads=1
consistent-backends=yes
security-poll-suffix=
xfr-cycle-interval=1
allow-notify-from=127.0.0.0/8
%[3]s`, s.dir, s.port, role)
	zones := fmt.Sprintf("zone %q { file %q; %s };\n", "shop.example.com", filepath.Join(s.dir, zoneFile), what)
	return map[string]string{"pdns.conf": conf, "zones.conf": zones}, []string{"--config-dir=" + s.dir}
}

// preparePowerDNS puts the key into its database.
func preparePowerDNS(t *testing.T, s setting) {
	t.Helper()
	role := "secondary"
	if s.text != "" {
		role = "primary"
	}
	for _, args := range [][]string{
		{"create-bind-db", filepath.Join(s.dir, "keys.sqlite3")},
		{"import-tsig-key", "transfer.example", "hmac-sha256", secret},
		{"activate-tsig-key", "shop.example.com", "transfer.example", role},
	} {
		said, err := exec.Command(tool(t, "pdnsutil"), append([]string{"--config-dir=" + s.dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("pdnsutil %v: %v: %s", args, err, said)
		}
	}
}

// reloadPowerDNS has it read its zone file again, and tell of it.
func reloadPowerDNS(t *testing.T, p *peer) {
	t.Helper()
	for _, args := range [][]string{{"bind-reload-now", "shop.example.com"}, {"notify", "shop.example.com"}} {
		said, err := exec.Command(tool(t, "pdns_control"), append([]string{"--config-dir=" + p.dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("pdns_control %v: %v: %s", args, err, said)
		}
		t.Logf("pdns_control: %s", said)
	}
}
