package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"

	"lifeboat/internal/catalogue"
)

// spoken are the scenes that are taken in every language: the way through a crisis, and
// the pages with the most words in the least room.
var spoken = []string{
	"quiet-up", "declared", "answered", "applying", "contained", "stays", "diagnose", "diagnosed", "review", "fix", "fix-asked", "measuring", "no-effect",
	"return", "return-stage", "watch", "stale", "refused-typed", "drill", "sign-in", "levers", "settings", "status-page", "write-up",
}

// foreign are the lights of the other languages: long words break a phone first.
var foreign = []light{
	{"phone-light", 360, 740, "light", "none"}, {"desk-light", 1440, 900, "light", "none"}, {"phone-forced", 360, 740, "dark", "active"},
}

// tongues takes the spoken scenes in each language but English, and in nobody's, which is
// written from right to left. Forced colours come last: a browser keeps some of them.
func (s *studio) tongues(tab context.Context, dir, only string) error {
	all := []*catalogue.Tongue{catalogue.Marked()}
	for _, tag := range catalogue.Tags()[1:] {
		all = append(all, catalogue.In(tag))
	}
	scenes := slices.DeleteFunc(slices.Clone(spoken), func(name string) bool {
		return only != "" && !slices.Contains(strings.Split(only, ","), name)
	})
	for _, forced := range []string{"none", "active"} {
		for _, t := range all {
			out := &studio{out: filepath.Join(s.out, t.Tag)}
			out.lights = slices.DeleteFunc(slices.Clone(foreign), func(l light) bool { return l.forced != forced })
			if err := out.saidAll(tab, t, dir, scenes); err != nil {
				return err
			}
		}
	}
	return nil
}

// saidAll takes scenes in a language, and lists them once.
func (s *studio) saidAll(tab context.Context, t *catalogue.Tongue, dir string, scenes []string) error {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	for _, name := range scenes {
		if err := s.said(tab, t, dir, name); err != nil {
			return err
		}
	}
	s.lights = foreign
	return s.index()
}

// said takes one scene in a language.
func (s *studio) said(tab context.Context, t *catalogue.Tongue, dir, name string) error {
	page, err := os.ReadFile(filepath.Join(dir, name+".html"))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, name+"."+t.Tag+".htm")
	if err := os.WriteFile(file, t.HTML(page), 0o644); err != nil {
		return err
	}
	if err := chromedp.Do(tab, chromedp.Navigate("file://"+file)); err != nil {
		return err
	}
	return s.take(tab, name)
}
