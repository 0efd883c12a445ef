// Command screenshot takes the README's picture: lifeboat's page in the demo, just
// after somebody got visitors to safety.
//
//	make run                        # in one terminal, on a fresh folder
//	go run ./scripts/screenshot     # in another; writes docs/img/page.png
//
// It breaks the demo's shop with a bad release and pulls the lever, as a reporter may.
// Then it signs in with an account, as a person would, takes the picture and mends the
// shop again. It needs Chromium, and is not part of any test.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

// The picture's width in pixels, and the most that a README should make people load.
const (
	width    = 1200
	height   = 1100
	maxBytes = 150 << 10
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
	page, password, err := where(data)
	if err != nil {
		return fmt.Errorf("no demo runs on %s (start it with: make run): %w", data, err)
	}
	b := boat{program: lifeboat, data: data, page: page}
	if err := b.crisis(); err != nil {
		return err
	}
	picture, err := take(page, password)
	if err != nil {
		return err
	}
	if picture, err = small(picture); err != nil {
		return err
	}
	if err := os.WriteFile(out, picture, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d KB\n", out, len(picture)>>10)
	_, err = b.local("demo", "repair")
	return err
}

// who is the account that signs in; the demo makes it.
const who = "ada"

// where says at which address the page is, and reads the account's password.
func where(data string) (page, password string, err error) {
	var at struct{ HTTP string }
	if err := read(filepath.Join(data, "serve.json"), &at); err != nil {
		return "", "", err
	}
	people := map[string]string{}
	if err := read(filepath.Join(data, "people.json"), &people); err != nil {
		return "", "", err
	}
	if people[who] == "" {
		return "", "", fmt.Errorf("people.json has no password of %s", who)
	}
	return "http://" + at.HTTP + "/", people[who], nil
}

func read(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// boat gives commands to the demo.
type boat struct{ program, data, page string }

// local gives a command as the account that started the demo.
func (b boat) local(args ...string) (string, error) {
	return output(exec.Command(b.program, append(args, "--data", b.data)...))
}

// as gives a command as whoever has the token.
func (b boat) as(token string, args ...string) (string, error) {
	cmd := exec.Command(b.program, args...)
	cmd.Env = append(os.Environ(), "LIFEBOAT_SERVER="+strings.TrimSuffix(b.page, "/"), "LIFEBOAT_TOKEN="+token)
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errs)
	}
	return strings.TrimSpace(out.String()), nil
}

// crisis breaks the shop and gets visitors to safety.
func (b boat) crisis() error {
	eve, err := b.local("token", "create", "Eve", "--role", "reporter")
	if err != nil {
		return err
	}
	if _, err := b.local("demo", "break", "bad-release"); err != nil {
		return err
	}
	if err := b.await("proposed", "levers"); err != nil {
		return err
	}
	_, err = b.as(eve, "pull", "to-standby")
	return err
}

// await looks until a command's output has the text.
func (b boat) await(text string, command ...string) error {
	var out string
	var err error
	for range 100 {
		if out, err = b.local(command...); err != nil || strings.Contains(out, text) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s never said %q:\n%s", strings.Join(command, " "), text, out)
}

// take signs in and takes the picture.
func take(page, password string) ([]byte, error) {
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
	name, secret := chromedp.CSS("#name"), chromedp.CSS("#password")
	if err := chromedp.Do(ctx,
		chromedp.Navigate(page),
		chromedp.WaitVisible(name),
		chromedp.SendKeys(name, who),
		chromedp.SendKeys(secret, password),
		chromedp.Submit(secret),
		chromedp.WaitVisible(chromedp.CSS("ol.steps")),
	); err != nil {
		return nil, err
	}
	return chromedp.Run(ctx, chromedp.CaptureScreenshot())
}

// small keeps the 256 colours that are used most, which a page of text does not miss, and
// holds the picture to its bounds.
func small(picture []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	if w := img.Bounds().Dx(); w != width {
		return nil, fmt.Errorf("the picture is %d pixels wide, not %d", w, width)
	}
	few := image.NewPaletted(img.Bounds(), mostUsed(img, 256))
	draw.Draw(few, few.Bounds(), img, img.Bounds().Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		return nil, err
	}
	if out.Len() > maxBytes {
		return nil, fmt.Errorf("the picture has %d KB; at most %d fit", out.Len()>>10, maxBytes>>10)
	}
	return out.Bytes(), nil
}

// mostUsed gives the n colours with the most pixels.
func mostUsed(img image.Image, n int) color.Palette {
	pixels := map[color.Color]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			pixels[img.At(x, y)]++
		}
	}
	colours := slices.Collect(maps.Keys(pixels))
	slices.SortFunc(colours, func(a, b color.Color) int { return pixels[b] - pixels[a] })
	return colours[:min(n, len(colours))]
}
