# The image of all workers: Deno, the code, its dependencies as deno.lock has them. Run it with a job file:
# docker run --volume "$PWD/jobs:/jobs:ro" list-sync/worker:0.1.0 /jobs/capture-pg.yaml
ARG DENO_IMAGE=denoland/deno:2.9.6
FROM ${DENO_IMAGE}
WORKDIR /app
COPY deno.json deno.lock ./
COPY shared shared
COPY workers workers
COPY compose/worker.sh compose/http.sh /usr/local/bin/
# The user deno owns nothing but the folders for files: a volume that is mounted there takes its owner over.
RUN deno cache --frozen workers/*.ts workers/commands/permissions.ts workers/launcher/brokers.ts \
 && chmod -R a+rX /app "$DENO_DIR" \
 && chmod 755 /usr/local/bin/worker.sh /usr/local/bin/http.sh \
 && mkdir /out /scratch \
 && chown deno:deno /out /scratch
# Deno asks its maker for a newer version otherwise.
ENV DENO_NO_UPDATE_CHECK=1
USER deno
ENTRYPOINT ["worker.sh"]
