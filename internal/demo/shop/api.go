package shop

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

// retryAfter is what a closed checkout tells clients to wait, in seconds.
const retryAfter = "60"

// problem is an error as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func writeProblem(w http.ResponseWriter, status int, title, detail string) {
	writeJSON(w, status, "application/problem+json", problem{"about:blank", title, status, detail})
}

func writeJSON(w http.ResponseWriter, status int, media string, value any) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that left needs nothing more
}

func (s *site) routeAPI(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/products", s.apiProducts)
	mux.HandleFunc("/api/products", allow("GET, HEAD"))
	mux.HandleFunc("GET /api/orders", s.apiOrders)
	mux.HandleFunc("POST /api/orders", s.apiPlaceOrder)
	mux.HandleFunc("/api/orders", allow("GET, HEAD, POST"))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "Not found", "There is /api/products and /api/orders.")
	})
}

// allow refuses the methods that a path does not have.
func allow(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", methods)
		writeProblem(w, http.StatusMethodNotAllowed, "Method not allowed", "Use one of: "+methods+".")
	}
}

func (s *site) apiProducts(w http.ResponseWriter, r *http.Request) {
	list, err := s.data.products(r.Context(), "")
	if err != nil {
		s.apiFail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"products": list})
}

func (s *site) apiOrders(w http.ResponseWriter, r *http.Request) {
	list, err := s.data.orders(r.Context())
	if err != nil {
		s.apiFail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"orders": list})
}

// orderBody is what a client sends to place an order. The header Idempotency-Key
// makes a repeated sending the same order.
type orderBody struct {
	Name    string `json:"name"`
	Email   string `json:"email"`
	Address string `json:"address"`
	Lines   []line `json:"lines"`
}

func (s *site) apiPlaceOrder(w http.ResponseWriter, r *http.Request) {
	if !s.flag.open(r.Context()) {
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, http.StatusServiceUnavailable, "Checkout is closed for the moment",
			"No order was placed. Try again later.")
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, "Not JSON", "Send the order as application/json.")
		return
	}
	body, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		writeProblem(w, http.StatusRequestEntityTooLarge, "Too long", "An order has at most 64 KiB.")
		return
	}
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "Body not read", "The order did not arrive whole.")
		return
	}
	wanted, err := parseOrder(body)
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "Not an order", err.Error())
		return
	}
	wanted.Key = r.Header.Get("Idempotency-Key")
	if wrong := wanted.problem(); wrong != "" {
		writeProblem(w, http.StatusUnprocessableEntity, "Order not complete", wrong)
		return
	}
	s.apiPlace(w, r, wanted)
}

// parseOrder reads the body of an order; its rules are wish.problem's.
func parseOrder(body []byte) (wish, error) {
	var b orderBody
	if err := json.Unmarshal(body, &b); err != nil {
		return wish{}, err
	}
	w := wish{Name: b.Name, Email: b.Email, Address: b.Address}
	if len(b.Lines) > maxLines {
		return wish{}, errors.New("more than 20 lines")
	}
	for _, l := range b.Lines {
		known := l.Product > 0 && l.Product <= maxProductID
		if !known || l.Quantity < 1 || l.Quantity > maxQuantity || w.Lines.quantity(l.Product) > 0 {
			return wish{}, errors.New("each line needs a product of its own and a quantity from 1 to 99")
		}
		w.Lines = w.Lines.with(l.Product, l.Quantity)
	}
	return w, nil
}

func (s *site) apiPlace(w http.ResponseWriter, r *http.Request, wanted wish) {
	p, err := s.price(r.Context(), wanted.Lines)
	if err == nil {
		err = s.count(r.Context(), &p)
	}
	if short := p.short(); err == nil && short != "" {
		writeProblem(w, http.StatusUnprocessableEntity, "Not enough left", short)
		return
	}
	if err != nil {
		s.apiFail(w, err)
		return
	}
	o, err := s.data.place(r.Context(), wanted)
	switch {
	case errors.Is(err, errUnknownProduct):
		writeProblem(w, http.StatusUnprocessableEntity, "No such product", "GET /api/products lists what we have.")
	case err != nil:
		s.apiFail(w, err)
	default:
		w.Header().Set("Location", "/orders/"+o.Reference)
		writeJSON(w, http.StatusCreated, "application/json", o)
	}
}

func (s *site) apiFail(w http.ResponseWriter, err error) {
	blame(w, err)
	writeProblem(w, statusOf(err), "Something went wrong", "We could not do that just now.")
}
