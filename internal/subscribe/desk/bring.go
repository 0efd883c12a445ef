package desk

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/statuspage"
	"lifeboat/internal/subscribe"
	"lifeboat/internal/webhook"
)

const tendEvery = 10 * time.Minute

// Run tells subscribers until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer func() {
		all.Wait()
		d.last(ctx) // what came through while we stopped, or it would be brought again
	}()
	for _, l := range d.lanes {
		for range l.carrier.Width() {
			all.Go(func() { d.work(ctx, l) }) // ends with ctx
		}
	}
	all.Go(func() { d.keep(ctx) }) // likewise
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.sweep(ctx)
			d.forget(ctx)
		}
	}
}

// bring brings one parcel, and says what is next for it.
func (d *Desk) bring(ctx context.Context, l *lane, p *parcel) {
	out, good := d.pack(p)
	if !good || d.late(ctx, p) {
		return
	}
	try, cancel := context.WithTimeout(ctx, oneTry)
	err := l.carrier.Carry(try, out)
	cancel()
	var down *Down
	switch {
	case err == nil:
		l.fine()
		d.arrived(ctx, p)
	case ctx.Err() != nil: // we are stopping: nobody is to blame, and the record knows that it is owed
	case errors.As(err, &down):
		l.trouble(d.o.Now(), err)
		d.later(ctx, l, p, err, 0)
	case fault.KindOf(err) == fault.Invalid, fault.KindOf(err) == fault.NotFound:
		l.fine()
		d.refused(ctx, p, err)
	default:
		l.fine()
		p.attempts++
		wait := backoff(p.attempts, minWait, maxWait)
		var asked *Later
		if errors.As(err, &asked) {
			wait = max(wait, min(asked.After, time.Hour))
		}
		d.later(ctx, l, p, err, wait)
	}
}

// late gives up news that are too old to be told, such as those that were not told before
// the process ended for days, or that an old copy of the record still owes.
func (d *Desk) late(ctx context.Context, p *parcel) bool {
	d.mu.Lock()
	n := d.news[p.news]
	late := n != nil && !d.o.Now().Before(n.expires())
	d.mu.Unlock()
	switch {
	case late && p.failed != nil:
		d.refused(ctx, p, p.failed)
	case late:
		d.giveUp(p, "it could not be brought within a day")
	}
	return late
}

// pack writes a parcel's message as it is due now, or says that none is any more.
func (d *Desk) pack(p *parcel) (out Parcel, good bool) {
	d.mu.Lock()
	k, known := d.subs[p.sub]
	n := d.news[p.news]
	d.mu.Unlock()
	page, there := d.page(k.Page) // the configuration may have another one by now
	switch {
	case p.news == "" && (!known || !there || k.Owed.IsZero() || k.Over(d.o.Now())):
		return out, false
	case p.news != "" && !(known && there):
		d.settle(p.news, settled{Sub: p.sub, Gone: true})
		return out, false
	case p.news != "" && n == nil:
		return out, false
	case p.news != "" && (!k.Active() || k.Confirmed.After(n.At)): // it has ended, and somebody has asked for it anew
		d.settle(p.news, settled{Sub: p.sub, Gone: true})
		return out, false
	}
	out = Parcel{To: k.To, Link: d.o.Key.Link(page, k.Subscription), Page: page}
	if k.Way == subscribe.Webhook {
		out.Key = d.o.Key.Secret(k.Subscription)
	}
	if p.news == "" {
		return d.packLink(out, k.Subscription), true
	}
	return d.packNews(out, k.Subscription, n.News), true
}

func (d *Desk) packLink(out Parcel, s subscribe.Subscription) Parcel {
	out.ID, out.At = webhook.ID("link-"+s.ID+"-"+s.Owed.Format("20060102150405")), s.Owed
	letter := statuspage.LinkLetter(out.Page, s.Language, s, out.Link)
	out.Subject, out.Text = letter.Subject, letter.Text
	switch s.Way {
	case subscribe.Slack:
		out.Body = encode(map[string]string{"text": letter.Chat})
	case subscribe.Webhook:
		kind := "subscription.confirm"
		if s.Active() {
			kind = "subscription.reminder"
		}
		out.Body = envelope(kind, s.Owed, map[string]any{"page": pageOf(out.Page), "link": out.Link, "text": letter.Text})
	}
	return out
}

func (d *Desk) packNews(out Parcel, s subscribe.Subscription, n subscribe.News) Parcel {
	out.ID, out.At = webhook.ID(n.ID+"-"+s.ID), n.At
	ids := out.Page.IDs(d.o.Components) // components of other pages are not named, as on the page
	names := map[string]board.Text{}
	for _, c := range d.o.Components {
		if slices.Contains(ids, c.ID) {
			names[c.ID] = c.Name
		}
	}
	n.Components = slices.DeleteFunc(slices.Clone(n.Components), func(id string) bool { return !slices.Contains(ids, id) })
	n.Affected = slices.DeleteFunc(slices.Clone(n.Affected), func(a board.Affected) bool { return !slices.Contains(ids, a.Component) })
	letter := statuspage.NewsLetter(out.Page, s.Language, n, names, out.Link)
	out.Subject, out.Text = letter.Subject, letter.Text
	switch s.Way {
	case subscribe.Slack:
		out.Body = encode(map[string]string{"text": letter.Chat})
	case subscribe.Webhook:
		out.Body = envelope(string(n.Kind), n.At, newsOf(out, n, s.Language, names))
	}
	return out
}

