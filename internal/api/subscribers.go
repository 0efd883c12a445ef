package api

import (
	"context"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/subscribe"
	"lifeboat/internal/subscribe/desk"
)

// Subscribers is who is told what the status page tells; *desk.Desk is one.
type Subscribers interface {
	List() []subscribe.Subscription
	Add(ctx context.Context, who string, w desk.Wish) (subscribe.Subscription, error)
	Remove(ctx context.Context, id string) (subscribe.Subscription, error)
	Progress(most int) []desk.Progress
	Again(ctx context.Context, news string) (int, error)
	Trouble() map[subscribe.Way]string
	Ways() []subscribe.Way
}

// mostDeliveries is how many news are told of at one time.
const mostDeliveries = 100

// Subscriber is one address that is told what a status page tells.
type Subscriber struct {
	ID         string        `json:"id" example:"mzxw6ytboi2dgnjv"`
	Page       string        `json:"page" example:"main"`
	Way        subscribe.Way `json:"way" doc:"mail, webhook or slack" example:"mail"`
	To         string        `json:"to" doc:"a mail address; of a URL its host only, for it may be a secret" example:"ada@example.com"`
	Components []string      `json:"components" doc:"ids; none: all"`
	Language   string        `json:"language" example:"en"`
	AddedBy    string        `json:"added_by,omitempty" doc:"who of the crew; empty: whoever reads there"`
	Asked      time.Time     `json:"asked_at"`
	Confirmed  time.Time     `json:"confirmed_at,omitzero" doc:"absent: it waits to be confirmed, and is told nothing"`
}

// SubscriberList is who is told.
type SubscriberList struct {
	Ways        []subscribe.Way `json:"ways" doc:"that the configuration offers"`
	Active      int             `json:"active"`
	Pending     int             `json:"pending"`
	Subscribers []Subscriber    `json:"subscribers" doc:"newest first"`
}

// SubscriberBody adds one.
type SubscriberBody struct {
	Page       string   `json:"page,omitempty" maxLength:"100" doc:"the first unless said"`
	Way        string   `json:"way,omitempty" enum:"mail,webhook,slack" doc:"mail unless said"`
	To         string   `json:"to" maxLength:"2000" example:"ada@example.com"`
	Components []string `json:"components,omitempty" maxItems:"200" doc:"none: all"`
	Language   string   `json:"language,omitempty" maxLength:"35"`
	Agreed     bool     `json:"agreed,omitempty" doc:"whoever reads there has agreed elsewhere: nothing is asked of them"`
}

// Deliveries are the newest news and how far they are.
type Deliveries struct {
	Trouble    map[subscribe.Way]string `json:"trouble" doc:"why nobody can be told by a way just now, by way"`
	Deliveries []desk.Progress          `json:"deliveries" doc:"newest first"`
}

// DeliveryAgain says how many are told once more.
type DeliveryAgain struct {
	Again int `json:"again"`
}

// subscriberOf is how a subscription is told.
func subscriberOf(s subscribe.Subscription) Subscriber {
	to := s.To
	if s.Way != subscribe.Mail {
		to = s.Masked()
	}
	return Subscriber{
		ID: s.ID, Page: s.Page, Way: s.Way, To: to, Components: append([]string{}, s.Components...), Language: s.Language, AddedBy: s.By, Asked: s.AskedAt, Confirmed: s.Confirmed,
	}
}

func (a *api) subscriberRoutes() {
	list := get("/board/subscribers", "subscribers", "Who is told what the status page tells")
	list.least = leastFor(incident.SendUpdate{})
	route(a, list, func(context.Context, *struct{}) (*body[SubscriberList], error) {
		d, err := a.subscribers()
		if err != nil {
			return nil, err
		}
		out := SubscriberList{Ways: d.Ways(), Subscribers: []Subscriber{}}
		for _, s := range d.List() {
			out.Subscribers = append(out.Subscribers, subscriberOf(s))
			if s.Active() {
				out.Active++
			} else {
				out.Pending++
			}
		}
		return &body[SubscriberList]{out}, nil
	})
	route(a, post("/board/subscribers", "subscriber-add", "Have somebody told what the status page tells", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *struct{ Body SubscriberBody }) (*body[Subscriber], error) {
		d, err := a.subscribers()
		if err != nil {
			return nil, err
		}
		b := in.Body
		if b.Way == "" {
			b.Way = string(subscribe.Mail)
		}
		s, err := d.Add(ctx, actorOf(ctx).Name, desk.Wish{Page: b.Page, Way: subscribe.Way(b.Way), To: b.To, Components: b.Components, Language: b.Language, Agreed: b.Agreed})
		return &body[Subscriber]{subscriberOf(s)}, err
	})
	route(a, post("/board/subscribers/{item}/remove", "subscriber-remove", "Tell somebody nothing any more", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *BoardItemPath) (*body[Subscriber], error) {
		d, err := a.subscribers()
		if err != nil {
			return nil, err
		}
		s, err := d.Remove(ctx, in.Item)
		return &body[Subscriber]{subscriberOf(s)}, err
	})
	route(a, get("/board/deliveries", "deliveries", "What subscribers are being told, and how far that is"), func(context.Context, *struct{}) (*body[Deliveries], error) {
		d, err := a.subscribers()
		if err != nil {
			return nil, err
		}
		return &body[Deliveries]{Deliveries{d.Trouble(), d.Progress(mostDeliveries)}}, nil
	})
	route(a, post("/board/deliveries/{item}/again", "delivery-again", "Tell those once more to whom some news could not be brought", leastFor(incident.SendUpdate{})), func(ctx context.Context, in *BoardItemPath) (*body[DeliveryAgain], error) {
		d, err := a.subscribers()
		if err != nil {
			return nil, err
		}
		n, err := d.Again(ctx, in.Item)
		return &body[DeliveryAgain]{DeliveryAgain{n}}, err
	})
}

func (a *api) subscribers() (Subscribers, error) {
	if a.o.Subscribers == nil {
		return nil, fault.New(fault.Unavailable, "there is no status page here")
	}
	return a.o.Subscribers, nil
}
