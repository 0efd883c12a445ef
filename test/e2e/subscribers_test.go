package e2e

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lifeboat/internal/api"
	"lifeboat/internal/subscribe/desk"
	"lifeboat/test/postbox"
)

const statusName = "status.harbour.example"

// post sends a form of the status page as a browser does.
func post(b *Boat, path string, form url.Values, header ...string) (status int, body string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+b.host(3)+path, strings.NewReader(form.Encode()))
	b.Must(err)
	req.Host = statusName
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := plain.RoundTrip(req)
	b.Must(err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	b.Must(err)
	return res.StatusCode, string(raw)
}

var linkIn = regexp.MustCompile(`https://` + regexp.QuoteMeta(statusName) + `(/subscription/[a-z2-7]+)`)

// TestSubscribers: a visitor subscribes at the status page, confirms what a real mail
// server brought, is told what the crew tells the public, though control dies right after
// it, and ends it with one click of the mail program.
func TestSubscribers(t *testing.T) {
	t.Parallel()
	box := postbox.Open(t, postbox.Options{})
	b := Moor(t, Options{Still: true})
	b.more = "status:\n  host: " + statusName + "\n  name: Harbour Goods\n  subscribers: {mail: {server: \"127.0.0.1:" + strconv.Itoa(box.Port) + "\", tls: none, from: status@harbour.example}}\n"
	b.Configure(b.sample())
	b.Serve()
	b.Eventually("the page offers it", func() bool {
		_, body, err := fetch(b.host(3), statusName, "/")
		return err == nil && strings.Contains(body, `href="/subscribe"`)
	})
	if status, body, err := fetch(b.host(3), statusName, "/subscribe"); err != nil || status != http.StatusOK || !strings.Contains(body, `name="to"`) {
		t.Fatalf("the form: %d %v\n%s", status, err, body)
	}
	browser := []string{"Origin", "http://" + statusName, "Sec-Fetch-Site", "same-origin"}
	if status, body := post(b, "/subscribe", url.Values{"to": {"ada"}}, browser...); status == http.StatusOK || !strings.Contains(body, `value="ada"`) {
		t.Errorf("no address: %d\n%s", status, body)
	}
	if status, body := post(b, "/subscribe", url.Values{"to": {"ada@example.com"}}, browser...); status >= 300 && status != http.StatusSeeOther {
		t.Fatalf("an address: %d\n%s", status, body)
	}
	b.Eventually("the link comes", func() bool { return len(box.To("ada@example.com")) == 1 })
	first := box.To("ada@example.com")[0]
	found := linkIn.FindStringSubmatch(string(mailBody(b, first)))
	if found == nil {
		t.Fatalf("no link in:\n%s", first.Data)
	}
	link := found[1]
	if status, body, err := fetch(b.host(3), statusName, link); err != nil || status != http.StatusOK || !strings.Contains(body, `value="confirm"`) {
		t.Fatalf("the link: %d %v\n%s", status, err, body)
	}
	p := b.Teller("ada", "commander")
	p.does("status", "incident", "open", "Before", "--text", "Nobody has confirmed yet.")
	if status, body := post(b, link, url.Values{"do": {"confirm"}}, browser...); status >= 300 && status != http.StatusSeeOther {
		t.Fatalf("confirm: %d\n%s", status, body)
	}
	var list api.SubscriberList
	p.reads(&list, "status", "subscribers")
	if list.Active != 1 || list.Pending != 0 || list.Subscribers[0].To != "ada@example.com" {
		t.Errorf("%+v", list)
	}

	p.does("status", "incident", "open", "Card payments fail", "--text", "We look into it.")
	b.KillControl() // it may be told by the one after it
	b.Eventually("the news come", func() bool { return len(box.To("ada@example.com")) >= 2 })
	b.Eventually("control is back", b.Ready)
	news := box.To("ada@example.com")[1].Message(t)
	if got := news.Header.Get("Subject"); got != "[Harbour Goods] Card payments fail: We are looking into it" {
		t.Errorf("the subject: %q", got)
	}
	if got := news.Header.Get("List-Unsubscribe"); got != "<https://"+statusName+link+">" || news.Header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		t.Errorf("one click: %q, %q", got, news.Header.Get("List-Unsubscribe-Post"))
	}
	b.Eventually("it is written down who was told", func() bool {
		var d api.Deliveries
		p.reads(&d, "status", "deliveries")
		return len(d.Deliveries) == 2 && told(d.Deliveries, "Card payments fail") == 1 && told(d.Deliveries, "Before") == 0
	})

	if status, body := post(b, link, url.Values{"List-Unsubscribe": {"One-Click"}}); status != http.StatusOK {
		t.Errorf("one click: %d\n%s", status, body)
	}
	before := len(box.To("ada@example.com"))
	p.does("status", "incident", "open", "After", "--text", "Nobody is told.")
	b.Eventually("nobody is left to tell", func() bool {
		var d api.Deliveries
		p.reads(&d, "status", "deliveries")
		return len(d.Deliveries) == 3 && d.Deliveries[0].Waiting == 0 && !d.Deliveries[0].Over.IsZero()
	})
	if got := box.To("ada@example.com"); len(got) != before {
		t.Errorf("%d mails after the end, %d before", len(got), before)
	}
	p.reads(&list, "status", "subscribers")
	if list.Active+list.Pending != 0 {
		t.Errorf("%+v", list)
	}
	if log, err := os.ReadFile(b.logPath()); err != nil || strings.Contains(string(log), "@example.com") || strings.Contains(string(log), link) {
		t.Errorf("the log holds an address or a link (%v)", err)
	}
}

func mailBody(b *Boat, m postbox.Taken) []byte {
	b.t.Helper()
	body, err := io.ReadAll(m.Message(b.t).Body)
	b.Must(err)
	return []byte(strings.ReplaceAll(strings.ReplaceAll(string(body), "=\r\n", ""), "=\n", ""))
}

// told is how many were told of what has this title.
func told(list []desk.Progress, title string) int {
	for _, d := range list {
		if d.Title[""] == title {
			return d.Told
		}
	}
	return -1
}
