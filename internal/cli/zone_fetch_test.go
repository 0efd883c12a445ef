package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const keyText = "key \"ns2.example\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IG9mIHRlc3Rz\";\n};\n"

// A zone that is served to whoever has the key is fetched with it, and with no other.
func TestZoneFetch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"example.com.zone": fmt.Sprintf(servedZone, 7, "192.0.2.2"), "good.key": keyText, "other.key": strings.Replace(keyText, "c2Vj", "b2Vj", 1), "bad.key": "secret",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, problems console
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { // ended by stop
		args := []string{"zone", "serve", at("example.com.zone"), "--dns", "127.0.0.1:0", "--transfer-to", "127.0.0.1:1", "--tsig-key-file", at("good.key")}
		ended <- Run(ctx, Options{Out: &out, Err: &problems, In: strings.NewReader("")}, args)
	}()
	defer func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("it ended with %d", code)
		}
	}()
	server := out.says(t, `answering 1 zone at (\S+), UDP`)[1]
	run := func(args ...string) (code int, said, wrong string) {
		var out, problems console
		code = Run(t.Context(), Options{Out: &out, Err: &problems, In: strings.NewReader("")}, append([]string{"zone"}, args...))
		return code, out.b.String(), problems.b.String()
	}
	if code, said, wrong := run("fetch", "Example.com", "--from", server, "--key-file", at("good.key"), "--out", at("copy.zone")); code != 0 || !strings.Contains(said, "4 records, serial 7") {
		t.Fatalf("%d: %s%s", code, said, wrong)
	}
	if code, said, wrong := run("check", at("copy.zone")); code != 0 {
		t.Errorf("%d: %s%s", code, said, wrong)
	}
	if code, said, wrong := run("diff", "--from", server, "--key-file", at("good.key"), at("copy.zone")); code != 0 {
		t.Errorf("%d: %s%s", code, said, wrong)
	}
	if code, said, _ := run("fetch", "example.com.", "--from", server, "--key-file", at("good.key")); code != 0 || !strings.Contains(said, "www.example.com.\t300\tIN\tA\t192.0.2.2") {
		t.Errorf("%d: %s", code, said)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no key":           {[]string{"fetch", "example.com", "--from", server}, 1, "does not give example.com. away: REFUSED"},
		"another secret":   {[]string{"fetch", "example.com", "--from", server, "--key-file", at("other.key")}, 1, "BADSIG"},
		"a bad key":        {[]string{"fetch", "example.com", "--from", server, "--key-file", at("bad.key")}, 1, "holds no TSIG key"},
		"no such key":      {[]string{"fetch", "example.com", "--from", server, "--key-file", at("none.key")}, 1, "can't read the key"},
		"another zone":     {[]string{"fetch", "example.net", "--from", server, "--key-file", at("good.key")}, 1, "REFUSED"},
		"over a file":      {[]string{"fetch", "example.com", "--from", server, "--key-file", at("good.key"), "--out", at("copy.zone")}, 1, "not there yet"},
		"from nowhere":     {[]string{"fetch", "example.com"}, 2, "--from"},
		"no zone":          {[]string{"fetch", "..", "--from", server}, 2, "not the name of a zone"},
		"to a name":        {[]string{"serve", at("example.com.zone"), "--dns", "127.0.0.1:0", "--transfer-to", "ns2.example.net"}, 1, "no address"},
		"a bad key served": {[]string{"serve", at("example.com.zone"), "--dns", "127.0.0.1:0", "--tsig-key-file", at("bad.key")}, 1, "holds no TSIG key"},
	} {
		if code, _, wrong := run(tt.args...); code != tt.code || !strings.Contains(wrong, tt.want) || strings.Contains(wrong, "c2Vj") {
			t.Errorf("%s: %d, %s", name, code, wrong)
		}
	}
	m, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetAxfr("example.com."), server)
	if err != nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("without a key: %v, %v", m, err)
	}
}
