// Command screenshots takes a picture of every moment of the loop and of every room, on
// a phone and on a desk, by day and by night, and writes an index.html that shows them
// side by side.
//
//	go run ./scripts/screenshots -out screens            # all of it; make screenshots
//	go run ./scripts/screenshots -only contained,watch   # some scenes, without the demo
//
// The moments come from two places. The demo is the real program, in which a person's
// browser walks through a whole crisis. The scenes are those of the pages' own tests
// (internal/web), for what cannot be brought about in half a minute: a record that was
// changed, nothing new for half an hour, the third fix. The main ones are taken in every
// other language, too, in a folder of its own, in the colours that a reader forces on all
// pages, and written from right to left (tongues.go). It needs Chromium and Go, and is not
// part of any test.
package main

import (
	"context"
	"flag"
	"fmt"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// light is a size and a time of day that a page is seen in.
type light struct {
	Name          string
	width, height int64
	scheme        string
	forced        string // active: the reader's own colours
}

var lights = []light{
	{"phone-light", 360, 740, "light", "none"}, {"phone-dark", 360, 740, "dark", "none"},
	{"desk-light", 1440, 900, "light", "none"}, {"desk-dark", 1440, 900, "dark", "none"},
}

// studio takes pictures into a folder.
type studio struct {
	out    string
	lights []light
	names  []string // in the order in which they were taken
}

func main() {
	out := flag.String("out", "screens", "folder for the pictures")
	only := flag.String("only", "", "names of scenes, with commas: these alone, and no demo")
	program := flag.String("lifeboat", "./bin/lifeboat", "the program")
	flag.Parse()
	if err := run(*out, *program, *only); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(out, program, only string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	tab, stop, err := openTab()
	if err != nil {
		return err
	}
	defer stop()
	s := &studio{out: out, lights: lights}
	if only == "" {
		if err := s.demo(tab, program); err != nil {
			return fmt.Errorf("the demo: %w", err)
		}
	}
	if err := s.scenes(tab, only); err != nil {
		return fmt.Errorf("the scenes: %w", err)
	}
	return s.index()
}

func openTab() (context.Context, func(), error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stopBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopTab := chromedp.NewContext(ctx)
	stop := func() {
		_ = chromedp.Cancel(ctx)
		stopTab()
		stopBrowser()
	}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // the first step starts the browser
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
}

// take takes the page that is open, in every light.
func (s *studio) take(tab context.Context, name string) error {
	for _, l := range s.lights {
		ctx, cancel := context.WithTimeout(tab, time.Minute)
		err := chromedp.Do(ctx, chromedp.EmulateViewport(l.width, l.height), colours(l))
		var picture []byte
		if err == nil {
			picture, err = chromedp.Run(ctx, chromedp.CaptureScreenshot())
		}
		cancel()
		if err == nil {
			err = os.WriteFile(filepath.Join(s.out, name+"-"+l.Name+".png"), picture, 0o644)
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, l.Name, err)
		}
	}
	s.names = append(s.names, name)
	return nil
}

func colours(l light) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "forced-colors", Value: l.forced}},
		})
		return err
	})
}

// scenes are the pages that the tests play.
func (s *studio) scenes(tab context.Context, only string) error {
	dir, err := os.MkdirTemp("", "scenes")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	play := exec.Command("go", "test", "-count=1", "-run", "TestScenesOut", "./internal/web")
	play.Env = append(os.Environ(), "LIFEBOAT_SCENES="+dir)
	if said, err := play.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil {
		return err
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		if only != "" && !slices.Contains(strings.Split(only, ","), name) {
			continue
		}
		if err := chromedp.Do(tab, chromedp.Navigate("file://"+file)); err != nil {
			return err
		}
		if err := s.take(tab, "scene-"+name); err != nil {
			return err
		}
	}
	return s.tongues(tab, dir, only)
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Every moment</title>
<style>body{font:16px system-ui;margin:24px;background:#888}section{margin-bottom:48px}div{display:flex;gap:16px;align-items:flex-start;overflow-x:auto}img{height:600px;width:auto;background:#fff}</style>
{{range $n := .Names}}<section id="{{$n}}"><h2><a href="#{{$n}}">{{$n}}</a></h2><div>{{range $.Lights}}<a href="{{$n}}-{{.Name}}.png"><img loading="lazy" src="{{$n}}-{{.Name}}.png" alt="{{$n}}, {{.Name}}"></a>{{end}}</div></section>
{{end}}`))

func (s *studio) index() error {
	f, err := os.Create(filepath.Join(s.out, "index.html"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fmt.Printf("%d pages in %d lights: %s\n", len(s.names), len(s.lights), f.Name())
	return page.Execute(f, struct {
		Names  []string
		Lights []light
	}{s.names, s.lights})
}
