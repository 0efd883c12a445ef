package web

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lifeboat/internal/board"
	"lifeboat/internal/role"
	"lifeboat/internal/standby"
	"lifeboat/test/eyes"
)

// TestPrivatePageInABrowser: somebody opens a private status page, signs in at the console,
// which is another site, and reads the page; with the console gone they read on.
func TestPrivatePageInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	for name, noScript := range map[string]bool{"with scripts": false, "without scripts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			b.person("jonas", "Jonas", role.Viewer)
			ring := b.private()
			page := &b.words.Settings().Pages[0]
			page.Hosts, page.URL, page.Private.Console, page.Private.Passes = []string{"status.test"}, "https://status.test", "https://console.test", ring.Keys()
			o := b.options()
			o.Passes, o.URL = ring.Mint, "https://console.test"
			console := httptest.NewTLSServer(New(o))
			t.Cleanup(console.Close)
			view, err := standby.Compile(standby.Input{Now: b.clock()})
			must(t, err)
			pages, err := (&standby.Statuses{}).Render(board.Facts{Sheet: b.words.Sheet(), Now: b.clock()}, "")
			must(t, err)
			must(t, view.AddStatus(pages))
			answer := standby.New(standby.Options{Now: b.clock})
			answer.Set(view)
			public := httptest.NewTLSServer(answer.Handler())
			t.Cleanup(public.Close)
			tab := eyes.Open(t, eyes.Options{NoScript: noScript, AnyCert: true, Names: "MAP status.test " + public.Listener.Addr().String() + ",MAP console.test " + console.Listener.Addr().String() + ","})
			tab.See(eyes.Phone, false)
			says := func(want string) {
				t.Helper()
				for end := time.Now().Add(2 * time.Minute); !tab.Loaded(`!!document.body && document.body.innerText.includes("` + want + `")`); {
					if time.Now().After(end) {
						t.Fatalf("%s does not say %q: %.500s", eyes.Read[string](tab, "location.href"), want, eyes.Read[string](tab, "document.body.innerText"))
					}
					tab.Do(chromedp.Sleep(50 * time.Millisecond))
				}
			}
			tab.Do(chromedp.Navigate("https://status.test/"))
			says("This page is for those who work here.")
			tab.Do(chromedp.Click(chromedp.CSS(`a[href="/sign-in"]`)))
			says("Then you are led back to the status page.")
			tab.Do(chromedp.SendKeys(chromedp.CSS("#name"), "jonas"), chromedp.SendKeys(chromedp.CSS("#password"), password+"\r"))
			if noScript {
				says("You may read Harbour Goods.")
				tab.Do(chromedp.Click(chromedp.CSS("#enter button")))
			}
			says("Deliveries")
			if at := eyes.Read[string](tab, "location.href"); at != "https://status.test/" {
				t.Errorf("it ends at %s", at)
			}
			console.Close()
			tab.Do(chromedp.Navigate("https://status.test/history"))
			if body := eyes.Read[string](tab, "document.body.innerText"); !strings.Contains(body, "March 2026") {
				t.Errorf("with the console gone: %.300s", body)
			}
			for _, stray := range tab.Stray() {
				t.Error(stray)
			}
		})
	}
}
