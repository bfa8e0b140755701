-- The table of compose/jobs, as `seed` makes it.
SET SESSION sql_log_bin = 0;
CREATE TABLE shop.list (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  category VARCHAR(64) NOT NULL,
  domain VARCHAR(255) NOT NULL,
  `timestamp` DATETIME(6) NOT NULL,
  INDEX list_domain_idx (domain)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
