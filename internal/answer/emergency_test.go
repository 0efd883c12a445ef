package answer

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lifeboat/internal/snapshot"
)

// tunnel is a browser at the end of a tunnel to answer.sock.
func (r *rig) tunnel() *http.Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.sock)
	}}
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func bodyOf(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return string(b)
}

var pageToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// TestEmergencyPage: with nobody else there, a browser at the end of a tunnel shows where
// things stand, and a press is a local order that control takes over later.
func TestEmergencyPage(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	c := r.tunnel()
	res, err := c.Get("http://localhost:8080/")
	text := bodyOf(t, res, err)
	token := pageToken.FindStringSubmatch(text)
	for _, want := range []string{"Visitors are sent to <b>main</b>", `value="to-standby"`, "Look again"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "<script") || token == nil {
		t.Fatalf("it has a script, or no token:\n%s", text)
	}
	res, err = c.PostForm("http://localhost:8080/pull", url.Values{"token": {token[1]}, "lever": {"to-standby"}, "who": {"Ada <b>\nL."}})
	text = bodyOf(t, res, err)
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "to-standby is in force here.") || !strings.Contains(text, "sent to <b>the status page</b>") {
		t.Fatalf("%d: %s", res.StatusCode, text)
	}
	if r.addr() != standbyIP {
		t.Errorf("visitors are sent to %s", r.addr())
	}
	o := r.hello().Orders
	if len(o) != 1 || o[0].Lever != "to-standby" || o[0].Position != snapshot.Standby || !strings.Contains(o[0].Reason, "“Ada <b> L.”") {
		t.Errorf("the local order: %+v", o)
	}
	res, err = c.PostForm("http://localhost:8080/pull", url.Values{"token": {token[1]}, "lever": {"to-standby"}})
	if text = bodyOf(t, res, err); res.StatusCode != http.StatusConflict || !strings.Contains(text, "already") {
		t.Errorf("pressed twice: %d: %s", res.StatusCode, text)
	}
	if rep := r.do(Request{Do: "status"}); !rep.OK || len(rep.Status.Orders) != 1 {
		t.Errorf("orders over the same socket: %+v", rep)
	}
}

// TestEmergencyPageIsOurOwn: another page in the same browser can't press here.
func TestEmergencyPageIsOurOwn(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	c := r.tunnel()
	res, err := c.Get("http://localhost:8080/")
	token := pageToken.FindStringSubmatch(bodyOf(t, res, err))[1]
	for name, x := range map[string]struct {
		host, token string
		header      map[string]string
		want        int
	}{
		"no token":              {"localhost:8080", "", nil, http.StatusForbidden},
		"a wrong token":         {"localhost:8080", token[1:], nil, http.StatusForbidden},
		"another site":          {"localhost:8080", token, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"another port":          {"localhost:8080", token, map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"an old browser":        {"localhost:8080", token, map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"no origin":             {"localhost:8080", token, map[string]string{"Origin": "null"}, http.StatusForbidden},
		"somebody else's name":  {"evil.example:8080", token, nil, http.StatusMisdirectedRequest},
		"a name like our own":   {"localhost.evil.example", token, nil, http.StatusMisdirectedRequest},
		"an address elsewhere":  {"192.0.2.1:8080", token, nil, http.StatusMisdirectedRequest},
		"the machine's address": {"127.0.0.1:8080", token, map[string]string{"Sec-Fetch-Site": "same-origin"}, http.StatusNotFound},
	} {
		form := url.Values{"token": {x.token}, "lever": {"to-standby"}}
		if x.want == http.StatusNotFound {
			form.Set("lever", "nothing") // it gets as far as that
		}
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://tunnel/pull", strings.NewReader(form.Encode()))
		must(t, err)
		q.Host = x.host
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for k, v := range x.header {
			q.Header.Set(k, v)
		}
		res, err := c.Do(q)
		if text := bodyOf(t, res, err); res.StatusCode != x.want {
			t.Errorf("%s: %d, want %d: %.200s", name, res.StatusCode, x.want, text)
		}
	}
	for _, path := range []string{"/pull?token=" + token + "&lever=to-standby", "/?lever=to-standby", "/nothing"} {
		res, err := c.Get("http://localhost:8080" + path)
		if bodyOf(t, res, err); res.Header.Get("Content-Security-Policy") == "" || res.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
	if len(r.hello().Orders) != 0 {
		t.Error("somebody else has pressed")
	}
}
