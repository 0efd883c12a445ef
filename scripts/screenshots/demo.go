package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
)

// patience is how long the demo may take for one step.
const patience = 2 * time.Minute

// demo walks through a whole crisis in the real program, as a person does with a mouse.
func (s *studio) demo(tab context.Context, program string) error {
	data, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(data) }()
	ready := filepath.Join(data, "ready.json")
	var said bytes.Buffer
	run := exec.Command(program, "demo", "--data", data, "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--ofrep", "127.0.0.1:0", "--panel", "127.0.0.1:0", "--ready-file", ready)
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		return err
	}
	defer func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait() // it ends the shops and lifeboat
	}()
	if err := await(func() bool { _, err := os.Stat(ready); return err == nil }); err != nil {
		return fmt.Errorf("it does not start: %w\n%s", err, &said)
	}
	w := walk{studio: s, tab: tab, program: program, data: data}
	if err := w.crisis(); err != nil {
		return err
	}
	return w.rooms()
}

// await looks until something is so.
func await(so func() bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if so() {
			return nil
		}
	}
	return fmt.Errorf("nothing in %s", patience)
}

// walk is one person in one browser.
type walk struct {
	*studio
	tab                 context.Context
	program, data, page string
}

func (w *walk) crisis() error {
	var at struct{ HTTP string }
	people := map[string]string{}
	for name, into := range map[string]any{"serve.json": &at, "people.json": &people} {
		text, err := os.ReadFile(filepath.Join(w.data, name))
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return err
		}
	}
	w.page = "http://" + at.HTTP
	for _, step := range []func() error{
		func() error { return w.open("/") },
		func() error { return w.take(w.tab, "01-sign-in") },
		func() error {
			return w.do(chromedp.SendKeys(chromedp.CSS("#name"), "ada"), chromedp.SendKeys(chromedp.CSS("#password"), people["ada"]), chromedp.Submit(chromedp.CSS("#password")))
		},
		w.when("All is well", "02-quiet"),
		w.press("Something is wrong"), w.when("Let’s get out of hot water", "03-declared"),
		w.press("Nothing loads"), w.when("Let’s get out of hot water", "04-answered"),
		func() error { return w.command("demo", "break", "bad-release", "--data", w.data) }, // late, or a rule would be the first to say so
		w.when("", "05-it-breaks"),
		w.press("Show visitors the status page"), w.when("Visitors are looked after", "06-contained"),
		w.press("Tell people"), w.when("What happened", "07-diagnose"),
		func() error { return w.command("demo", "repair", "--data", w.data) },
		func() error { return w.open("/sites/shop/go-back") },
		func() error { return w.take(w.tab, "08-go-back") },
		func() error { return w.do(chromedp.SendKeys(chromedp.CSS("textarea"), "The release was taken back.")) },
		w.press("Go back"), w.when("", "09-going-back"),
		w.when("You’re back", "10-watching"),
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) rooms() error {
	for _, room := range [][2]string{{"/levers", "20-levers"}, {"/card", "21-card"}, {"/changes", "22-changes"}, {"/incidents", "23-incidents"}, {"/messages", "24-messages"}, {"/accounts", "25-accounts"}, {"/account", "26-account"}, {"/features", "28-features"}, {"/follow-ups", "29-follow-ups"}, {"/settings", "30-settings"}, {"/zones", "35-zones"}} {
		if err := w.open(room[0]); err != nil {
			return err
		}
		if err := w.take(w.tab, room[1]); err != nil {
			return err
		}
	}
	if err := w.statusPage(); err != nil {
		return err
	}
	if err := w.rows(); err != nil {
		return err
	}
	if err := w.open("/incidents"); err != nil {
		return err
	}
	id, err := w.read(`[...document.querySelectorAll("main li")].filter(l => !l.textContent.includes("DRILL"))[0].querySelector("a").getAttribute("href").split("/")[2]`)
	if err != nil {
		return err
	}
	for _, room := range [][2]string{{"", "30-timeline"}, {"/evidence", "31-evidence"}, {"/evidence/e1", "32-piece"}, {"/crew", "33-people"}, {"/write-up", "34-write-up"}} {
		if err := w.open("/incidents/" + id + room[0]); err != nil {
			return err
		}
		if err := w.take(w.tab, room[1]); err != nil {
			return err
		}
	}
	return nil
}

// rows finds the row that does harm, takes it away and puts it back.
func (w *walk) rows() error {
	for _, step := range []func() error{
		func() error { return w.command("demo", "break", "poison-row", "--data", w.data) },
		func() error { return w.open("/data") },
		func() error { return w.take(w.tab, "50-rows") },
		func() error { return w.do(chromedp.SendKeys(chromedp.CSS("input[name=page]"), "/")) },
		w.press("Find the row"), w.when("Found", "51-rows-found"),
		w.press("See what would leave"), w.when("Take 1 row out", "52-rows-plan"),
		func() error {
			return w.do(chromedp.SendKeys(chromedp.CSS("main input[name=text]"), "Product 9 breaks every page that lists it"))
		},
		w.press("Take these rows away"), w.when("Take 1 row out", "53-rows-away"),
		func() error { return w.open("/data") },
		func() error { return w.take(w.tab, "54-rows-held") },
		func() error { return w.do(chromedp.Click(chromedp.CSS(`main a[href^="/data/held/"]`))) },
		w.when("", "55-rows-back"),
		w.press("Put them back"), w.when("No row waits", "56-rows-are-back"),
		func() error { return w.command("demo", "repair", "--data", w.data) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// statusPage tells visitors of a fault, by way of the preview.
func (w *walk) statusPage() error {
	for _, step := range []func() error{
		func() error { return w.open("/status-page") },
		func() error { return w.take(w.tab, "40-status-page") },
		func() error { return w.open("/lifeboat/board-open") },
		func() error {
			return w.do(chromedp.SendKeys(chromedp.CSS("#title"), "Card payments fail"), chromedp.SendKeys(chromedp.CSS("#text"), "Some cards are declined. Orders that you have placed are safe."))
		},
		func() error { return w.take(w.tab, "41-status-page-tell") },
		w.press("Preview"), w.when("This is what visitors will see", "42-status-page-preview"),
		w.press("Publish"), w.when("Card payments fail", "43-status-page-incident"),
		func() error { return w.open("/lifeboat/board-plan") },
		func() error { return w.take(w.tab, "44-status-page-plan") },
		func() error { return w.open("/status-page/history") },
		func() error { return w.take(w.tab, "45-status-page-history") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(w.tab, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

func (w *walk) open(path string) error { return w.do(chromedp.Navigate(w.page + path)) }

func (w *walk) read(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(w.tab, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](expression))
}

// press presses the button with these words.
func (w *walk) press(words string) func() error {
	return func() error {
		err := w.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//button[starts-with(normalize-space(.), %q)]`, words))))
		if err != nil {
			return fmt.Errorf("press %q: %w", words, err)
		}
		return nil
	}
}

// when takes the picture once the headline begins like this, at most as long as somebody
// waits; without words, after two seconds of the page's own life.
func (w *walk) when(headline, name string) func() error {
	return func() error {
		if headline == "" {
			time.Sleep(2 * time.Second) // what happens meanwhile is what is to be seen
		} else if err := await(func() bool {
			now, err := w.read("document.querySelector('h1')?.textContent || ''")
			return err == nil && strings.HasPrefix(now, headline)
		}); err != nil {
			return fmt.Errorf("%s: %w", headline, err)
		}
		return w.take(w.tab, name)
	}
}

// command gives a command as whoever started the demo.
func (w *walk) command(args ...string) error {
	if said, err := exec.Command(w.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}
