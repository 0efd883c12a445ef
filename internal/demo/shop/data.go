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
	diskPages   = 4096 // of 4 KiB: the disk on which the books are kept has 16 MiB
)

var (
	// errUnknownProduct is an order for something that the shop does not have.
	errUnknownProduct = errors.New("no such product")
	// errBadRow is a row of the books that makes no sense.
	errBadRow = errors.New("a row can't be read")
)

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
	job job // what holds the books locked, sometimes
}

// openData opens the file, makes the tables and fills the shelves. Two shops may do
// so at once.
func openData(ctx context.Context, file string, now func() time.Time) (*data, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, dataFault(file, err)
	}
	source := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
			fmt.Sprintf("max_page_count(%d)", diskPages), "journal_size_limit(1048576)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, dataFault(file, err)
	}
	db.SetMaxOpenConns(6)
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE;\n"+schema+"\nCOMMIT;"); err != nil {
		return nil, errors.Join(dataFault(file, err), db.Close())
	}
	return &data{db: db, now: now}, nil
}

func dataFault(file string, err error) error {
	return fault.New(fault.Unavailable, "open the shop's data").At(file).Because(err).
		WithHint("does its folder exist, and may this account write there?")
}

// Close closes the database; a job that holds it ends first.
func (d *data) Close() error {
	d.job.end()
	return d.db.Close()
}

// ping says whether the books can be read and written: it leaves a sign of life.
func (d *data) ping(ctx context.Context) error {
	return d.write(ctx, "write heartbeat", func(ctx context.Context, tx *sql.Tx) error { return beat(ctx, tx, d.now()) })
}

// beat writes a heartbeat and drops those before. Each is as long as a page, and the
// new one is written first: so it succeeds only while there is room on the disk.
func beat(ctx context.Context, tx *sql.Tx, now time.Time) error {
	result, err := tx.ExecContext(ctx, "INSERT INTO heartbeats (at, room) VALUES (?, zeroblob(4096))", now.UnixMilli())
	if err != nil {
		return err
	}
	last, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("number heartbeat: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM heartbeats WHERE id <> ?", last); err != nil {
		return fmt.Errorf("drop heartbeats: %w", err)
	}
	return nil
}

const productColumns = "SELECT id, name, text, cents, picture FROM products "

// products lists what there is, on one shelf or, without a shelf's name, on all.
func (d *data) products(ctx context.Context, shelf string) ([]product, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, productColumns+
		"WHERE ?1 = '' OR id IN (SELECT product FROM shelves WHERE shelf = ?1) ORDER BY id", shelf)
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	defer rows.Close()
	var list []product
	for rows.Next() {
		p, err := readProduct(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// product gives one, sql.ErrNoRows when there is none.
func (d *data) product(ctx context.Context, id int) (product, error) {
	ctx, cancel := context.WithTimeout(ctx, dataTimeout)
	defer cancel()
	return findProduct(ctx, d.db, id)
}

func findProduct(ctx context.Context, q querier, id int) (product, error) {
	p, err := readProduct(q.QueryRowContext(ctx, productColumns+"WHERE id = ?", id).Scan)
	if err != nil {
		return product{}, fmt.Errorf("find product: %w", err)
	}
	return p, nil
}

// readProduct reads a row. A column of SQLite holds whatever was put into it.
func readProduct(scan func(...any) error) (product, error) {
	var p product
	var price any
	if err := scan(&p.ID, &p.Name, &p.Text, &price, &p.Picture); err != nil {
		return product{}, err
	}
	cents, whole := price.(int64)
	if !whole {
		return product{}, fmt.Errorf("%w: products, id %d (%q): the price %q is not a whole number of cents", errBadRow, p.ID, p.Name, fmt.Sprint(price))
	}
	p.Cents = int(cents)
	return p, nil
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
	if err := beat(ctx, tx, d.now()); err != nil { // an order is kept whole, or refused
		return order{}, fmt.Errorf("place order: %w", err)
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
		p, err := findProduct(ctx, tx, l.Product)
		if errors.Is(err, sql.ErrNoRows) {
			return order{}, fmt.Errorf("%w: %d", errUnknownProduct, l.Product)
		}
		if err != nil {
			return order{}, err
		}
		row := orderLine{Product: l.Product, Name: p.Name, Quantity: l.Quantity, Cents: p.Cents}
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
