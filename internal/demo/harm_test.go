package demo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/demo"
	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
)

// hand is a person beside a running demo.
type hand struct {
	t    *testing.T
	data string
	at   ready
}

func (h hand) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	h.t.Cleanup(cancel)
	return ctx
}

func (h hand) breaks(how string) {
	h.t.Helper()
	if err := demo.Break(h.ctx(), h.data, how); err != nil {
		h.t.Fatalf("break %s: %v", how, err)
	}
}

func (h hand) does(act string) string {
	h.t.Helper()
	said, err := demo.Do(h.ctx(), h.data, act)
	if err != nil || said == "" {
		h.t.Fatalf("do %s: %q, %v", act, said, err)
	}
	return said
}

func (h hand) state() demo.Condition {
	h.t.Helper()
	c, err := demo.State(h.ctx(), h.data)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h hand) broken(want ...shop.Harm) {
	h.t.Helper()
	if c := h.state(); !slices.Equal(c.Broken, want) {
		h.t.Fatalf("it says that %v is broken, want %v", c.Broken, want)
	}
}

// status is what a place answers to a visitor without patience; 0 is no answer.
func (h hand) status(ip, path string) int {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(fmt.Sprintf("http://%s:%d%s", ip, h.at.Port, path))
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// well waits until a page is answered as it should be.
func (h hand) well(ip, path string) {
	h.t.Helper()
	poll(h.t, path+" at "+ip+" to be well", func() bool { return h.status(ip, path) == http.StatusOK })
}

// TestHarmsAndRemedies: each way to break the shop is met from outside, what does not
// fit does not cure it, what fits does.
func TestHarmsAndRemedies(t *testing.T) {
	t.Parallel()
	tmp := workFolder(t)
	cmd, at, _, ended := open(t, tmp)
	h := hand{t, filepath.Join(tmp, "boat"), at}
	h.broken()
	const backup = "127.0.0.3"
	for _, c := range []struct {
		how    string
		path   string
		status []int // what a visitor may get there
		backup int   // what they get at the backup
		unfit  string
		cure   string
	}{
		{"kill", "/", []int{0}, 200, "roll-back repair-row speed-up free-disk", "restart"},
		{"hang", "/", []int{0}, 200, "roll-back repair-row speed-up free-disk", "restart"},
		{"bad-release", "/", []int{500}, 200, "restart repair-row speed-up free-disk", "roll-back"},
		{"leaky-release?well=10", "/", []int{0, 503}, 200, "repair-row speed-up free-disk", "roll-back"},
		{"poison-row", "/", []int{500}, 500, "restart roll-back speed-up free-disk", "repair-row"},
		{"full-disk", "/healthz", []int{503}, 503, "restart roll-back repair-row speed-up", "free-disk"},
		{"slow-dependency", "/healthz/checkout", []int{0, 503}, 0, "restart roll-back repair-row free-disk", "speed-up"},
		{"flaky?for=10m", "/healthz", []int{0, 503}, 0, "roll-back speed-up", "restart"},
	} {
		name, _, _ := strings.Cut(c.how, "?")
		h.breaks(c.how)
		h.broken(shop.Harm(name))
		met := func() bool { return slices.Contains(c.status, h.status(at.Main, c.path)) }
		poll(t, c.how+" to be met", met)
		if got := h.status(backup, c.path); got != c.backup {
			t.Errorf("%s: the backup answers %d, want %d", c.how, got, c.backup)
		}
		for act := range strings.FieldsSeq(c.unfit) {
			h.does(act)
			h.broken(shop.Harm(name))
			poll(t, c.how+" to outlive "+act, met)
		}
		if c.how == "kill" && demo.Break(h.ctx(), h.data, "hang") == nil {
			t.Error("a dead shop hangs")
		}
		h.does(c.cure)
		h.broken()
		h.well(at.Main, c.path)
		h.well(backup, c.path)
		h.breaks(c.how)
		if err := demo.Repair(h.ctx(), h.data); err != nil {
			t.Errorf("repair %s: %v", c.how, err)
		}
		h.broken()
		h.well(at.Main, "/")
		h.well(at.Main, c.path)
	}
	h.breaks("flaky?for=200ms")
	poll(t, "it to go away by itself", func() bool { return len(h.state().Broken) == 0 })
	h.well(at.Main, "/healthz")
	h.returnsBadly()
	h.leavesWords()
	end(t, cmd, ended, tmp)
}

// returnsBadly rolls a bad release back to one that only looks well.
func (h hand) returnsBadly() {
	h.t.Helper()
	h.breaks("bad-release")
	h.does("roll-back-badly?well=100")
	if c := h.state(); c.Release != "415" || h.status(h.at.Main, "/") != http.StatusOK {
		h.t.Errorf("release %s runs, and it is not well at first", c.Release)
	}
	poll(h.t, "it to fail again", func() bool { return h.status(h.at.Main, "/") != http.StatusOK })
	h.broken(shop.LeakyRelease)
	h.does("roll-back")
	h.broken()
	h.well(h.at.Main, "/")
	if said := h.does("roll-back"); !strings.Contains(said, "nothing was changed") {
		h.t.Errorf("a second roll-back says %q", said)
	}
}

// leavesWords looks at what a diagnosis can take: the logs and the metrics.
func (h hand) leavesWords() {
	h.t.Helper()
	c := h.state()
	if len(c.Places) != 2 || c.Release != shop.GoodRelease {
		h.t.Fatalf("the state is %+v", c)
	}
	for _, p := range c.Places {
		res, err := http.Get(p.Metrics)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !p.Runs || p.PID == 0 || p.Workers == 0 || p.Free == 0 || !strings.Contains(string(text), fmt.Sprintf("shop_build_info{origin=%q,release=%q} 1", p.Name, p.Release)) {
			h.t.Errorf("%+v tells %v\n%s", p, err, text)
		}
		log, err := os.ReadFile(p.Log)
		if err != nil || filepath.Dir(p.Log) != h.data {
			h.t.Errorf("its log: %v", err)
		}
		wants := []string{"database or disk is full", "products, id 9", "is not a whole number of cents"}
		if p.Name == "main" {
			wants = append(wants, "nil pointer dereference", "no worker was free", "request slow", "release=413", "release=415")
		}
		for _, want := range wants {
			if !strings.Contains(string(log), want) {
				h.t.Errorf("the log of %s does not say %q", p.Name, want)
			}
		}
	}
}

// TestBrokenBooksDoNotOutliveTheDemo: the next demo on the folder begins well.
func TestBrokenBooksDoNotOutliveTheDemo(t *testing.T) {
	t.Parallel()
	tmp := workFolder(t)
	cmd, at, _, ended := open(t, tmp)
	h := hand{t, filepath.Join(tmp, "boat"), at}
	h.breaks("poison-row")
	h.breaks("full-disk")
	h.broken(shop.PoisonRow, shop.FullDisk)
	end(t, cmd, ended, tmp)
	cmd, at, _, ended = open(t, tmp)
	h = hand{t, h.data, at}
	h.broken()
	h.well(at.Main, "/")
	end(t, cmd, ended, tmp)
}

// TestUnknownIsRefused: what there is no way for names the ways that there are,
// before anybody is asked.
func TestUnknownIsRefused(t *testing.T) {
	t.Parallel()
	nobody := t.TempDir()
	for _, how := range []string{"", "fire", "none", "flaky?for=forever"} {
		if err := demo.Break(t.Context(), nobody, how); fault.KindOf(err) != fault.Invalid {
			t.Errorf("break %q: %v", how, err)
		}
	}
	for _, act := range []string{"", "repair", "restart?now=1"} {
		if _, err := demo.Do(t.Context(), nobody, act); fault.KindOf(err) != fault.Invalid {
			t.Errorf("do %q: %v", act, err)
		}
	}
	err := demo.Break(t.Context(), nobody, "fire")
	for _, h := range shop.Harms() {
		if err == nil || !strings.Contains(err.Error(), string(h)) {
			t.Errorf("%v does not name %s", err, h)
		}
	}
	_, err = demo.Do(t.Context(), nobody, "fire")
	for _, a := range shop.Acts() {
		if err == nil || !strings.Contains(err.Error(), string(a)) {
			t.Errorf("%v does not name %s", err, a)
		}
	}
	if _, err := demo.State(t.Context(), nobody); fault.KindOf(err) != fault.NotFound {
		t.Errorf("state where no demo runs: %v", err)
	}
	if _, err := demo.Do(t.Context(), nobody, "restart"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("do where no demo runs: %v", err)
	}
}

// TestBreakPage breaks and repairs the shop of a running demo as a browser does.
func TestBreakPage(t *testing.T) {
	t.Parallel()
	tmp := workFolder(t)
	cmd, at, stdout, ended := open(t, tmp)
	h := hand{t, filepath.Join(tmp, "boat"), at}
	page := "http://" + at.Panel
	if !strings.HasPrefix(at.Panel, "127.0.0.1:") || !strings.Contains(stdout.String(), page+"/") {
		t.Errorf("the page is at %q; the first screen says\n%s", at.Panel, stdout)
	}
	press := func(path string, headers ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("POST", page+path, strings.NewReader(url.Values{}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		client := http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	if status, text := press("/break/poison-row", "Origin", "http://elsewhere.example"); status != 403 || !strings.Contains(text, "Nothing was done") {
		t.Errorf("from another site: %d %s", status, text)
	}
	h.broken()
	if status, text := press("/break/poison-row", "Origin", page, "Sec-Fetch-Site", "same-origin"); status != 200 || !strings.Contains(text, "A product in the books can’t be read.") {
		t.Errorf("the page says %d\n%s", status, text)
	}
	h.broken(shop.PoisonRow)
	if got := h.status(at.Main, "/"); got != 500 {
		t.Errorf("the shop answers %d", got)
	}
	if _, text := press("/do/restart"); !strings.Contains(text, "was started anew") || !strings.Contains(text, "A product in the books can’t be read.") {
		t.Errorf("after what does not help:\n%s", text)
	}
	if _, text := press("/do/repair-row"); !strings.Contains(text, "All is well.") {
		t.Errorf("after the repair:\n%s", text)
	}
	press("/break/bad-release")
	if _, text := press("/break/kill"); !strings.Contains(text, "process does not run") || !strings.Contains(text, "does not run. Its log") {
		t.Errorf("a dead shop:\n%s", text)
	}
	if _, text := press("/break/kill"); !strings.Contains(text, "That did not work.") || !strings.Contains(text, "dead already") {
		t.Errorf("killed twice:\n%s", text)
	}
	if _, text := press("/repair"); !strings.Contains(text, "All is well.") || !strings.Contains(text, "runs release 412") {
		t.Errorf("after the whole repair:\n%s", text)
	}
	h.broken()
	h.well(at.Main, "/")
	end(t, cmd, ended, tmp)
}
