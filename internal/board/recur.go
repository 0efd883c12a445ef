package board

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// Every says when something recurs, by the clock on a wall: "daily 03:00",
// "sunday 02:00", "first sunday 02:00" or "15 02:00" (of each month).
type Every struct {
	Weekday time.Weekday // of the kinds week and month by weekday
	Nth     int          // 1 to 4: which such day of the month
	Day     int          // 1 to 28: which day of the month
	Daily   bool
	Clock   time.Duration // since midnight
}

var nth = []string{"", "first", "second", "third", "fourth"}

// ParseEvery reads what Every says.
func ParseEvery(text string) (Every, error) {
	wrong := fault.New(fault.Invalid, "%q does not say when it recurs", short(text)).WithHint(`write "daily 03:00", "sunday 02:00", "first sunday 02:00" or "15 02:00" for the 15th of each month`)
	fields := strings.Fields(strings.ToLower(text))
	if len(text) > 60 || len(fields) < 2 || len(fields) > 3 {
		return Every{}, wrong
	}
	clock, err := time.Parse("15:04", fields[len(fields)-1])
	if err != nil {
		return Every{}, wrong
	}
	e := Every{Clock: time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute}
	day := fields[len(fields)-2]
	if len(fields) == 3 {
		for i, word := range nth {
			if i > 0 && word == fields[0] {
				e.Nth = i
			}
		}
		if e.Nth == 0 {
			return Every{}, wrong
		}
	}
	if number, err := strconv.Atoi(day); err == nil && number >= 1 && number <= 28 && e.Nth == 0 {
		e.Day = number
		return e, nil
	}
	if day == "daily" && e.Nth == 0 {
		e.Daily = true
		return e, nil
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.ToLower(d.String()) == day {
			e.Weekday = d
			return e, nil
		}
	}
	return Every{}, wrong
}

// String is what ParseEvery reads.
func (e Every) String() string {
	clock := fmt.Sprintf("%02d:%02d", int(e.Clock.Hours()), int(e.Clock.Minutes())%60)
	switch {
	case e.Daily:
		return "daily " + clock
	case e.Day > 0:
		return strconv.Itoa(e.Day) + " " + clock
	case e.Nth > 0:
		return nth[e.Nth] + " " + strings.ToLower(e.Weekday.String()) + " " + clock
	}
	return strings.ToLower(e.Weekday.String()) + " " + clock
}

// Next is the first time after t, on the clock of a zone. Where the clock leaves that
// hour out it is as much later.
func (e Every) Next(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	for i := 0; i <= 62; i++ {
		day := time.Date(local.Year(), local.Month(), local.Day()+i, 0, 0, 0, 0, zone)
		at := time.Date(day.Year(), day.Month(), day.Day(), int(e.Clock.Hours()), int(e.Clock.Minutes())%60, 0, 0, zone)
		if e.on(time.Date(local.Year(), local.Month(), local.Day()+i, 12, 0, 0, 0, zone)) && at.After(t) {
			return at.UTC()
		}
	}
	return time.Time{}
}

func (e Every) on(day time.Time) bool {
	switch {
	case e.Daily:
		return true
	case e.Day > 0:
		return day.Day() == e.Day
	case e.Nth > 0:
		return day.Weekday() == e.Weekday && (day.Day()-1)/7+1 == e.Nth
	}
	return day.Weekday() == e.Weekday
}

// Rule is work that recurs.
type Rule struct {
	ID         string
	Title      Text
	Text       Text
	Every      Every
	Lasts      time.Duration
	Announce   time.Duration // how long ahead each is announced
	Components []string
}

// Due are the commands that announce what the rules say is to be announced now.
func Due(rules []Rule, r Records, zone *time.Location, now time.Time) []PlanMaintenance {
	var out []PlanMaintenance
	for _, rule := range rules {
		for from := rule.Every.Next(now, zone); !from.IsZero() && !from.After(now.Add(rule.Announce)) && len(out) < MaxOpen; from = rule.Every.Next(from, zone) {
			id := rule.ID + "-" + from.In(zone).Format("20060102t1504")
			if _, known := r.Maintenances[id]; !known {
				out = append(out, PlanMaintenance{ID: id, Rule: rule.ID, Title: rule.Title, Text: rule.Text, From: from, Until: from.Add(rule.Lasts), Components: rule.Components})
			}
		}
	}
	return out
}

// Template is a message that is written beforehand.
type Template struct {
	ID    string `json:"id"`
	Title Text   `json:"title,omitempty"`
	Step  Step   `json:"step,omitempty"`
	Text  Text   `json:"text"`
}
