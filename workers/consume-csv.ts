/** Worker: writes the changes of Kafka topics into CSV files. */
import { formats } from "../shared/formats/mod.ts";
import { openKafka } from "../shared/kafka/mod.ts";
import { type ConsumeSummary, runConsume } from "../shared/pipeline/consume.ts";
import { sinks } from "../shared/sinks/mod.ts";
import type { Sink, SinkContext } from "../shared/sinks/sink.ts";
import { EXIT_DONE } from "./cli/main.ts";
import { count, duration } from "./cli/figures.ts";
import { table } from "./cli/table.ts";
import type { JobOf } from "./jobs.ts";
import { runWorker } from "./runtime/worker.ts";

await runWorker("consume-csv", async ({ job, log, metrics, health, signal, now, json }) => {
  const { consumer_id } = job;
  const { format } = await formats[job.format]();
  const sink = await createSink(job.sink, { consumer_id, log, health, now });
  const kafka = await openKafka(job.kafka, log);
  const summary = await runConsume(job, { kafka, sink, format, log, metrics, health, signal, now });
  const { changes: { c, u, d, r }, seconds } = summary;
  const rows = c + r + d + 2 * u;
  const figures = { ...summary, rows, rows_per_second: Math.round(rows / seconds) };
  log.info("consumed", figures);
  if (json) console.log(JSON.stringify({ job: job.name, ...figures }));
  else if (job.mode === "batch") console.log(report(job.name, summary, rows));
  return EXIT_DONE;
});

async function createSink(
  options: JobOf<"consume-csv">["sink"],
  context: SinkContext,
): Promise<Sink> {
  if (options === "none") return (await sinks.none()).sink.create(options, context);
  return (await sinks.csv()).sink.create(options, context);
}

/** The result for people. */
function report(job: string, summary: ConsumeSummary, rows: number): string {
  const { topics, changes, repetitions, skipped, dead_letters, seconds } = summary;
  const passed = [["skipped", skipped], ["dead letters", dead_letters]] as const;
  const found = passed.filter(([, records]) => records > 0);
  return table(
    [
      ...[
        "job",
        "topics",
        "created",
        "updated",
        "deleted",
        "read",
        "repetitions",
        "rows",
        "time",
        "rows/s",
      ],
      ...found.map(([name]) => name),
    ],
    [[
      job,
      topics.join(", "),
      count(changes.c),
      count(changes.u),
      count(changes.d),
      count(changes.r),
      count(repetitions),
      count(rows),
      duration(seconds),
      count(Math.round(rows / seconds)),
      ...found.map(([, records]) => count(records)),
    ]],
  );
}
