package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/config"
	"lifeboat/internal/probe"
)

// setting is a line of the room of settings: what it is called in the configuration,
// what it says in plain words, and how it is now.
type setting struct{ Name, Says, Value string }

// settingGroup is a site, or what is not of one site.
type settingGroup struct {
	Title string
	Lines []setting
}

// settings is the room of what is configured. It is read there, and changed in the file:
// what a company relies on at night is worth a review by day.
func (s *server) settings(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	c := s.o.Config
	if c == nil {
		c = &config.Config{}
	}
	p := s.room(who, o, "/settings", "What is configured.", "All waits and counts, as they are in force. They are changed in "+orElse(c.File, "the configuration file")+", by whoever looks after lifeboat’s machine.")
	groups := []settingGroup{everybodys(c)}
	for _, site := range c.Sites {
		groups = append(groups, ofSite(site))
	}
	p.Body = groups
	s.show(w, http.StatusOK, "settings.html", p)
}

// everybodys are the settings that are not of one site. Secrets, and the files that hold
// them, are not shown.
func everybodys(c *config.Config) settingGroup {
	g := settingGroup{Title: "For all sites"}
	var servers, zones, channels, databases []string
	for _, n := range c.Nameservers {
		servers = append(servers, strings.TrimSuffix(n.Name, ".")+" at "+n.Address.String())
	}
	for _, z := range c.Zones {
		zones = append(zones, fmt.Sprintf("%s (TTL %d s)", strings.TrimSuffix(z.Apex, "."), z.TTL))
	}
	for _, ch := range c.Channels {
		channels = append(channels, ch.Name+" ("+strings.Join(ch.Tells, ", ")+")")
	}
	for _, d := range c.Databases {
		databases = append(databases, d.Name)
	}
	certificates := "none: the standby speaks no HTTPS of its own"
	switch {
	case c.Certificates != nil && c.Certificates.Directory != "":
		certificates = "asked of " + c.Certificates.Directory
	case c.Certificates != nil:
		certificates = "from files"
	}
	signIn := "lifeboat’s own accounts"
	if c.SignIn != nil {
		signIn += ", and the company’s own sign-in"
	}
	g.Lines = []setting{
		{"console.url", "Where people reach these pages", orElse(c.ConsoleURL, "by address")},
		{"sign_in", "How people sign in", signIn},
		{"nameservers", "Name servers that are asked what is really answered", list(servers)},
		{"zones", "Zones that lifeboat serves", list(zones)},
		{"channels", "Who is told", list(channels)},
		{"certificates", "Certificates of the standby", certificates},
		{"databases", "Where rows can be taken away", list(databases)},
	}
	return g
}

// ofSite are the settings of one site.
func ofSite(s config.Site) settingGroup {
	g := settingGroup{Title: s.Title}
	add := func(name, says, format string, args ...any) {
		g.Lines = append(g.Lines, setting{name, says, fmt.Sprintf(format, args...)})
	}
	add("names", "What visitors type", "%s", list(s.Names))
	for _, o := range s.Origins {
		says := "A place that runs the site"
		if o.Name == s.Home {
			says = "Home: where visitors belong"
		}
		add("origins."+o.Name, says, "%s", orElse(strings.TrimSuffix(o.Alias, "."), list(addresses(o.Addresses))))
	}
	add("standby", "Where the status page is", "%s", list(addresses(s.Standby)))
	for _, c := range s.Checks {
		add("checks."+c.Name, "Asked from outside", "%s", checkWords(c))
	}
	add("failover", "When a site is seen down", "%s", map[string]string{"auto": "lifeboat moves visitors by itself", "propose": "lifeboat proposes, a person presses", "off": "nothing is proposed"}[s.Failover])
	add("sanity", "Before visitors return", "every check passes %d times in a row, %s apart", s.Sanity.Passes, wait(s.Sanity.Apart))
	add("go_back", "How visitors come back", "%s", stages(s.GoBack))
	for _, l := range []struct {
		name, says string
		d          time.Duration
	}{
		{"take_back", "A lever may be taken back freely for", s.TakeBack}, {"watch", "Watched after the return for", s.Watch}, {"armed_for", "A rehearsal keeps a lever armed for", s.ArmedFor},
		{"settle", "After an automatic move nothing automatic moves for", s.Settle}, {"auto_gap", "At most one automatic failover in", s.AutoGap}, {"silence", "The answer process acts by itself when control is silent for", s.Silence},
		{"fixes.approval", "Another person is waited for before a fix", s.Fixes.Approval}, {"fixes.pause", "Alone, one reads a fix again for", s.Fixes.Pause}, {"fixes.apart", "Two fixes closer together ask to stop", s.Fixes.Apart},
		{"update_every", "Visitors get news every", s.UpdateEvery}, {"stuck", "Help is offered when there is no news for", s.Stuck}, {"look_again", "Looked whether a lever still holds every", s.LookAgain},
		{"look_back", "Changes are shown from before the first symptom by", s.LookBack},
	} {
		add(l.name, l.says, "%s", wait(l.d))
	}
	return g
}

func stages(g config.GoBack) string {
	if len(g.Stages) == 0 {
		return "all at once"
	}
	var shares []string
	for _, n := range g.Stages {
		shares = append(shares, fmt.Sprintf("%d %%", n))
	}
	return strings.Join(shares, ", ") + ", everybody; each is watched for " + wait(g.Hold)
}

func checkWords(c probe.Check) string {
	return fmt.Sprintf("every %s, for at most %s; down after %s, up after %s", wait(c.Every), wait(c.Timeout), times(c.DownAfter), times(c.UpAfter))
}

func times(n int) string {
	if n == 1 {
		return "1 time"
	}
	return fmt.Sprintf("%d times", n)
}

// wait writes a setting's time without the parts that are nothing: 15m, 720h, 1.5s.
func wait(d time.Duration) string {
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if !strings.HasSuffix(text, "m") {
		return d.String()
	}
	if short, whole := strings.CutSuffix(text, "h0m"); whole {
		return short + "h"
	}
	return text
}

func addresses(all []netip.Addr) (out []string) {
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

func list(all []string) string { return orElse(strings.Join(all, ", "), "none") }
