#!/bin/sh
# Makes the passwords of the databases' accounts in compose/secrets, those that are not there yet.
# The folder is closed to others; the files are not, because containers read them as users of their own.
set -eu
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 700 "$folder"
for account in pg_admin pg_replicator pg_writer mysql_admin mysql_replicator mysql_writer; do
  [ -s "$folder/$account" ] && continue
  head -c 18 /dev/urandom | base64 | tr '+/' '-_' > "$folder/$account"
  chmod 444 "$folder/$account"
done
