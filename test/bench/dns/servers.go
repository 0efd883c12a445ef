package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The zone that everybody serves.
const (
	apex     = "bench.test"
	zoneFile = apex + ".zone"
)

// floor is the server that only echoes.
const floor = "echo"

// zoneText is a zone of so many names.
func zoneText(names int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "$TTL 300\n@ IN SOA ns1.%s. hostmaster.%s. 1 3600 600 1209600 60\n@ IN NS ns1.%s.\nns1 IN A 192.0.2.53\n", apex, apex, apex)
	for i := range names {
		fmt.Fprintf(&b, "host%d IN A 198.51.%d.%d\n", i, i/250%256, i%250+1)
	}
	return b.Bytes()
}

// soaLength is how many octets of a zone's text come before its host names.
func soaLength() int { return bytes.Index(zoneText(1), []byte("host0")) }

// server is a way to serve the zone.
type server struct {
	name    string
	how     string // what of its configuration matters
	echo    bool   // it gives back the query, one bit changed
	do      bool   // it is asked for signatures, and gives them
	asks    []string
	files   map[string]string // in a folder of its own: name → text
	command []string
}

// The words that are replaced in files and commands.
const (
	wordDir      = "{dir}"      // the server's folder
	wordZone     = "{zone}"     // the zone file
	wordSnapshot = "{snapshot}" // a snapshot folder that has the zone
	wordIP       = "{ip}"
	wordPort     = "{port}"
)

