package shop

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Limits of a basket; they bound the cookie as well.
const (
	basketCookie = "basket"
	maxLines     = 20
	maxQuantity  = 99
	maxProductID = 1 << 20
)

// line is one product in a basket, and how many of it.
type line struct {
	Product  int `json:"product"`
	Quantity int `json:"quantity"`
}

// basket is kept by product, each product once.
type basket []line

// parseBasket reads a cookie such as "3x1.7x2". What it can't read it leaves out: a
// visitor is never turned away over an old cookie.
func parseBasket(text string) basket {
	var b basket
	if len(text) > maxLines*len("1048576x99.") {
		return nil
	}
	for part := range strings.SplitSeq(text, ".") {
		id, count, ok := strings.Cut(part, "x")
		product, errID := strconv.Atoi(id)
		quantity, errCount := strconv.Atoi(count)
		if !ok || errID != nil || errCount != nil {
			continue
		}
		b = b.with(product, quantity)
	}
	return b
}

// with is the basket with a product's quantity set; none or fewer takes it out.
func (b basket) with(product, quantity int) basket {
	out := slices.DeleteFunc(slices.Clone(b), func(l line) bool { return l.Product == product })
	known := product > 0 && product <= maxProductID
	if known && quantity > 0 && len(out) < maxLines {
		out = append(out, line{product, min(quantity, maxQuantity)})
	}
	slices.SortFunc(out, func(x, y line) int { return cmp.Compare(x.Product, y.Product) })
	return out
}

func (b basket) quantity(product int) int {
	for _, l := range b {
		if l.Product == product {
			return l.Quantity
		}
	}
	return 0
}

// count is how many pieces are in the basket.
func (b basket) count() int {
	n := 0
	for _, l := range b {
		n += l.Quantity
	}
	return n
}

// String is the cookie's text.
func (b basket) String() string {
	parts := make([]string, len(b))
	for i, l := range b {
		parts[i] = strconv.Itoa(l.Product) + "x" + strconv.Itoa(l.Quantity)
	}
	return strings.Join(parts, ".")
}

func basketOf(r *http.Request) basket {
	c, err := r.Cookie(basketCookie)
	if err != nil {
		return nil
	}
	return parseBasket(c.Value)
}

func setBasket(w http.ResponseWriter, b basket) {
	c := &http.Cookie{
		Name: basketCookie, Value: b.String(), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 7 * 24 * 60 * 60,
	}
	if len(b) == 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
