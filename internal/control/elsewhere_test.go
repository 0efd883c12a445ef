package control

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// What the configuration makes of each example is what its driver reads.
func TestExamplesOpen(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/howto/close-a-feature-elsewhere.md")
	if err != nil {
		t.Fatal(err)
	}
	const rest = "\nsites: {shop: {names: [shop.example.com], origins: {main: {address: 203.0.113.10}}, standby: {address: 198.51.100.7}}}\n"
	texts := []string{regexp.MustCompile(`(?m)^ *file: .*$`).ReplaceAllString(regexp.MustCompile(`(?m)^( *)# ( *[a-z_-]+:( .*)?)$`).ReplaceAllString(string(config.Example()), "$1$2"), "")}
	for _, block := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		texts = append(texts, text+rest)
	}
	table := elsewhere(Options{Now: time.Now})
	ended, cancel := context.WithCancel(t.Context())
	cancel() // no address of an example is asked
	seen := map[string]int{}
	for _, text := range texts {
		cfg, err := config.Parse("example.yaml", []byte(text))
		if err != nil {
			t.Errorf("%v\nin:\n%s", err, text)
			continue
		}
		for _, c := range cfg.Levers {
			d, is := table[c.Kind]
			if !is {
				continue
			}
			seen[c.Kind]++
			if _, err := d.Plan(ended, lever.Request{Card: c, Now: time.Now()}); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s: %v", c.Name, err)
			}
			_, shadow := d.(lever.Shadowed)
			if want := strings.Contains(string(c.Config), `"drill":"`); !shadow || d.(lever.Shadowed).HasShadow(c) != want {
				t.Errorf("%s: a shadow is told wrongly", c.Name)
			}
			if c.To == "" || c.Site == "" {
				t.Errorf("%s: %+v", c.Name, c)
			}
		}
	}
	for kind := range table {
		if seen[kind] < 2 {
			t.Errorf("%d examples of kind %s", seen[kind], kind)
		}
	}
}