// servers are all that are known, ours with the variants that show what its parts
// are worth.
func (b *bench) servers() []server {
	self, _ := os.Executable()
	return []server{
		{name: floor, how: "recvmmsg, one bit flipped, sendmmsg, 32 packets each; no name server: the kernel's floor", echo: true, asks: []string{self, "version"},
			command: []string{self, "echo", wordIP + ":" + wordPort}},
		{name: "lifeboat", how: "lifeboat zone serve; loopback is exempt from the rate limit, as by default", asks: []string{b.lifeboat, "version"},
			command: []string{b.lifeboat, "zone", "serve", "--dns", wordIP + ":" + wordPort, wordZone}},
		{name: "lifeboat-signed", how: "lifeboat zone serve --sign, asked with DO: each answer brings its RRSIG", do: true, asks: []string{b.lifeboat, "version"},
			command: []string{b.lifeboat, "zone", "serve", "--sign", wordDir + "/keys", "--dns", wordIP + ":" + wordPort, wordZone}},
		{name: "lifeboat-counted", how: "the same code, each answer counted by the rate limit, with cookies", asks: []string{self, "version"},
			command: []string{self, "serve", "counted", wordIP + ":" + wordPort, wordZone}},
		{name: "lifeboat-flips", how: "the same code, a flip put in force each second", asks: []string{self, "version"},
			command: []string{self, "serve", "flips", wordIP + ":" + wordPort, wordZone}},
		{name: "lifeboat-loads", how: "the same code, a zone of 1,000,000 records read beside it without end, whose thread is not counted", asks: []string{self, "version"},
			command: []string{self, "serve", "loads", wordIP + ":" + wordPort, wordZone}},
		{name: "lifeboat-answer", how: "package answer, from a snapshot folder", asks: []string{self, "version"},
			command: []string{self, "answer", wordSnapshot, wordIP + ":" + wordPort}},
		{name: "lifeboat-plain", how: "the same code, one packet a call through package net", asks: []string{self, "version"},
			command: []string{self, "serve", "plain", wordIP + ":" + wordPort, wordZone}},
		{name: "gdnsd", how: "udp_threads 1", asks: []string{"gdnsd", "-V"},
			files: map[string]string{
				"config":        "options => { listen => " + wordIP + ":" + wordPort + ", udp_threads => 1, tcp_threads => 1, run_dir => " + wordDir + "/run, state_dir => " + wordDir + "/state }\n",
				"zones/" + apex: wordZone, "run/": "", "state/": "",
			},
			command: []string{"gdnsd", "-c", wordDir, "start"}},
		{name: "nsd", how: "server-count 1, minimal-responses, rrl-ratelimit 0", asks: []string{"nsd", "-v"},
			files: map[string]string{"conf": "server:\n server-count: 1\n ip-address: " + wordIP + "@" + wordPort + "\n username: \"\"\n zonesdir: \"" + wordDir + "\"\n pidfile: \"" + wordDir +
				"/pid\"\n database: \"\"\n zonelistfile: \"" + wordDir + "/list\"\n xfrdfile: \"" + wordDir + "/xfrd\"\n xfrdir: \"" + wordDir + "\"\n rrl-ratelimit: 0\n minimal-responses: yes\nremote-control:\n control-enable: no\nzone:\n name: " + apex + "\n zonefile: " + wordZone + "\n"},
			command: []string{"nsd", "-d", "-c", wordDir + "/conf"}},
		{name: "knot", how: "udp-workers 1", asks: []string{"knotd", "-V"},
			files: map[string]string{"conf": "server:\n    listen: " + wordIP + "@" + wordPort + "\n    rundir: " + wordDir + "\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\ndatabase:\n    storage: " + wordDir +
				"\nlog:\n  - target: stderr\n    any: error\nzone:\n  - domain: " + apex + "\n    file: " + wordZone + "\n    zonefile-sync: -1\n    journal-content: none\n"},
			command: []string{"knotd", "-c", wordDir + "/conf"}},
		{name: "pdns", how: "bind backend, packet cache as by default, receiver-threads 1", asks: []string{"pdns_server", "--version"},
			files: map[string]string{
				"pdns.conf":  "launch=bind\nbind-config=" + wordDir + "/named.conf\nlocal-address=" + wordIP + "\nlocal-port=" + wordPort + "\nsocket-dir=" + wordDir + "\ndaemon=no\nguardian=no\nreceiver-threads=1\ndistributor-threads=1\nsecurity-poll-suffix=\ndisable-syslog=yes\nloglevel=3\n",
				"named.conf": "options { directory \"" + wordDir + "\"; };\nzone \"" + apex + "\" { type master; file \"" + wordZone + "\"; };\n",
			},
			command: []string{"pdns_server", "--config-dir=" + wordDir}},
		{name: "bind", how: "named -n 1 -U 1, minimal-responses", asks: []string{"named", "-v"},
			files: map[string]string{"conf": "options { directory \"" + wordDir + "\"; listen-on port " + wordPort + " { " + wordIP + "; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; minimal-responses yes; pid-file none; };\ncontrols { };\nzone \"" +
				apex + "\" { type primary; file \"" + wordZone + "\"; };\n"},
			command: []string{"named", "-f", "-n", "1", "-U", "1", "-c", wordDir + "/conf"}},
		{name: "coredns", how: "plugins cache and file", asks: []string{b.coredns, "-version"},
			files:   map[string]string{"Corefile": apex + ":" + wordPort + " {\n bind " + wordIP + "\n cache 3600\n file " + wordZone + "\n}\n"},
			command: []string{b.coredns, "-quiet", "-conf", wordDir + "/Corefile"}},
		{name: "coredns-file", how: "plugin file alone, without the cache", asks: []string{b.coredns, "-version"},
			files:   map[string]string{"Corefile": apex + ":" + wordPort + " {\n bind " + wordIP + "\n file " + wordZone + "\n}\n"},
			command: []string{b.coredns, "-quiet", "-conf", wordDir + "/Corefile"}},
	}
}

// versionLike finds the first figure with a point in what a peer says of itself.
var versionLike = regexp.MustCompile(`(?:^|[^\d.:])(\d+\.\d+[\w.~-]*)`)

// version says what is installed; an error when nothing is.
func (s server) version() (string, error) {
	path, err := find(s.asks[0])
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, s.asks[1:]...).CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return "", err
	}
	if v := versionLike.FindSubmatch(out); v != nil && !strings.HasPrefix(s.name, "lifeboat") && !s.echo {
		return string(v[1]), nil
	}
	first, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	return first, nil
}

// find looks for a command also where daemons live, which a plain user's PATH often
// lacks.
func find(command string) (string, error) {
	if path, err := exec.LookPath(command); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no command %s", command)
}
