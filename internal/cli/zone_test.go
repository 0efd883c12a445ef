package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// console is what a command that goes on has written so far.
type console struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

// says waits for a pattern, gives what it found and forgets all that came before.
func (c *console) says(t *testing.T, pattern string) []string {
	t.Helper()
	look := regexp.MustCompile(pattern)
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		c.mu.Lock()
		text := c.b.String()
		found := look.FindStringSubmatch(text)
		if found != nil {
			c.b.Reset()
		}
		c.mu.Unlock()
		if found != nil {
			return found
		}
		if time.Now().After(late) {
			t.Fatalf("%q was not said: %q", pattern, text)
		}
	}
}

const servedZone = `$ORIGIN example.com.
@   300 IN SOA ns1 hostmaster %d 3600 600 86400 60
@   300 IN NS  ns1
ns1 300 IN A   192.0.2.1
www 300 IN A   %s
`

// A server of zone files says its name, and reads the files again on SIGHUP. A bad one
// is told, and what was good last is answered.
func TestZoneServeReadsAgain(t *testing.T) { // not parallel: the signal is to the whole process
	file := filepath.Join(t.TempDir(), "example.com.zone")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(servedZone, 7, "192.0.2.2"))
	var out, problems console
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { // ended by stop
		ended <- Run(ctx, Options{Out: &out, Err: &problems, In: strings.NewReader("")}, []string{"zone", "serve", file, "--dns", "127.0.0.1:0", "--nsid", "ns1.here"})
	}()
	defer stop()
	server := out.says(t, `answering 1 zone at (\S+), UDP`)[1]
	check := func(when, want string) {
		t.Helper()
		q := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
		q.SetEdns0(1232, false)
		q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, server)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != want {
			t.Errorf("%s: not %s but %v", when, want, m)
		}
		if o := m.IsEdns0().Option; len(o) != 1 || o[0].(*dns.EDNS0_NSID).Nsid != hex.EncodeToString([]byte("ns1.here")) {
			t.Errorf("%s: NSID %v", when, o)
		}
	}
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	check("at first", "192.0.2.2")
	write(fmt.Sprintf(servedZone, 8, "192.0.2.3"))
	check("before it is asked to", "192.0.2.2")
	hangUp()
	out.says(t, "read again: answering 1 zone")
	check("read again", "192.0.2.3")
	write(fmt.Sprintf(servedZone, 9, "192.0.2.400"))
	hangUp()
	problems.says(t, `(?s)example\.com\.zone:5.*answered as before`)
	check("with a bad file", "192.0.2.3")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	hangUp()
	problems.says(t, `(?s)can't read it.*answered as before`)
	check("without the file", "192.0.2.3")
	write(fmt.Sprintf(servedZone, 10, "192.0.2.4"))
	hangUp()
	out.says(t, "read again")
	check("mended", "192.0.2.4")
	large := fmt.Sprintf(servedZone, 11, "192.0.2.5")
	for i := range 40 {
		large += fmt.Sprintf("h%d 300 IN A 192.0.2.9\n", i)
	}
	write(large)
	hangUp()
	out.says(t, "read again")
	check("grown", "192.0.2.5")
	write(fmt.Sprintf(servedZone, 12, "192.0.2.6"))
	hangUp()
	problems.says(t, `(?s)has \d records, and had 4\d when it was served last.*answered as before`)
	check("with most of it lost", "192.0.2.5")
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func TestZoneServeRefusesALongName(t *testing.T) {
	t.Parallel()
	var out, problems console
	code := Run(t.Context(), Options{Out: &out, Err: &problems}, []string{"zone", "serve", "example.com.zone", "--nsid", strings.Repeat("n", 65)})
	if code != 2 {
		t.Errorf("code %d", code)
	}
	problems.says(t, "--nsid is too long: 65 octets, 64 fit")
}
