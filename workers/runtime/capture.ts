/** What the capture workers have in common. */
import { openKafka } from "../../shared/kafka/mod.ts";
import { capture, type CaptureSummary } from "../../shared/pipeline/capture.ts";
import { EXIT_DONE } from "../cli/main.ts";
import { count, duration } from "../cli/figures.ts";
import { table } from "../cli/table.ts";
import type { CaptureKind } from "../jobs.ts";
import { SnapshotBar } from "./snapshot_bar.ts";
import { sourceMaker } from "./sources.ts";
import { runWorker } from "./worker.ts";

/** Runs the capture worker of one kind. */
export function runCapture(kind: CaptureKind): Promise<never> {
  return runWorker(
    kind,
    async ({ job, log, metrics, health, signal, now, version, json, board }) => {
      const bar = board && new SnapshotBar(board);
      const summary = await capture(job, {
        source: await sourceMaker(kind, job, { log, now }),
        kafka: await openKafka(job.kafka, log),
        version,
        log,
        metrics,
        signal,
        now,
        ready: (isReady, reason = "") =>
          isReady ? health.ready("start") : health.unready("start", reason),
        ...bar && { progress: (state) => bar.update(state) },
      });
      log.info("captured", { ...summary });
      if (json) console.log(JSON.stringify({ job: job.name, ...summary }));
      else if (job.mode === "batch") console.log(report(job.name, summary));
      return EXIT_DONE;
    },
  );
}

/** The result for people. */
function report(job: string, { changes, repetitions, seconds }: CaptureSummary): string {
  const { r, c, u, d, t } = changes;
  return table(
    [
      "job",
      "read",
      "created",
      "updated",
      "deleted",
      "truncated",
      "repetitions",
      "time",
      "changes/s",
    ],
    [[
      job,
      ...[r, c, u, d, t, repetitions].map(count),
      duration(seconds),
      count(Math.round((r + c + u + d + t) / seconds)),
    ]],
  );
}
