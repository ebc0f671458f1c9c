-- What data/shop.db was made of: sqlite3 data/shop.db < data/shop.sql
PRAGMA page_size = 512;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER REFERENCES customers (id),
  total DECIMAL(10, 2),
  paid BOOLEAN,
  ordered_at DATETIME
);
INSERT INTO customers VALUES (1, 'Ada', 'gb'), (2, 'Émile', 'fr'), (3, 'Yuki', 'jp'), (4, 'Zoe', NULL);
INSERT INTO orders VALUES
  (10, 1, 12.5, 1, '2024-01-01 10:00:00'),
  (11, 2, 8, 0, '2024-01-02 08:30:00'),
  (12, 2, 99.99, 1, '2024-02-29 23:59:59'),
  (13, 3, 'on request', 0, '2024-03-01 00:00:00'),
  (14, 4, 1200, 1, '2024-03-02 12:00:00'),
  (15, 1, 0.1, 1, '2023-12-31 23:59:59');
