-- The demo's tables. Made anew for each run.
DROP TABLE IF EXISTS audit, audits, orders, customers;

CREATE TABLE customers (
  id bigint PRIMARY KEY,
  discount integer NOT NULL
);

-- The unique key makes a redelivered message harmless; deliveries says how often one was met again.
CREATE TABLE orders (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  topic varchar(100) NOT NULL,
  `partition` integer NOT NULL,
  `offset` bigint NOT NULL,
  customer_id bigint NOT NULL,
  cents bigint NOT NULL,
  status varchar(20) NOT NULL DEFAULT 'new',
  deliveries integer NOT NULL DEFAULT 1,
  written_at datetime(6) NOT NULL DEFAULT current_timestamp(6),
  CONSTRAINT orders_by_message UNIQUE (topic, `partition`, `offset`)
);

-- Written only inside the transaction that somebody forgets.
CREATE TABLE audits (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  note varchar(100) NOT NULL
);

-- The trail that the native pool writes: a row for each time that a batch's orders were committed.
CREATE TABLE audit (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  topic varchar(100) NOT NULL,
  `partition` integer NOT NULL,
  first_offset bigint NOT NULL,
  last_offset bigint NOT NULL,
  orders integer NOT NULL,
  at datetime(6) NOT NULL
);

INSERT INTO customers SELECT seq, seq % 30 FROM seq_1_to_100;
