ARG POSTGRES_IMAGE=postgres:15-bookworm
FROM ${POSTGRES_IMAGE}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql-15-wal2json \
 && rm -rf /var/lib/apt/lists/* \
 # Minor releases since 2026 start only the output plugins of this list; older ones refuse the setting.
 && if gosu postgres postgres --describe-config | grep -q '^output_plugin_libraries'; then \
      echo "output_plugin_libraries = 'wal2json,pgoutput'" >> /usr/share/postgresql/postgresql.conf.sample; \
    fi
