#!/bin/bash
# Makes a new data folder, runs /docker-entrypoint-initdb.d on a server that listens on its socket only,
# and is the server.
set -eo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  pg_ctl --wait --options="-c listen_addresses=''" start
  createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_USER"
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) . "$file" ;;
      *.sql) psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --file="$file" ;;
    esac
  done
  pg_ctl --wait stop
fi
exec "$@"
