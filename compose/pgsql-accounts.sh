#!/bin/bash
# Runs once, when the data is new: the same database, accounts and rights as compose/native/postgres.ts.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --username=admin --dbname=postgres <<'SQL'
\set replicator `cat /run/secrets/pg_replicator`
\set writer `cat /run/secrets/pg_writer`
CREATE ROLE writer LOGIN PASSWORD :'writer';
CREATE ROLE list_sync LOGIN REPLICATION PASSWORD :'replicator';
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
CREATE DATABASE shop OWNER writer;
REVOKE CONNECT, TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO list_sync;
\connect shop
ALTER DEFAULT PRIVILEGES FOR ROLE writer IN SCHEMA public GRANT SELECT ON TABLES TO list_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE admin IN SCHEMA public GRANT SELECT ON TABLES TO list_sync;
SQL
