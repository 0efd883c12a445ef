"""Reads the feeds and the calendar of a folder and says what is in them."""

import sys

import feedparser
import icalendar

folder = sys.argv[1]
for name in ("history.rss", "history.atom"):
    feed = feedparser.parse(f"{folder}/{name}")
    if feed.bozo:
        sys.exit(f"{name}: {feed.bozo_exception}")
    if not feed.feed.title or not feed.feed.link or not all(e.title and e.link and e.id and e.updated_parsed or e.published_parsed for e in feed.entries):
        sys.exit(f"{name}: something is missing")
    if any("script" in e.get("summary", "") and "<script" in e.get("summary", "") for e in feed.entries):
        sys.exit(f"{name}: a script")
    first = next(e.link.rsplit("/", 1)[1] for e in feed.entries if "/incidents/" in e.link)
    print(f"{name}: {len(feed.entries)} entries, {first} first")

with open(f"{folder}/calendar.ics", "rb") as f:
    cal = icalendar.Calendar.from_ical(f.read())
events = cal.walk("VEVENT")
if cal.errors or any(e.errors or not e["summary"] or not e["uid"] or not e["dtstamp"] for e in events):
    sys.exit("calendar.ics: something is wrong")
move = next(e for e in events if e["uid"].startswith("move@"))
print(f"calendar.ics: {len(events)} events, {move['dtstart'].dt} to {move['dtend'].dt}")
