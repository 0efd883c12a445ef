package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// clue says where somebody looks for what speaks to a possible cause: in the evidence,
// or in what had changed.
type clue struct {
	kind   string // of evidence: http, dns, log, metrics, note
	from   string // part of whom it was taken from
	line   string // a regular expression of the line that tells
	change string // or: words of the change
}

// find is what was found: its id, and the line that tells.
type find struct{ id, line string }

// maxFound is how long a line is that is quoted, in characters.
const maxFound = 240

// find waits until what a clue leads to is on record; of several the newest counts.
func (p *play) find(ctx context.Context, c clue) (what find, err error) {
	tells, err := regexp.Compile("(?m)" + c.line)
	if err != nil {
		return what, err
	}
	wait := p.tell.wait("for evidence", 0)
	defer wait.over()
	err = until(ctx, lookEvery, func() (bool, string, error) {
		wait.at(0)
		in, err := p.current(ctx)
		if err != nil {
			return false, "", err
		}
		found := false
		if what, found = changed(in, c.change); c.change == "" {
			what, found, err = p.collected(ctx, in, c, tells)
		}
		return found, fmt.Sprintf("%d pieces of evidence and %d changes, and none is %+v", len(in.Evidence), len(in.Changes), c), err
	})
	return what, err
}

// changed looks through what had changed.
func changed(in api.Incident, words string) (find, bool) {
	for _, c := range in.Changes {
		if strings.Contains(c.What, words) {
			return find{c.ID, c.What}, true
		}
	}
	return find{}, false
}

// collected looks through the evidence, the newest first.
func (p *play) collected(ctx context.Context, in api.Incident, c clue, tells *regexp.Regexp) (find, bool, error) {
	for i := len(in.Evidence) - 1; i >= 0; i-- {
		e := in.Evidence[i]
		if e.Kind != c.kind || !strings.Contains(e.Source, c.from) {
			continue
		}
		for _, said := range []string{e.Deciding, e.Summary, e.Title} {
			if tells.MatchString(said) {
				return find{e.ID, short(said)}, true, nil
			}
		}
		text, err := p.body(ctx, e)
		if err != nil {
			return find{}, false, err
		}
		if at := tells.FindStringIndex(text); at != nil {
			return find{e.ID, lineAt(text, at[0], at[1])}, true, nil
		}
	}
	return find{}, false, nil
}

// body reads the body of a piece of evidence, once.
func (p *play) body(ctx context.Context, e incident.Evidence) (string, error) {
	if e.SHA256 == "" || e.Type != "text/plain" {
		return "", nil
	}
	text, known := p.bodies[e.ID]
	if !known {
		b, err := p.client.EvidenceBody(ctx, p.incident, e.ID)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", e.ID, err)
		}
		text = string(b)
		p.bodies[e.ID] = text
	}
	return text, nil
}

// lineAt is the line of a text in which something was found; of a long one only that.
func lineAt(text string, from, to int) string {
	begin := strings.LastIndexByte(text[:from], '\n') + 1
	line, _, _ := strings.Cut(text[begin:], "\n")
	if len(line) > maxFound {
		line = "… " + text[from:to]
	}
	return short(line)
}

func short(line string) string {
	line = strings.TrimSpace(line)
	if r := []rune(line); len(r) > maxFound {
		return string(r[:maxFound-1]) + "…"
	}
	return line
}

// shows finds something and says it: looking is all that is done.
func shows(by who, c clue) act {
	return func(ctx context.Context, p *play) (string, error) {
		what, err := p.find(ctx, c)
		return fmt.Sprintf("%s reads %s: %s", p.name(by), what.id, what.line), err
	}
}

// looksAgain collects evidence anew and waits until it is there.
func looksAgain(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		before, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		if err := p.as(by).Capture(ctx, siteID); err != nil {
			return "", err
		}
		fresh := 0
		wanted := map[string]bool{"http": true, "metrics": true, "log": true}
		err = until(ctx, lookEvery, func() (bool, string, error) {
			in, err := p.current(ctx)
			if err != nil {
				return false, "", err
			}
			left := map[string]bool{"http": true, "metrics": true, "log": true}
			for _, e := range in.Evidence[len(before.Evidence):] {
				if wanted[e.Kind] && (e.Kind == "log" || strings.Contains(e.Source, "main")) {
					delete(left, e.Kind)
				}
			}
			fresh = len(in.Evidence) - len(before.Evidence)
			return len(left) == 0, fmt.Sprintf("%d new pieces of evidence; what is missing: %v", fresh, left), nil
		})
		return fmt.Sprintf("%s has it looked at again: %d new pieces of evidence", p.name(by), fresh), err
	}
}

// readsMetrics reads main's metrics by hand until a line is there.
func readsMetrics(by who, line string) act {
	return func(ctx context.Context, p *play) (string, error) {
		tells, err := regexp.Compile("(?m)" + line)
		if err != nil {
			return "", err
		}
		said := ""
		err = until(ctx, lookEvery, func() (bool, string, error) {
			_, text, err := p.visitor.pageAt(ctx, mainIP, "/metrics")
			at := tells.FindStringIndex(text)
			if at != nil {
				said = lineAt(text, at[0], at[1])
			}
			return at != nil, "main's metrics have no line " + line, err
		})
		return fmt.Sprintf("%s reads main's metrics: %s", p.name(by), said), err
	}
}

// looksAt asks main for a page by its address and writes down what came.
func looksAt(by who, path string, want int) act {
	return func(ctx context.Context, p *play) (string, error) {
		status, _, err := p.visitor.pageAt(ctx, mainIP, path)
		if err != nil {
			return "", err
		}
		if status != want {
			return "", fmt.Errorf("main answers %d at %s, expected %d", status, path, want)
		}
		saw := fmt.Sprintf("GET %s at main, asked by hand, answers %d %s", path, status, http.StatusText(status))
		_, err = p.as(by).AddEvidenceNote(ctx, siteID, api.EvidenceNoteBody{Title: saw})
		return fmt.Sprintf("%s: %s", p.name(by), saw), err
	}
}

// silence is how long somebody listens to a shop that says nothing.
const silence = time.Second

// listensTo connects to main by hand, asks, and writes down that no answer came: the
// evidence that lifeboat collects waits longer for one.
func listensTo(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		at := net.JoinHostPort(mainIP, strconv.Itoa(p.crowd.port))
		began := p.now()
		conn, err := (&net.Dialer{Timeout: silence}).DialContext(ctx, "tcp", at)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close() }() // nothing is lost with it
		connected := p.now().Sub(began)
		if err := conn.SetDeadline(time.Now().Add(silence)); err != nil { // the kernel's clock
			return "", err
		}
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", Host); err != nil {
			return "", err
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return "", fmt.Errorf("main says something, or hangs up: %d bytes, %w", n, err)
		}
		saw := fmt.Sprintf("main, asked by hand, is connected after %s, and sends no byte within %s", words(millis(connected)), silence)
		_, err = p.as(by).AddEvidenceNote(ctx, siteID, api.EvidenceNoteBody{Title: saw})
		return fmt.Sprintf("%s: %s", p.name(by), saw), err
	}
}

// pageAt asks one place for a page by its address, as somebody who tests would.
func (v *visitor) pageAt(ctx context.Context, ip, path string) (status int, text string, err error) {
	client := &http.Client{Timeout: patient, CheckRedirect: v.client.CheckRedirect, Transport: &http.Transport{DisableKeepAlives: true}}
	at := netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(v.crowd.port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = Host
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return res.StatusCode, string(body), err
}
