package certs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Seen is what came of a look.
type Seen string

// What comes of a look.
const (
	NotLooked Seen = "not looked at"
	Good      Seen = "good"
	Bad       Seen = "bad"
)

// Glance is one look.
type Glance struct {
	Seen   Seen   `json:"seen" enum:"not looked at,good,bad"`
	Detail string `json:"detail,omitempty" doc:"what is wrong, or why it was not looked at"`
}

// Facts are all that is known of a name: what is held, and what was seen.
type Facts struct {
	Site, Name string

	Held      *Held  // the certificate that is served for it; nil: none
	Chain     string // why it does not lead to a trusted root; "": it does
	Managed   bool   // the authority is asked for it
	Failing   string // what the last try to renew came to; "": it did not fail
	Failures  int    // in a row
	Rehearsed Glance // was the standby rehearsed

	Here    Glance // served by name at answer's own address
	Outside Glance // served by name where visitors will meet it

	CAASeen Glance
	CAA     CAA
	Asking  Asking // who would ask for the next certificate

	HeadersSeen Glance // of production's answer
	HSTS        HSTS
	AltSvc      time.Duration // how long browsers may keep another way to production; 0: none is told of

	Below []string // names below it that move with a site and have no certificate

	ServiceSeen Glance
	Services    []Service
	Standby     []string // the standby's addresses
}

// HSTS is what production tells browsers about HTTPS (RFC 6797).
type HSTS struct {
	MaxAge     time.Duration
	Subdomains bool
}

// Lack is one thing that keeps a name from being ready.
type Lack struct {
	Severity string `json:"severity" enum:"problem,warning,note"`
	Code     string `json:"code" doc:"the same in every version"`
	Text     string `json:"text" doc:"plain sentences"`
	Next     string `json:"next,omitempty" doc:"the next step"`
	Costs    int    `json:"costs" doc:"what it takes from the readiness of 100"`
}

// The severities.
const (
	ProblemFound = "problem"
	Warning      = "warning"
	Note         = "note" // not known, or worth knowing
)

