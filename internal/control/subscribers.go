package control

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"lifeboat/internal/board"
	boarddesk "lifeboat/internal/board/desk"
	"lifeboat/internal/store"
	"lifeboat/internal/subscribe"
	"lifeboat/internal/subscribe/carry"
	subdesk "lifeboat/internal/subscribe/desk"
)

// openSubscribers reads who is told what the status page tells, and makes ready how. A
// password of the mail server that can't be read keeps nothing else from starting: mails
// wait, and it is said.
func openSubscribers(ctx context.Context, o Options, record *store.Guarded, key ed25519.PrivateKey, changed func()) (*subdesk.Desk, error) {
	pages, _, components := o.Config.Board()
	mac := hmac.New(sha256.New, key.Seed())
	mac.Write([]byte("subscribers of status pages")) // writing to a hash never fails
	d := subdesk.New(subdesk.Options{
		Store: record, Key: mac.Sum(nil), Pages: pages, Components: components, Carriers: carriers(o), Now: o.Now, Logger: o.Logger, Changed: changed,
		Plain:    o.Config.Status != nil && o.Config.Status.Subscribers != nil && o.Config.Status.Subscribers.OwnNetwork,
		Degraded: func() bool { _, _, _, degraded := record.Degraded(); return degraded },
	})
	return d, d.Start(ctx)
}

func carriers(o Options) map[subscribe.Way]subdesk.Carrier {
	out := map[subscribe.Way]subdesk.Carrier{}
	if o.Config.Status == nil || o.Config.Status.Subscribers == nil {
		return out
	}
	cfg := o.Config.Status.Subscribers
	if m := cfg.Mail; m != nil {
		password, err := secret(m.PasswordFile)
		if err != nil {
			o.Logger.Warn("subscribers get no mail: the password of the mail server can't be read", "cause", err)
		}
		out[subscribe.Mail] = carry.NewMail(carry.MailOptions{
			Host: m.Host, Port: m.Port, TLS: carry.TLS(m.TLS), From: m.From, User: m.User, Password: string(password),
		})
	}
	hook := carry.NewHook(cfg.OwnNetwork, o.Now)
	if cfg.Webhook {
		out[subscribe.Webhook] = hook
	}
	if cfg.Slack {
		out[subscribe.Slack] = hook
	}
	return out
}

// reach says in a sentence who is told of a change, or of all.
func reach(d *subdesk.Desk, words *boarddesk.Desk) func(*board.Change) string {
	return func(c *board.Change) string {
		if len(d.Ways()) == 0 {
			return ""
		}
		n := subscribe.News{At: time.Now()}
		if c != nil {
			var tell bool
			if n, tell = subscribe.NewsOf(words.Records(), *c); !tell {
				return "Subscribers are not told of this."
			}
		}
		if told := d.Reach(n); told != 1 {
			return fmt.Sprintf("%d subscribers are told.", told)
		}
		return "1 subscriber is told."
	}
}
