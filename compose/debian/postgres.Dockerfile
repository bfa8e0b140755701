# Stands in for postgres:15-bookworm: Debian's server, with the same user, folders, scripts and sample file.
FROM list-sync-debian/base
RUN useradd --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && apt-get install --yes --no-install-recommends postgresql-15 gosu \
 && rm -rf /var/lib/apt/lists/* \
 && mv /usr/share/postgresql/15/postgresql.conf.sample /usr/share/postgresql/ \
 && ln -s ../postgresql.conf.sample /usr/share/postgresql/15/ \
 && echo "listen_addresses = '*'" >> /usr/share/postgresql/postgresql.conf.sample \
 && mkdir -p /var/lib/postgresql/data /var/run/postgresql /docker-entrypoint-initdb.d \
 && chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PGDATA=/var/lib/postgresql/data \
    LANG=C.UTF-8
COPY postgres.sh /usr/local/bin/docker-entrypoint.sh
RUN chmod 755 /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
