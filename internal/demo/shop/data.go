package shop

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"lifeboat/internal/fault"
)

// Limits of what is kept and shown.
const (
	keptOrders  = 5000 // older ones go, so that a shop under load for days stays small
	shownOrders = 50
	dataTimeout = 3 * time.Second
)

// errUnknownProduct is an order for something that the shop does not have.
var errUnknownProduct = errors.New("no such product")

//go:embed schema.sql
var schema string

type product struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Text    string `json:"text"`
	Cents   int    `json:"cents"` // price in euro cents
	Picture string `json:"-"`
}

type order struct {
	Number    int64       `json:"number"`
	Reference string      `json:"reference,omitempty"` // not to be guessed; the confirmation's address
	Placed    time.Time   `json:"placed"`
	Name      string      `json:"-"` // people's data stays out of lists
	Cents     int         `json:"cents"`
	Lines     []orderLine `json:"lines,omitempty"`
}

type orderLine struct {
	Product  int    `json:"product"`
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"cents"` // of one, at the time of the order
}

// wish is an order that somebody wants to place.
type wish struct {
	Key     string // the same key twice is the same order; empty: always a new one
	Name    string
	Email   string
	Address string
	Lines   basket
}

// data is the shop's database.
type data struct {
	db  *sql.DB
	now func() time.Time
}

// openData opens the file, makes the tables and fills the shelves. Two shops may do
// so at once.
func openData(ctx context.Context, file string, now func() time.Time) (*data, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, dataFault(file, err)
	}
	source := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, dataFault(file, err)
	}
	db.SetMaxOpenConns(4)
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE;\n"+schema+"\nCOMMIT;"); err != nil {
		return nil, errors.Join(dataFault(file, err), db.Close())
	}
	return &data{db: db, now: now}, nil
}

func dataFault(file string, err error) error {
	return fault.New(fault.Unavailable, "open the shop's data").At(file).Because(err).
		WithHint("does its folder exist, and may this account write there?")
}

// Close closes the database.
func (d *data) Close() error { return d.db.Close() }

// ping says whether the database answers.
func (d *data) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	var one int
	return d.db.QueryRowContext(ctx, "SELECT 1 FROM products LIMIT 1").Scan(&one)
}

func (d *data) products(ctx context.Context) ([]product, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, "SELECT id, name, text, cents, picture FROM products ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	defer rows.Close()
	var list []product
	for rows.Next() {
		var p product
		if err := rows.Scan(&p.ID, &p.Name, &p.Text, &p.Cents, &p.Picture); err != nil {
			return nil, fmt.Errorf("read product: %w", err)
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// place stores an order and gives it back; with a key that was used before, the
// order of that time.
func (d *data) place(ctx context.Context, w wish) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return order{}, fmt.Errorf("place order: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if w.Key == "" {
		w.Key = rand.Text()
	}
	earlier, err := find(ctx, tx, "key", w.Key)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return earlier, err
	}
	o, err := insert(ctx, tx, w, d.now())
	if err != nil {
		return order{}, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM orders WHERE number <= ?", o.Number-keptOrders); err != nil {
		return order{}, fmt.Errorf("drop old orders: %w", err)
	}
	return o, tx.Commit()
}

func insert(ctx context.Context, tx *sql.Tx, w wish, now time.Time) (order, error) {
	o := order{Reference: rand.Text(), Placed: now.UTC().Truncate(time.Millisecond), Name: w.Name}
	for _, l := range w.Lines {
		row := orderLine{Product: l.Product, Quantity: l.Quantity}
		err := tx.QueryRowContext(ctx, "SELECT name, cents FROM products WHERE id = ?", l.Product).Scan(&row.Name, &row.Cents)
		if errors.Is(err, sql.ErrNoRows) {
			return order{}, fmt.Errorf("%w: %d", errUnknownProduct, l.Product)
		}
		if err != nil {
			return order{}, fmt.Errorf("read price: %w", err)
		}
		o.Lines = append(o.Lines, row)
		o.Cents += row.Cents * row.Quantity
	}
	result, err := tx.ExecContext(ctx,
		"INSERT INTO orders (reference, key, placed, name, email, address, cents) VALUES (?, ?, ?, ?, ?, ?, ?)",
		o.Reference, w.Key, o.Placed.UnixMilli(), w.Name, w.Email, w.Address, o.Cents)
	if err != nil {
		return order{}, fmt.Errorf("store order: %w", err)
	}
	if o.Number, err = result.LastInsertId(); err != nil {
		return order{}, fmt.Errorf("number order: %w", err)
	}
	for _, l := range o.Lines {
		_, err := tx.ExecContext(ctx,
			"INSERT INTO order_lines (number, product, quantity, cents) VALUES (?, ?, ?, ?)",
			o.Number, l.Product, l.Quantity, l.Cents)
		if err != nil {
			return order{}, fmt.Errorf("store line: %w", err)
		}
	}
	return o, nil
}

// order gives the order of a reference, sql.ErrNoRows when there is none.
func (d *data) order(ctx context.Context, reference string) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	return find(ctx, d.db, "reference", reference)
}

type querier interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// find reads one order with its lines by a unique column.
func find(ctx context.Context, q querier, column, value string) (order, error) {
	var o order
	var placed int64
	err := q.QueryRowContext(ctx, "SELECT number, reference, placed, name, cents FROM orders WHERE "+column+" = ?", value).
		Scan(&o.Number, &o.Reference, &placed, &o.Name, &o.Cents)
	if err != nil {
		return order{}, fmt.Errorf("find order: %w", err)
	}
	o.Placed = time.UnixMilli(placed).UTC()
	rows, err := q.QueryContext(ctx, `SELECT l.product, p.name, l.quantity, l.cents
		FROM order_lines l JOIN products p ON p.id = l.product WHERE l.number = ? ORDER BY l.product`, o.Number)
	if err != nil {
		return order{}, fmt.Errorf("list lines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l orderLine
		if err := rows.Scan(&l.Product, &l.Name, &l.Quantity, &l.Cents); err != nil {
			return order{}, fmt.Errorf("read line: %w", err)
		}
		o.Lines = append(o.Lines, l)
	}
	return o, rows.Err()
}

// orders lists the last ones, newest first, without lines and without references.
func (d *data) orders(ctx context.Context) ([]order, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, "SELECT number, placed, cents FROM orders ORDER BY number DESC LIMIT ?", shownOrders)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	defer rows.Close()
	list := []order{}
	for rows.Next() {
		var o order
		var placed int64
		if err := rows.Scan(&o.Number, &placed, &o.Cents); err != nil {
			return nil, fmt.Errorf("read order: %w", err)
		}
		o.Placed = time.UnixMilli(placed).UTC()
		list = append(list, o)
	}
	return list, rows.Err()
}
