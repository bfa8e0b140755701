# Stands in for mysql: the server that Debian unstable has, with the same user, folders and scripts.
FROM list-sync-debian/base
RUN sed -Ei 's/ [a-z]+(-[a-z]+)? main/ unstable main/' /etc/apt/sources.list \
 && apt-get update \
 && apt-get install --yes --no-install-recommends mysql-server-core mysql-client-core \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 999 --home-dir /var/lib/mysql --shell /bin/bash mysql \
 && mkdir -p /var/lib/mysql /var/run/mysqld /docker-entrypoint-initdb.d \
 && chown mysql:mysql /var/lib/mysql /var/run/mysqld
COPY mysql.sh /usr/local/bin/docker-entrypoint.sh
RUN chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mysqld"]
