#!/bin/bash
# Sourced once, when the data is new: the same database, accounts and rights as compose/native/mysql.ts.
# The passwords consist of letters, digits, - and _, so they can stand in quotes.
docker_process_sql <<SQL
SET SESSION sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS shop;
CREATE USER IF NOT EXISTS 'admin'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_admin)';
CREATE USER IF NOT EXISTS 'list_sync'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_replicator)';
CREATE USER IF NOT EXISTS 'writer'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_writer)';
GRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION;
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'list_sync'@'%';
GRANT SELECT ON shop.* TO 'list_sync'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON shop.* TO 'writer'@'%';
SQL
