package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// site is the public port.
type site struct {
	name    string
	release string
	data    *data
	flag    *flagClient
	stock   *stockClient
	hang    *hang
	pool    *pool
	meters  *meters
	pages   *pages
	logger  *slog.Logger
	now     func() time.Time
}

// newSite makes the shop; done is closed when it stops.
func newSite(o Options, d *data, done <-chan struct{}, logger *slog.Logger) *site {
	well := 0
	if o.Release == leakRelease {
		well = o.Well
	}
	s := &site{
		name: o.Name, release: o.Release, data: d, pages: loadPages(), logger: logger, now: o.Now,
		flag: newFlagClient(o.OFREP, logger), stock: newStockClient(o.Stock, done, o.Now),
		hang: newHang(done), pool: newPool(done, well),
	}
	s.meters = newMeters(o, d, s.pool, s.stock)
	return s
}

// close ends connections that are kept.
func (s *site) close() {
	s.flag.close()
	s.stock.close()
}

// handler gives all pages and the API behind what may be wrong with the shop. The
// metrics need no worker: they are asked for when there is none.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /shelves/{shelf}", s.shelf)
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
	mux.HandleFunc("GET /healthz/checkout", s.checkoutHealth)
	mux.HandleFunc("/", s.lost)
	s.routeAPI(mux)
	pages := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, maxBody))
	if s.release == badRelease {
		pages = announce(pages)
	}
	whole := http.NewServeMux()
	whole.Handle("GET /metrics", s.sign(s.hang.inflict(s.meters)))
	whole.Handle("/", s.heed(s.sign(s.hang.inflict(s.pool.serve(s.catch(know(pages)))))))
	return whole
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

// counter is what a page of products shows.
type counter struct {
	Title    string
	Shelves  []shelf
	Products []product
}

// shelf is a part of the shop.
type shelf struct{ Name, Title string }

var shelves = []shelf{{"galley", "For the galley"}, {"deck", "For the deck"}, {"reading", "For reading"}}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	s.list(w, r, shelf{Title: "Things that still work when it rains"}, "Harbour Goods")
}

func (s *site) shelf(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(shelves, func(on shelf) bool { return on.Name == r.PathValue("shelf") })
	if i < 0 {
		s.lost(w, r)
		return
	}
	s.list(w, r, shelves[i], shelves[i].Title)
}

// list shows the products on a shelf; without a name, all.
func (s *site) list(w http.ResponseWriter, r *http.Request, on shelf, title string) {
	list, err := s.data.products(r.Context(), on.Name)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "home", title, counter{on.Title, shelves, list})
}

func (s *site) product(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 when it is no number, which no product has
	p, err := s.data.product(r.Context(), id)
	if errors.Is(err, sql.ErrNoRows) {
		s.lost(w, r)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "product", p.Name, p)
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
	Left     int // in stock; valid where Known
	Known    bool
}

// price looks the basket's products up; what is no longer sold is left out.
func (s *site) price(ctx context.Context, b basket) (priced, error) {
	var out priced
	for _, l := range b {
		p, err := s.data.product(ctx, l.Product)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return priced{}, err
		}
		sum := p.Cents * l.Quantity
		out.Lines = append(out.Lines, pricedLine{product: p, Quantity: l.Quantity, Sum: sum})
		out.Cents += sum
	}
	return out, nil
}

// count asks the stock service how many there are of what is in the basket.
func (s *site) count(ctx context.Context, p *priced) error {
	ids := make([]int, len(p.Lines))
	for i, l := range p.Lines {
		ids[i] = l.ID
	}
	left, err := s.stock.left(ctx, ids...)
	if err != nil {
		return err
	}
	for i, l := range p.Lines {
		p.Lines[i].Left, p.Lines[i].Known = left[l.ID], left != nil
	}
	return nil
}

// short says what there is not enough of, or nothing.
func (p priced) short() string {
	for _, l := range p.Lines {
		if l.Known && l.Left < l.Quantity {
			return fmt.Sprintf("Of %s there are only %d left.", l.Name, l.Left)
		}
	}
	return ""
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
	// Who can't buy need not know what is in stock.
	if s.stock.url != "" && s.flag.open(r.Context()) {
		if err := s.count(r.Context(), &p); err != nil {
			s.fail(w, r, err)
			return
		}
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
	if err := s.count(r.Context(), &p); err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "checkout", "Checkout", form{priced: p, Key: newKey(), Wrong: p.short()})
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
	if f.Wrong = wanted.problem(); f.Wrong == "" {
		if err := s.count(r.Context(), &p); err != nil {
			s.fail(w, r, err)
			return
		}
		f.Wrong = p.short()
	}
	if f.Wrong != "" {
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

// health says whether the books can be written.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	if err := s.data.ping(r.Context()); err != nil {
		s.unwell(w, err, "the books can't be written")
		return
	}
	s.well(w, "ok")
}

// checkoutHealth says whether the checkout works, asking whom the checkout asks. A
// checkout that is closed on purpose is well.
func (s *site) checkoutHealth(w http.ResponseWriter, r *http.Request) {
	if !s.flag.open(r.Context()) {
		s.well(w, "ok, closed on purpose")
		return
	}
	if _, err := s.stock.left(r.Context(), 1); err != nil {
		s.unwell(w, err, "the stock service does not answer")
		return
	}
	s.well(w, "ok")
}

func (s *site) well(w http.ResponseWriter, text string) { plain(w, http.StatusOK, text) }

func (s *site) unwell(w http.ResponseWriter, err error, text string) {
	blame(w, err)
	plain(w, http.StatusServiceUnavailable, text)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a prober that left needs nothing more
}

func (s *site) lost(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "note", "Not found",
		"There is no such page here. It may have been moved, or sold.")
}

// statusOf is the status of a request that failed: what can't be read will not be
// read the next time either, everything else may pass.
func statusOf(err error) int {
	if errors.Is(err, errBadRow) {
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}

// fail tells the visitor that something broke, and the log what.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	blame(w, err)
	s.show(w, r, statusOf(err), "note", "Something went wrong",
		"We could not do that just now. Please try again in a minute.")
}

func (s *site) show(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	page, err := s.pages.render(name, view{Title: title, Origin: s.name, Pieces: basketOf(r).count(), Body: body})
	if err != nil {
		blame(w, err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page) // a visitor who left needs nothing more
}
