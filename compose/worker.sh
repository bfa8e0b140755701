#!/bin/sh
# Entry point of the image: worker.sh JOB [OPTION…]. Derives the least permissions of the job and then is
# its worker: process 1 of the container, which gets SIGTERM itself and drains.
set -eu
trap 'exit 143' TERM INT
job=${1:?a job file, such as /jobs/capture-pg.yaml}
shift
# Words are quoted as a shell reads them back. The brokers are asked what they advertise; when they do
# not answer this fails, and whatever started the container starts it again.
command=$(deno run --cached-only --allow-read --allow-env --allow-run=deno \
  /app/workers/commands/permissions.ts "$job")
eval "exec $command \"\$@\""
