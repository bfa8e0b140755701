#!/bin/bash
# Makes a new data folder, runs /docker-entrypoint-initdb.d on a server that listens on its socket only,
# gives root a random password, and is the server.
set -eo pipefail
socket=/var/run/mysqld/mysqld.sock
server=("$@" --datadir=/var/lib/mysql "--socket=$socket" --pid-file=/var/run/mysqld/mysqld.pid --secure-file-priv=)

docker_process_sql() { mysql --no-defaults --user=root "--socket=$socket" "$@"; }

if [ ! -d /var/lib/mysql/mysql ]; then
  "${server[@]}" --initialize-insecure
  "${server[@]}" --skip-networking &
  pid=$!
  for _ in {1..300}; do
    docker_process_sql --execute='SELECT 1' > /dev/null 2>&1 && break
    sleep 0.2
  done
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) . "$file" ;;
      *.sql) docker_process_sql < "$file" ;;
    esac
  done
  password=$(head -c 18 /dev/urandom | base64)
  docker_process_sql --execute="SET sql_log_bin = 0; ALTER USER root@localhost IDENTIFIED BY '$password'"
  kill "$pid"
  wait "$pid"
fi
exec "${server[@]}"
