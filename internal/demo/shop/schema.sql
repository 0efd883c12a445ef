CREATE TABLE IF NOT EXISTS products (
	id      INTEGER PRIMARY KEY,
	name    TEXT NOT NULL,
	text    TEXT NOT NULL,
	cents   INTEGER NOT NULL CHECK (cents > 0),
	picture TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shelves (
	product INTEGER PRIMARY KEY REFERENCES products (id) ON DELETE CASCADE,
	shelf   TEXT NOT NULL
);

-- What a disk is full of when it is full: an export that nobody deletes.
CREATE TABLE IF NOT EXISTS exports (
	id   INTEGER PRIMARY KEY,
	body BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS heartbeats (
	id   INTEGER PRIMARY KEY AUTOINCREMENT,
	at   INTEGER NOT NULL, -- milliseconds since 1970, UTC
	room BLOB NOT NULL
);

CREATE TABLE IF NOT EXISTS orders (
	number    INTEGER PRIMARY KEY AUTOINCREMENT,
	reference TEXT NOT NULL UNIQUE,
	key       TEXT NOT NULL UNIQUE,
	placed    INTEGER NOT NULL, -- milliseconds since 1970, UTC
	name      TEXT NOT NULL,
	email     TEXT NOT NULL,
	address   TEXT NOT NULL,
	cents     INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS order_lines (
	number   INTEGER NOT NULL REFERENCES orders (number) ON DELETE CASCADE,
	product  INTEGER NOT NULL REFERENCES products (id),
	quantity INTEGER NOT NULL CHECK (quantity > 0),
	cents    INTEGER NOT NULL,
	PRIMARY KEY (number, product)
) WITHOUT ROWID;

INSERT OR IGNORE INTO products (id, name, text, cents, picture) VALUES
	(1, 'Enamel mug', 'Holds tea, soup and a grudge. Survives falls onto stone and most dishwashers.', 1450, 'mug'),
	(2, 'Storm lantern', 'Burns sixteen hours on one filling, and stays lit in the wind that put out the others.', 4900, 'lantern'),
	(3, 'Wool blanket', 'Heavy, warm when wet, woven from the wool of sheep who live outdoors all year.', 8900, 'blanket'),
	(4, 'Hemp rope, 20 m', 'Twelve millimetres thick, laid the old way. Knots well and lets go when asked.', 2750, 'rope'),
	(5, 'Pocket compass', 'Points north. Needs no charging and no account.', 3600, 'compass'),
	(6, 'Ship''s bell', 'Solid brass. One ring is heard two fields away, so mind the neighbours.', 6500, 'bell'),
	(7, 'Tin of biscuits', 'Oat and salt. They keep for a year, in theory.', 890, 'tin'),
	(8, 'Book of knots', 'Sixty knots, drawn by somebody who ties them. Waterproof paper.', 2200, 'book');

INSERT OR IGNORE INTO shelves (product, shelf) VALUES
	(1, 'galley'), (2, 'deck'), (3, 'galley'), (4, 'deck'), (5, 'deck'), (6, 'deck'), (7, 'galley'), (8, 'reading');

-- A shop that has been open for a while has sold something.
INSERT INTO orders (number, reference, key, placed, name, email, address, cents)
	SELECT 1, 'seed-one-lantern', 'seed-one-lantern', 1704103200000, 'Ada', 'ada@example.com', '1 Quay Street', 6350
	WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'orders');
INSERT INTO order_lines (number, product, quantity, cents)
	SELECT 1, column1, 1, column2 FROM (VALUES (1, 1450), (2, 4900))
	WHERE EXISTS (SELECT 1 FROM orders WHERE number = 1 AND key = 'seed-one-lantern')
	  AND NOT EXISTS (SELECT 1 FROM order_lines WHERE number = 1);
