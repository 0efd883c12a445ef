package shop

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// site is the public port.
type site struct {
	name   string
	data   *data
	flag   *flagClient
	pages  *pages
	logger *slog.Logger
}

// newSite gives all pages and the API behind what may be wrong with the shop.
func newSite(o Options, d *data, flag *flagClient, h *harm) http.Handler {
	s := &site{name: o.Name, data: d, flag: flag, pages: loadPages(), logger: o.Logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /products/{id}", s.product)
	mux.HandleFunc("GET /basket", s.basket)
	mux.HandleFunc("POST /basket/add", s.addToBasket)
	mux.HandleFunc("POST /basket/set", s.setInBasket)
	mux.HandleFunc("GET /checkout", s.checkout)
	mux.HandleFunc("POST /checkout", s.placeOrder)
	mux.HandleFunc("GET /orders", s.orders)
	mux.HandleFunc("GET /orders/{reference}", s.order)
	mux.HandleFunc("GET /about", s.about)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("/", s.lost)
	s.routeAPI(mux)
	guarded := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, maxBody))
	return s.sign(h.inflict(guarded))
}

// sign puts on every answer who gave it, and what a browser may do with it.
func (s *site) sign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set(OriginHeader, s.name)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "same-origin")
		head.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	list, err := s.data.products(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "home", "Harbour Goods", list)
}

func (s *site) product(w http.ResponseWriter, r *http.Request) {
	list, err := s.data.products(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 when it is no number, which no product has
	p, ok := findProduct(list, id)
	if !ok {
		s.lost(w, r)
		return
	}
	s.show(w, r, http.StatusOK, "product", p.Name, p)
}

func findProduct(list []product, id int) (product, bool) {
	i := slices.IndexFunc(list, func(p product) bool { return p.ID == id })
	if i < 0 {
		return product{}, false
	}
	return list[i], true
}

// priced is a basket with names and prices, for the pages that show it.
type priced struct {
	Lines []pricedLine
	Cents int
}

type pricedLine struct {
	product
	Quantity int
	Sum      int // cents
}

// price looks the basket's products up; what is no longer sold is left out.
func (s *site) price(ctx context.Context, b basket) (priced, error) {
	list, err := s.data.products(ctx)
	if err != nil {
		return priced{}, err
	}
	var out priced
	for _, l := range b {
		p, ok := findProduct(list, l.Product)
		if !ok {
			continue
		}
		sum := p.Cents * l.Quantity
		out.Lines = append(out.Lines, pricedLine{product: p, Quantity: l.Quantity, Sum: sum})
		out.Cents += sum
	}
	return out, nil
}

func (p priced) wishes() basket {
	var b basket
	for _, l := range p.Lines {
		b = b.with(l.ID, l.Quantity)
	}
	return b
}

func (s *site) basket(w http.ResponseWriter, r *http.Request) {
	p, err := s.price(r.Context(), basketOf(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "basket", "Your basket", p)
}

func (s *site) addToBasket(w http.ResponseWriter, r *http.Request) {
	b := basketOf(r)
	id := formNumber(r, "product")
	setBasket(w, b.with(id, b.quantity(id)+1))
	http.Redirect(w, r, "/basket", http.StatusSeeOther)
}

func (s *site) setInBasket(w http.ResponseWriter, r *http.Request) {
	setBasket(w, basketOf(r).with(formNumber(r, "product"), formNumber(r, "quantity")))
	http.Redirect(w, r, "/basket", http.StatusSeeOther)
}

// formNumber is 0 when the field is missing or no number: nothing to buy.
func formNumber(r *http.Request, field string) int {
	n, _ := strconv.Atoi(r.PostFormValue(field))
	return n
}

// form is what the checkout page shows.
type form struct {
	priced
	Key, Name, Email, Address string
	Wrong                     string // what is to be put right, empty when nothing
}

func (s *site) checkout(w http.ResponseWriter, r *http.Request) {
	if s.closed(w, r) {
		return
	}
	p, err := s.price(r.Context(), basketOf(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(p.Lines) == 0 {
		http.Redirect(w, r, "/basket", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "checkout", "Checkout", form{priced: p, Key: newKey()})
}

// closed answers with a friendly page when the checkout's flag is off.
func (s *site) closed(w http.ResponseWriter, r *http.Request) bool {
	if s.flag.open(r.Context()) {
		return false
	}
	w.Header().Set("Retry-After", retryAfter)
	s.show(w, r, http.StatusServiceUnavailable, "closed", "Checkout is closed for the moment", nil)
	return true
}

func (s *site) placeOrder(w http.ResponseWriter, r *http.Request) {
	if s.closed(w, r) {
		return
	}
	p, err := s.price(r.Context(), basketOf(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	f := form{priced: p, Key: r.PostFormValue("key"), Name: r.PostFormValue("name"),
		Email: r.PostFormValue("email"), Address: r.PostFormValue("address")}
	wanted := wish{Key: f.Key, Name: f.Name, Email: f.Email, Address: f.Address, Lines: p.wishes()}
	if f.Wrong = wanted.problem(); f.Wrong != "" {
		s.show(w, r, http.StatusUnprocessableEntity, "checkout", "Checkout", f)
		return
	}
	o, err := s.data.place(r.Context(), wanted)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	setBasket(w, nil)
	http.Redirect(w, r, "/orders/"+o.Reference, http.StatusSeeOther)
}

// problem says in one sentence what is wrong with a wish, or nothing.
func (w wish) problem() string {
	fits := func(s string) bool { return utf8.ValidString(s) && len(s) <= 200 && !strings.ContainsRune(s, 0) }
	_, errMail := mail.ParseAddress(w.Email)
	switch {
	case len(w.Lines) == 0:
		return "The basket is empty."
	case len(w.Key) > 64:
		return "The order's key is too long."
	case strings.TrimSpace(w.Name) == "" || !fits(w.Name):
		return "Please give a name, of up to 200 letters."
	case errMail != nil || !fits(w.Email):
		return "Please give an e-mail address, such as ada@example.com."
	case strings.TrimSpace(w.Address) == "" || !fits(w.Address):
		return "Please give an address to send it to, of up to 200 letters."
	}
	return ""
}

func (s *site) orders(w http.ResponseWriter, r *http.Request) {
	list, err := s.data.orders(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "orders", "Last orders", list)
}

func (s *site) order(w http.ResponseWriter, r *http.Request) {
	o, err := s.data.order(r.Context(), r.PathValue("reference"))
	if errors.Is(err, sql.ErrNoRows) {
		s.lost(w, r)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "order", "Thank you", o)
}

func (s *site) about(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "about", "About us", nil)
}

func (s *site) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok\n"
	if err := s.data.ping(r.Context()); err != nil {
		s.logger.Warn("data does not answer", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "no data\n"
	}
	_, _ = w.Write([]byte(text)) // a prober that left needs nothing more
}

func (s *site) lost(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "note", "Not found",
		"There is no such page here. It may have been moved, or sold.")
}

// fail tells the visitor that something broke, and the log what.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.logger.Error("page failed", "path", r.URL.Path, "error", err)
	s.show(w, r, http.StatusServiceUnavailable, "note", "Something went wrong",
		"We could not read our books just now. Please try again in a minute.")
}

func (s *site) show(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	page, err := s.pages.render(name, view{Title: title, Origin: s.name, Pieces: basketOf(r).count(), Body: body})
	if err != nil {
		s.logger.Error("page not rendered", "page", name, "error", err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page) // a visitor who left needs nothing more
}
