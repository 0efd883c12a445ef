package demo

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"text/template"
)

// UsualData is the demo folder where none is named.
const UsualData = "./lifeboat-data"

// screenText is what a person sees first. Everything on it can be typed as it is.
const screenText = `A sample shop is open, and lifeboat stands around it.

  lifeboat's page   {{.Page}}
{{range .People}}  sign in as        {{printf "%-4s" .Name}} {{if .Password}}{{.Password}}{{else}}(with the password that you gave){{end}}   ({{.Role}})
{{end}}  or with           the token in {{.Token}}
  the shop          {{.Shop}}   (in a browser here: http://{{.Main}}/)

Ask the name server where visitors are sent, and go there yourself:

  {{.Dig}}
  curl -i --resolve {{.Host}}:{{.Port}}:{{.MainIP}} {{.Shop}}    # the shop
  curl -i --resolve {{.Host}}:{{.Port}}:{{.StandbyIP}} {{.Shop}}    # the standby
  curl -i --resolve "{{.Host}}:{{.Port}}:$({{.Dig}})" {{.Shop}}    # as a visitor

Break it and repair it on the page {{.Panel}}, or in another terminal:

  {{.Kill}}           # the shop's process dies
  {{.Hang}}           # it takes connections and never answers
  {{.BadRelease}}    # every page is an error

Then press "Show visitors the status page" on the page, and ask the name server
again. Find the cause, mend it with a fix that another person has read (sign in as
ada in one browser and as bob in another), and go back from the same page. Or mend
it by hand, whatever was done:

  {{.Repair}}

A whole crisis by itself, with its post-mortem: {{.Script}}

Rehearsed, so one press is enough: {{.Drills}}.
Waits are short on purpose: see {{.Config}}. What happens is in {{.Log}}.
^C ends all of it; the folder is kept and used again.
`

var screenTemplate = template.Must(template.New("screen").Parse(screenText))

// screen is the first screen.
func (b *boat) screen(drills []drill) string {
	var out strings.Builder
	port := fmt.Sprint(b.set.Port)
	err := screenTemplate.Execute(&out, map[string]any{
		"People": b.people, "Script": b.o.Command + " demo --script --case NAME (" + b.o.Command + " demo --list names them)", "Page": "http://" + b.at.HTTP + "/", "Token": near(b.tokenFile()), "Shop": "http://" + net.JoinHostPort(Host, port) + "/",
		"Main": net.JoinHostPort(mainIP, port), "Host": Host, "Port": port, "MainIP": mainIP, "StandbyIP": standbyIP,
		"Dig": digCommand(b.set.DNS), "Kill": b.typed("demo break kill"), "Hang": b.typed("demo break hang"), "BadRelease": b.typed("demo break bad-release"),
		"Repair": b.typed("demo repair"), "Panel": "http://" + b.panel + "/",
		"Drills": drillWords(drills), "Config": near(filepath.Join(b.o.Data, configName)), "Log": near(b.log.Name()),
	})
	if err != nil {
		return err.Error() + "\n" // the template is tested
	}
	return out.String()
}

// digCommand asks the demo's name server for the shop's address.
func digCommand(dns string) string {
	at, err := netip.ParseAddrPort(dns)
	if err != nil {
		return "dig +short " + Host
	}
	return fmt.Sprintf("dig +short @%s -p %d %s", at.Addr(), at.Port(), Host)
}

// drillWords lists rehearsals in one line.
func drillWords(drills []drill) string {
	words := make([]string, 0, len(drills))
	for _, d := range drills {
		words = append(words, fmt.Sprintf("%s (there in %d ms, back in %d ms)", d.Lever, d.ThereMS, d.BackMS))
	}
	return strings.Join(words, ", ")
}

// near is a path as a person in the working folder would write it.
func near(path string) string {
	here, err := filepath.Abs(".")
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}
