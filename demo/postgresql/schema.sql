-- The demo's tables. Made anew for each run.
SET client_min_messages = warning;
DROP TABLE IF EXISTS audit, audits, orders, customers;

CREATE TABLE customers (
  id bigint PRIMARY KEY,
  discount integer NOT NULL
);

-- The unique key makes a redelivered message harmless; deliveries says how often one was met again.
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  customer_id bigint NOT NULL,
  cents bigint NOT NULL,
  status text NOT NULL DEFAULT 'new',
  deliveries integer NOT NULL DEFAULT 1,
  written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT orders_by_message UNIQUE (topic, partition, "offset")
);

-- Written only inside the transaction that somebody forgets.
CREATE TABLE audits (
  id bigserial PRIMARY KEY,
  note text NOT NULL
);

-- The trail that the native pool writes: a row for each time that a batch's orders were committed.
CREATE TABLE audit (
  id bigserial PRIMARY KEY,
  topic text NOT NULL,
  partition integer NOT NULL,
  first_offset bigint NOT NULL,
  last_offset bigint NOT NULL,
  orders integer NOT NULL,
  at timestamptz NOT NULL
);

-- The demo's own psql makes them, the application uses them.
ALTER TABLE customers OWNER TO poolkeeper;
ALTER TABLE orders OWNER TO poolkeeper;
ALTER TABLE audits OWNER TO poolkeeper;
ALTER TABLE audit OWNER TO poolkeeper;

INSERT INTO customers SELECT id, id % 30 FROM generate_series(1, 100) AS id;
