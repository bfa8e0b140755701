# Stands in for denoland/deno: the Deno that runs the test, with the same user and folder.
FROM list-sync-debian/base
RUN useradd --uid 1993 --user-group deno \
 && mkdir /deno-dir \
 && chown deno:deno /deno-dir
COPY deno /usr/bin/deno
# The base trusts what the machine trusts that it was made on.
ENV DENO_DIR=/deno-dir/ DENO_TLS_CA_STORE=system,mozilla
