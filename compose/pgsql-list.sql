-- The table of compose/jobs, as `seed` makes it, and the publication, which only its owner may make.
\connect shop
SET ROLE writer;
CREATE TABLE list (
  id BIGSERIAL PRIMARY KEY,
  category TEXT NOT NULL,
  domain TEXT NOT NULL,
  "timestamp" TIMESTAMP(6) NOT NULL
);
CREATE INDEX list_domain_idx ON list (domain);
CREATE PUBLICATION list_sync_shop_pg FOR TABLE list;