// Readiness says how ready a name is for the standby to answer for it.
type Readiness struct {
	Site     string    `json:"site"`
	Name     string    `json:"name"`
	Score    int       `json:"score" doc:"0 to 100; below 60 visitors would be hurt"`
	Days     int       `json:"days" doc:"whole days that the certificate is good for; 0 without one"`
	Left     float64   `json:"left" doc:"how much of its lifetime is left, 0 to 1"`
	Key      string    `json:"key,omitempty"`
	Source   string    `json:"source,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Here     Glance    `json:"here" doc:"served by name at the answer process's own address"`
	Outside  Glance    `json:"outside" doc:"served by name where visitors will meet it"`
	Findings []Lack    `json:"findings"`
}

// Ready weighs what is known of a name. It is pure.
func Ready(f Facts, now time.Time) Readiness {
	r := Readiness{Site: f.Site, Name: f.Name, Here: f.Here, Outside: f.Outside, Findings: []Lack{}}
	if h := f.Held; h != nil {
		r.Key, r.Source, r.Until = h.Kind, h.Source, h.Until
		r.Left = min(max(h.Left(now), 0), 1)
		r.Days = max(int(h.Until.Sub(now)/(24*time.Hour)), 0)
	}
	w := &weighing{f: f, now: now, r: &r}
	w.certificate()
	w.renewal()
	w.served()
	w.permitted()
	w.clinging()
	r.Score = 100
	for _, x := range r.Findings {
		r.Score -= x.Costs
	}
	r.Score = max(r.Score, 0)
	return r
}

// weighing gathers findings.
type weighing struct {
	f   Facts
	now time.Time
	r   *Readiness
}

func (w *weighing) add(severity, code string, costs int, next, format string, args ...any) {
	w.r.Findings = append(w.r.Findings, Lack{Severity: severity, Code: code, Text: fmt.Sprintf(format, args...), Next: next, Costs: costs})
}

// strict adds what it means that browsers were told to insist on HTTPS.
func (w *weighing) strict() string {
	if w.f.HSTS.MaxAge > 0 {
		return " Browsers were told to insist on HTTPS here (HSTS), so no visitor can pass the warning."
	}
	return ""
}

// certificate weighs what is held.
func (w *weighing) certificate() {
	h := w.f.Held
	if h == nil {
		next := "Add certificates: to the configuration, or bring one: lifeboat certs import CERTIFICATE KEY"
		if w.f.Managed {
			next = "See why with: lifeboat certs. Try again with: lifeboat certs renew " + w.f.Site
		}
		w.add(ProblemFound, "certificate", 100, next, "There is no certificate for %s: in a crisis every visitor meets a browser's warning.%s", w.f.Name, w.strict())
		return
	}
	if why := Over(h.From, h.Until, w.now); why != "" {
		w.add(ProblemFound, "certificate", 100, w.renewNext(), "The certificate for %s can't be used: %s. It is served all the same.%s", w.f.Name, why, w.strict())
		return
	}
	if w.f.Chain != "" {
		w.add(ProblemFound, "chain", 80, "Bring the leaf together with what leads to its root, or name the root under certificates: {roots: FILE}.", "The certificate for %s leads to no root that is trusted: %s.%s", w.f.Name, w.f.Chain, w.strict())
	}
	if h.Kind != ECDSA {
		w.add(Warning, "key", 5, "Have one made with a key of ECDSA P-256.", "The certificate for %s has a key of kind %s: each new visitor costs about three times as much, when all come at once.", w.f.Name, h.Kind)
	}
}

func (w *weighing) renewNext() string {
	if w.f.Held != nil && w.f.Held.Source != FromAuthority && !w.f.Managed {
		return "Bring a new one: it is read again as soon as the files change, or with lifeboat certs import."
	}
	return "See why with: lifeboat certs. Try again with: lifeboat certs renew " + w.f.Site
}

// renewal weighs how much time there is.
func (w *weighing) renewal() {
	h := w.f.Held
	if h == nil || !h.Until.After(w.now) {
		return
	}
	because := ""
	if w.f.Failing != "" {
		because = fmt.Sprintf(" Renewing it failed %s: %s.", times(w.f.Failures), strings.TrimSuffix(w.f.Failing, "."))
	}
	left := span(h.Until.Sub(w.now))
	switch {
	case h.below(pageLeft, w.now):
		w.add(ProblemFound, "renewal", 50, w.renewNext(), "The certificate for %s is good for %s more, less than an eighth of its time.%s", w.f.Name, left, because)
	case h.below(warnLeft, w.now):
		w.add(Warning, "renewal", 25, w.renewNext(), "The certificate for %s is good for %s more, less than a quarter of its time.%s", w.f.Name, left, because)
	case because != "":
		w.add(Warning, "renewal", 10, w.renewNext(), "The certificate for %s is good for %s more.%s", w.f.Name, left, because)
	}
}

// served weighs whether visitors get it.
func (w *weighing) served() {
	if w.f.Held == nil {
		return
	}
	switch w.f.Here.Seen {
	case Bad:
		w.add(ProblemFound, "served-here", 50, "See whether the answer process takes the snapshot: lifeboat answer status", "The answer process does not serve %s as it should: %s.", w.f.Name, w.f.Here.Detail)
	case Good:
	default:
		w.add(Note, "served-here", 5, "", "Whether the answer process serves %s was not looked at%s.", w.f.Name, reason(w.f.Here))
	}
	switch w.f.Outside.Seen {
	case Bad:
		w.add(ProblemFound, "served-outside", 40, "See that the standby's address leads to this machine's HTTPS port.", "Where visitors will meet it, %s is not served as it should: %s.", w.f.Name, w.f.Outside.Detail)
	case Good:
	default:
		w.add(Note, "served-outside", 5, "", "Whether %s is served to the outside was not looked at%s.", w.f.Name, reason(w.f.Outside))
	}
	if w.f.Rehearsed.Seen == Bad {
		w.add(Warning, "rehearsed", 15, "Rehearse it with: lifeboat drill LEVER", "No visitor of %s was ever sent to the standby, not even in a drill%s.", w.f.Name, reason(w.f.Rehearsed))
	}
}

func reason(s Glance) string {
	if s.Detail == "" {
		return ""
	}
	return ": " + s.Detail
}

// permitted weighs who may make the next certificate.
func (w *weighing) permitted() {
	if !w.f.Managed {
		return
	}
	if w.f.CAASeen.Seen != Good {
		w.add(Note, "caa", 5, "", "Whether CAA records let a certificate for %s be made was not looked at%s.", w.f.Name, reason(w.f.CAASeen))
		return
	}
	if len(w.f.CAA.Records) > 0 && len(w.f.Asking.Names) == 0 {
		w.add(Note, "caa", 5, "Write under certificates what the authority is called: caa: [ca.example.net]", "There are CAA records for %s, and the authority does not say what it is called in them.", w.f.Name)
		return
	}
	if why := w.f.CAA.Refuses(w.f.Name, w.f.Asking); why != "" {
		next := "Allow the standby, too: " + strings.TrimSuffix(w.f.CAA.At, ".") + `. CAA 0 issue "` + strings.Join(append(w.f.Asking.Names[:1:1], account(w.f.Asking)...), "; ") + `"`
		w.add(ProblemFound, "caa", 40, next, "No certificate for %s can be made for the standby: %s.", w.f.Name, why)
	}
}

// account is the parameter that names an account.
func account(a Asking) []string {
	if a.Account == "" {
		return nil
	}
	return []string{"accounturi=" + a.Account}
}

// longAltSvc is from when on another way to production is worth a word.
const longAltSvc = time.Minute

// clinging weighs what keeps browsers at production although the name has moved.
func (w *weighing) clinging() {
	if w.f.HeadersSeen.Seen != Good {
		w.add(Note, "headers", 3, "", "What production of %s tells browsers (HSTS, Alt-Svc) was not looked at%s.", w.f.Name, reason(w.f.HeadersSeen))
	}
	if w.f.HSTS.MaxAge > 0 && w.f.HSTS.Subdomains && len(w.f.Below) > 0 {
		w.add(ProblemFound, "hsts-subdomains", 20, "Add them to names: of a site, so that they get a certificate.",
			"Production of %s has browsers insist on HTTPS for every name below it (HSTS, includeSubDomains), and these move without a certificate: %s.", w.f.Name, list(w.f.Below))
	}
	if w.f.AltSvc >= longAltSvc {
		w.add(Warning, "alt-svc", 5, "Have production say a shorter ma, or none.",
			"Production of %s tells browsers of another way to it for %s (Alt-Svc): those that took it may go on asking there after the name has moved.", w.f.Name, span(w.f.AltSvc))
	}
	w.services()
}

// services weighs HTTPS records.
func (w *weighing) services() {
	if w.f.ServiceSeen.Seen != Good {
		w.add(Note, "https-record", 2, "", "Whether %s has HTTPS records was not looked at%s.", w.f.Name, reason(w.f.ServiceSeen))
	}
	var stay []string
	ech := false
	for _, s := range w.f.Services {
		ech = ech || s.ECH
		for _, hint := range s.Hints {
			if !slices.Contains(w.f.Standby, hint) && !slices.Contains(stay, hint) {
				stay = append(stay, hint)
			}
		}
	}
	if ech {
		w.add(ProblemFound, "ech", 30, "Remove ech= from the HTTPS record, or move the record with the name; lower its TTL now.",
			"The HTTPS record of %s promises encrypted ClientHello (ech): browsers that used it ask the standby for another name, for which nobody here has a certificate.", w.f.Name)
	}
	if len(stay) > 0 {
		w.add(Warning, "hints", 10, "Remove ipv4hint and ipv6hint from the HTTPS record: browsers ask for addresses anyway.",
			"The HTTPS record of %s carries addresses that do not move with it: %s. Browsers may go on asking there.", w.f.Name, list(stay))
	}
}

// maxNamed are as many things as a sentence lists.
const maxNamed = 10

func list(names []string) string {
	if n := len(names) - maxNamed; n > 0 {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}

func times(n int) string {
	switch n {
	case 0, 1:
		return "once"
	case 2:
		return "twice"
	}
	return strconv.Itoa(n) + " times"
}

// span says a time as people do.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return "less than two minutes"
}

// ParseHSTS reads a Strict-Transport-Security header (RFC 6797 section 6.1).
func ParseHSTS(text string) (h HSTS) {
	for part := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "max-age":
			h.MaxAge = seconds(value)
		case "includesubdomains":
			h.Subdomains = true
		}
	}
	return h
}

// ParseAltSvc reads for how long an Alt-Svc header may be kept at the longest (RFC 7838
// section 3): 24 hours where it does not say.
func ParseAltSvc(text string) (longest time.Duration) {
	if text = strings.TrimSpace(text); text == "" || strings.EqualFold(text, "clear") {
		return 0
	}
	for service := range strings.SplitSeq(text, ",") {
		if !strings.Contains(service, "=") {
			continue
		}
		age := 24 * time.Hour
		for part := range strings.SplitSeq(service, ";") {
			if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); strings.EqualFold(strings.TrimSpace(key), "ma") {
				age = seconds(value)
			}
		}
		longest = max(longest, age)
	}
	return longest
}

// seconds reads a number of them, at most ten years.
func seconds(text string) time.Duration {
	const most = 10 * 366 * 24 * 3600
	n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(text), `"`), 10, 63)
	if err != nil && n == 0 {
		return 0
	}
	return time.Duration(min(n, most)) * time.Second
}