// pageOf is a page as webhooks name it.
func pageOf(p board.Page) map[string]string {
	return map[string]string{"id": p.ID, "name": p.Name, "url": p.URL}
}

// newsOf is what a webhook is told: the names of Statuspage's API, version 2.
func newsOf(out Parcel, n subscribe.News, lang string, names map[string]board.Text) map[string]any {
	first := "en"
	if len(out.Page.Languages) > 0 {
		first = out.Page.Languages[0]
	}
	say := func(t board.Text) string { text, _ := t.In(lang, "", first); return text }
	touched := []map[string]string{}
	for _, id := range n.Components {
		touched = append(touched, map[string]string{"id": id, "name": say(names[id])})
	}
	changed := []map[string]string{}
	for _, a := range n.Affected {
		changed = append(changed, map[string]string{"id": a.Component, "name": say(names[a.Component]), "old_status": string(a.Old.V2()), "new_status": string(a.New.V2())})
	}
	subject := map[string]any{
		"id": n.Subject, "name": say(n.Title), "status": n.Step, "impact": n.Impact, "url": out.Page.URL + n.Path, "components": touched,
		"update": map[string]any{"id": n.ID, "status": n.Step, "body": say(n.Text), "created_at": n.At, "affected_components": changed},
	}
	if !n.Next.IsZero() {
		subject["next_update_at"] = n.Next
	}
	what := "incident"
	if !n.From.IsZero() {
		what = "maintenance"
		subject["scheduled_for"], subject["scheduled_until"] = n.From, n.Until
	}
	return map[string]any{"page": pageOf(out.Page), what: subject, "unsubscribe": out.Link}
}

func envelope(kind string, at time.Time, data any) []byte {
	b, err := webhook.Body(kind, at, encode(data))
	if err != nil { // what encode gave, which is JSON
		return nil
	}
	return b
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // our own types, which always can be
		return []byte("null")
	}
	return b
}

// arrived ends a parcel.
func (d *Desk) arrived(ctx context.Context, p *parcel) {
	d.mend(ctx, p, func(k *kept) { k.Refused, k.Since = 0, time.Time{} })
	if p.news != "" {
		d.settle(p.news, settled{Sub: p.sub})
	}
}

// mend writes down what a try said of a subscription: what it was sent its link for is no
// longer owed.
func (d *Desk) mend(ctx context.Context, p *parcel, change func(*kept)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // else it would be sent again after every stop
	defer cancel()
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	k, known := d.subs[p.sub]
	d.mu.Unlock()
	before := k
	if change(&k); p.news == "" {
		k.Owed = time.Time{}
	}
	if !known || k.Refused == before.Refused && k.Owed.Equal(before.Owed) {
		return
	}
	if k.Refused >= mostRefused && d.o.Now().Sub(k.Since) >= refusedFor {
		d.o.Logger.Info("a subscription has ended: its receiver refuses all that it is told", "subscription", k.ID, "way", k.Way)
		if err := d.drop(ctx, k); err == nil {
			return
		}
	}
	if _, err := d.put(ctx, k); err != nil {
		d.o.Logger.Warn("what became of a message is not written down", "subscription", k.ID, "cause", err)
	}
}

// refused gives a parcel up: its receiver does not want it, or could not be told for too long.
func (d *Desk) refused(ctx context.Context, p *parcel, err error) {
	d.giveUp(p, reason(err))
	var down *Down
	ours := errors.As(err, &down) // it was not the receiver's doing
	d.mend(ctx, p, func(k *kept) {
		switch {
		case fault.KindOf(err) == fault.NotFound:
			k.Refused, k.Since = mostRefused, time.Time{}
		case !ours && (k.Refused == 0 || k.Since.IsZero()):
			k.Refused, k.Since = k.Refused+1, d.o.Now().UTC()
		case !ours:
			k.Refused++
		}
	})
}

// giveUp notes that a message is not brought.
func (d *Desk) giveUp(p *parcel, why string) {
	d.mu.Lock()
	k := d.subs[p.sub]
	d.mu.Unlock()
	d.o.Logger.Warn("a message to a subscriber was given up", "subscription", p.sub, "way", k.Way, "news", p.news, "attempts", p.attempts, "cause", why)
	if p.news != "" {
		d.settle(p.news, settled{Sub: p.sub, Dead: &Dead{Subscription: p.sub, Way: k.Way, To: k.Masked(), Reason: why, At: d.o.Now().UTC()}})
	}
}

// later puts a parcel in line again, or gives it up once it is a day old.
func (d *Desk) later(ctx context.Context, l *lane, p *parcel, err error, wait time.Duration) {
	now := d.o.Now()
	d.mu.Lock()
	n, k := d.news[p.news], d.subs[p.sub]
	expires := k.Owed.Add(maxAge)
	if n != nil {
		expires = n.expires()
		if n.tries != nil && wait > 0 {
			n.tries[p.sub] = lastTry{now.UTC(), reason(err)}
		}
	}
	d.mu.Unlock()
	if !now.Before(expires) {
		d.refused(ctx, p, err)
		return
	}
	p.due, p.failed = now.Add(wait), err
	l.add(p)
}
