// Command screenshot takes the README's picture: lifeboat's page in the demo, while
// visitors are at the standby.
//
//	make run                        # in one terminal
//	go run ./scripts/screenshot     # in another; writes docs/img/page.png
//
// It breaks the demo's shop, pulls the lever, signs in as a person would, and mends
// the shop again. It needs Chromium, and is not part of any test.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

// The picture's width in pixels, and the most that a README should make people load.
const (
	width    = 1200
	height   = 940
	maxBytes = 300 << 10
)

func main() {
	data := flag.String("data", "lifeboat-data", "folder of the demo that runs")
	lifeboat := flag.String("lifeboat", "./bin/lifeboat", "the program")
	out := flag.String("out", "docs/img/page.png", "where the picture goes")
	flag.Parse()
	if err := run(*lifeboat, *data, *out); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		os.Exit(1)
	}
}

func run(lifeboat, data, out string) error {
	page, token, err := where(data)
	if err != nil {
		return fmt.Errorf("no demo runs on %s (start it with: make run): %w", data, err)
	}
	steps := [][]string{{"demo", "break", "kill", "--data", data}, {"pull", "to-standby", "--data", data}}
	for _, args := range steps {
		if text, err := exec.Command(lifeboat, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", lifeboat, strings.Join(args, " "), err, text)
		}
	}
	picture, err := take(page, token)
	if err != nil {
		return err
	}
	if err := check(picture); err != nil {
		return err
	}
	if err := os.WriteFile(out, picture, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d KB\n", out, len(picture)>>10)
	return exec.Command(lifeboat, "demo", "repair", "--data", data).Run()
}

// where says at which address the page is, and reads the first token.
func where(data string) (page, token string, err error) {
	text, err := os.ReadFile(filepath.Join(data, "serve.json"))
	if err != nil {
		return "", "", err
	}
	var at struct{ HTTP string }
	if err := json.Unmarshal(text, &at); err != nil {
		return "", "", err
	}
	secret, err := os.ReadFile(filepath.Join(data, "control", "admin.token"))
	return "http://" + at.HTTP + "/", strings.TrimSpace(string(secret)), err
}

// take signs in and takes the picture.
func take(page, token string) ([]byte, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(width, height))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx)
	defer stop()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		return nil, err
	}
	ctx, stop = context.WithTimeout(ctx, time.Minute) // the first step starts the browser, and must not carry it
	defer stop()
	field := chromedp.CSS("#token")
	if err := chromedp.Do(ctx,
		chromedp.Navigate(page),
		chromedp.WaitVisible(field),
		chromedp.SendKeys(field, token),
		chromedp.Submit(field),
		chromedp.WaitVisible(chromedp.CSS("ol.steps")),
	); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

func check(picture []byte) error {
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	switch {
	case err != nil:
		return err
	case config.Width != width:
		return fmt.Errorf("the picture is %d pixels wide, not %d", config.Width, width)
	case len(picture) > maxBytes:
		return fmt.Errorf("the picture has %d KB; at most %d fit", len(picture)>>10, maxBytes>>10)
	}
	return nil
}
