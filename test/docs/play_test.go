package docs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The bounds of a play.
const (
	startTime = 60 * time.Second
	stepTime  = 60 * time.Second
	lookEvery = 50 * time.Millisecond
)

// TestPlay runs the shell blocks of each document, in order, in a demo of its own.
func TestPlay(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		var run []block
		for _, b := range blocks(t, page) {
			if b.lang != "sh" || strings.HasPrefix(b.says, "skip: ") {
				continue
			}
			if !strings.HasPrefix(b.says, "run") {
				if strings.HasPrefix(page, "docs/") || page == "README.md" {
					t.Errorf("%s:%d: no comment says whether this block is to be run", page, b.line)
				}
				continue
			}
			run = append(run, b)
		}
		if len(run) == 0 {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			tools(t, run)
			p := startPlay(t)
			for _, b := range run {
				p.play(t, b)
			}
		})
	}
}

// tools skips a page whose tools are not there.
func tools(t *testing.T, run []block) {
	t.Helper()
	for _, tool := range []string{"dig", "curl"} {
		for _, b := range run {
			if _, err := exec.LookPath(tool); err != nil && strings.Contains(b.text, tool+" ") {
				t.Skipf("SKIP-LOUD: %s needs %s", b.page, tool)
			}
		}
	}
}

// play is a demo, and a shell in its folder.
type play struct {
	dir   string
	env   []string
	ports map[string]string // the demo's own, by the usual one
	in    io.Writer
	lines chan string
}

func startPlay(t *testing.T) *play {
	t.Helper()
	p := &play{dir: t.TempDir(), lines: make(chan string)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.env = append(os.Environ(), actAs+"="+strconv.Itoa(os.Getpid()), "LIFEBOAT_SERVER=", "LIFEBOAT_TOKEN=")
	if err := errors.Join(os.Mkdir(filepath.Join(p.dir, "bin"), 0o700), os.Symlink(self, filepath.Join(p.dir, "bin/lifeboat"))); err != nil {
		t.Fatal(err)
	}
	p.startDemo(t)
	p.startShell(t)
	return p
}

// startDemo starts the demo on free ports and waits until its levers are rehearsed.
func (p *play) startDemo(t *testing.T) {
	t.Helper()
	ready := filepath.Join(p.dir, "ready.json")
	cmd := exec.Command("./bin/lifeboat", "demo", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--ofrep", "127.0.0.1:0", "--ready-file", ready)
	var out bytes.Buffer // read after the end only
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p.dir, p.env, &out, &out, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(startTime):
			_ = cmd.Process.Kill()
			t.Error("the demo did not end")
		}
	})
	var at struct {
		HTTP, DNS, OFREP string
		Port             int
	}
	within(t, startTime, "the demo is ready", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the demo ended: %v\n%s", err, &out)
		default:
		}
		text, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(text, &at) == nil && at.HTTP != ""
	})
	p.ports = map[string]string{"8080": port(at.HTTP), "5354": port(at.DNS), "8016": port(at.OFREP), "8088": strconv.Itoa(at.Port)}
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// startShell starts the one shell that all blocks of a page are typed into.
func (p *play) startShell(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "sh")
	cmd.Dir, cmd.Env = p.dir, p.env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in = in
	go func() { // ends with the shell
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
	})
}

// within looks until something holds; it fails when that takes too long.
func within(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for deadline := time.After(most); !ok(); {
		select {
		case <-deadline:
			t.Fatalf("after %s still not: %s", most, what)
		case <-tick.C:
		}
	}
}

var usualPort = regexp.MustCompile(`\b(8080|5354|8016|8088)\b`)

// play types a block's statements, and looks at what each writes.
func (p *play) play(t *testing.T, b block) {
	t.Helper()
	want := 0
	for word := range strings.SplitSeq(b.says, ", ") {
		switch {
		case word == "run":
		case strings.HasPrefix(word, "once "):
			p.await(t, strings.TrimPrefix(word, "once "))
		default:
			if n, err := fmt.Sscanf(word, "exit %d", &want); n != 1 || err != nil {
				t.Fatalf("%s:%d: nobody knows what %q means", b.page, b.line, word)
			}
		}
	}
	for _, s := range statements(b.text) {
		code, out := p.typed(t, usualPort.ReplaceAllStringFunc(s, func(usual string) string { return p.ports[usual] }))
		if code != want {
			t.Fatalf("%s:%d: exit code %d:\n%s\n%s", b.page, b.line, code, s, out)
		}
		_, expected, told := strings.Cut(s, "# → ")
		if told && !strings.Contains(out, strings.TrimSpace(expected)) {
			t.Fatalf("%s:%d: expected %q from\n%s\ngot\n%s", b.page, b.line, strings.TrimSpace(expected), s, out)
		}
	}
}

// statements cuts a block into what is typed at once: a line, and those that go on
// with it.
func statements(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		goesOn := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "}")
		if goesOn && len(out) > 0 {
			out[len(out)-1] += line
			continue
		}
		out = append(out, line)
	}
	return out
}

// typed types one statement and gives its exit code and what it wrote.
func (p *play) typed(t *testing.T, statement string) (code int, out string) {
	t.Helper()
	const mark = "@@ exit "
	if _, err := io.WriteString(p.in, statement+"\necho \""+mark+"$?\"\n"); err != nil {
		t.Fatal(err)
	}
	for late := time.After(stepTime); ; {
		select {
		case line, more := <-p.lines:
			if !more {
				t.Fatalf("the shell has ended in\n%s\n%s", statement, out)
			}
			before, status, over := strings.Cut(line, mark)
			if !over {
				out += line + "\n"
				continue
			}
			code, err := strconv.Atoi(status)
			if err != nil {
				t.Fatal(err)
			}
			return code, out + before
		case <-late:
			t.Fatalf("this does not end:\n%s\n%s", statement, out)
		}
	}
}

// told says whether the demo's status page tells of an incident.
func (p *play) told(t *testing.T) bool {
	t.Helper()
	_, out := p.typed(t, "curl -s --resolve status.shop.lifeboat.test:"+p.ports["8088"]+":127.0.0.4 -H 'Accept: application/json' http://status.shop.lifeboat.test:"+p.ports["8088"]+"/\n")
	return strings.Contains(out, `"message"`)
}

// await waits until the demo's site is as a document says.
func (p *play) await(t *testing.T, what string) {
	t.Helper()
	within(t, stepTime, what, func() bool {
		if what == "told" {
			return p.told(t)
		}
		cmd := exec.CommandContext(t.Context(), "./bin/lifeboat", "status", "--json")
		cmd.Dir, cmd.Env = p.dir, p.env
		text, err := cmd.Output()
		var o struct {
			Sites []struct {
				Seen     []struct{ Place, Seen string }
				Incident *struct{ Phase, Proposed string }
			}
		}
		if err != nil || json.Unmarshal(text, &o) != nil || len(o.Sites) == 0 {
			return false
		}
		s := o.Sites[0]
		switch what {
		case "seen up":
			return s.Seen[0].Seen == "up"
		case "seen down":
			return s.Incident != nil && s.Incident.Proposed != "" && s.Seen[0].Seen == "down"
		case "in review":
			return s.Incident != nil && s.Incident.Phase == "review"
		}
		t.Fatalf("nobody knows what %q means", what)
		return false
	})
}
