/** What the capture workers have in common: everything but their source. */
import { openKafka } from "../shared/kafka/mod.ts";
import type { Log } from "../shared/observe/log.ts";
import { capture } from "../shared/pipeline/capture.ts";
import type { Source } from "../shared/sources/source.ts";
import type { JobOf } from "./jobs.ts";
import { runWorker } from "./worker.ts";

/** What a source is given beside its options. */
interface SourceContext {
  readonly name: string;
  readonly version: string;
  readonly log: Log;
  readonly now: () => number;
}

/** Runs the capture worker of one kind; `createSource` makes a source that is not open. */
export function runCapture<Kind extends "capture-pg" | "capture-mysql">(
  kind: Kind,
  createSource: (job: JobOf<Kind>, context: SourceContext) => Source,
): Promise<never> {
  return runWorker(kind, async (worker) => {
    const { job, log, metrics, health, signal, now, version, json } = worker;
    const context = { name: job.name, version, log, now };
    const summary = await capture(job, {
      source: () => createSource(job, context),
      kafka: await openKafka(job.kafka, "produce", log),
      version,
      log,
      metrics,
      signal,
      now,
      ready: (ready, reason = "") =>
        ready ? health.ready("start") : health.unready("start", reason),
    });
    log.info("capture_ended", { ...summary });
    if (json) console.log(JSON.stringify(summary));
    return 0;
  });
}
