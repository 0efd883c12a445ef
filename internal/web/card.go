package web

import (
	"net/http"

	"lifeboat/internal/account"
	"lifeboat/internal/card"
)

// card is the emergency card, to be printed in calm.
func (s *server) card(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	c := card.Card{Console: s.o.URL, Address: "http://" + cut(r.Host, 260)}
	if r.TLS != nil {
		c.Address = "https://" + cut(r.Host, 260)
	}
	if s.o.Fingerprint != nil {
		c.Fingerprint = s.o.Fingerprint()
	}
	for _, v := range o.Sites {
		site := card.Site{Title: v.Title, Names: v.Names}
		for _, l := range v.Levers {
			site.Levers = append(site.Levers, card.Lever{Name: l.Name, Title: l.Title, Says: notices(l), Armed: l.Armed})
		}
		site.Levers = card.Sorted(site.Levers)
		c.Sites = append(c.Sites, site)
	}
	for _, p := range o.Contacts {
		c.People = append(c.People, card.Person{Name: p.Name, Phone: p.Phone, Says: p.Says})
	}
	p := s.room(who, o, "/levers", "The emergency card.", "Print it, and put it where somebody finds it at night. It holds no secret.")
	p.Body = c
	s.show(w, http.StatusOK, "card.html", p)
}
