/**
 * A CSV consumer that a test breaks on purpose: `consume_csv.ts SABOTAGE JOB`. The product has no such
 * switch; here its parts are put together with one of them replaced.
 */
import { plainChange } from "../../../shared/change.ts";
import type { Format } from "../../../shared/formats/format.ts";
import { format as json } from "../../../shared/formats/json.ts";
import { openKafka } from "../../../shared/kafka/mod.ts";
import { fetchOptions, kafkaOptions } from "../../../shared/kafka/options.ts";
import { createHealth } from "../../../shared/observe/health.ts";
import { createLog } from "../../../shared/observe/log.ts";
import { createMetrics } from "../../../shared/observe/prometheus.ts";
import { runConsume } from "../../../shared/pipeline/consume.ts";
import { CsvSink } from "../../../shared/sinks/csv.ts";
import { csvOptions } from "../../../shared/sinks/csv/options.ts";
import { type Disk, disk } from "../../../shared/sinks/csv/disk.ts";
import type { Sink } from "../../../shared/sinks/sink.ts";

/** Says that what was accepted is durable, and writes it when the partition is given up. */
function commitBeforeData(sink: Sink): Sink {
  const accepted = new Map<string, number>();
  return {
    async open(partition, signal) {
      await sink.open(partition, signal);
      return undefined; // the group's offset alone counts
    },
    write(at, batch) {
      accepted.set(`${at.topic}/${at.partition}`, batch.standing.next_offset);
      return sink.write(at, batch);
    },
    flush({ topic, partition }) {
      const next_offset = accepted.get(`${topic}/${partition}`);
      accepted.delete(`${topic}/${partition}`);
      if (next_offset === undefined) return Promise.resolve(undefined);
      return Promise.resolve({ topic, partition, durable: true, next_offset });
    },
    async release(at) {
      await sink.flush(at);
      await sink.release(at);
    },
    close: () => sink.close(),
  };
}

/** Every record seems to come from a source of its own, so that no position repeats another. */
function skipPositionCheck(format: Format): Format {
  let count = 0;
  return {
    ...format,
    decode(record, schemas) {
      const change = plainChange(format.decode(record, schemas));
      return { ...change, source: { ...change.source, name: `source-${count++}` } };
    },
  };
}

/** Leaves the sync of the data out: journal and commit come first. */
const journalBeforeData: Disk = {
  ...disk,
  open(path, how) {
    const file = disk.open(path, how);
    if (path.endsWith(".part")) file.sync = () => Promise.resolve();
    return file;
  },
};

const [sabotage, path] = Deno.args;
const job = JSON.parse(Deno.readTextFileSync(path!));
const log = createLog({
  job: job.name,
  write: (line) => void Deno.stderr.writeSync(new TextEncoder().encode(line)),
  now: Date.now,
});
const health = createHealth();
const stop = new AbortController();
Deno.addSignalListener("SIGTERM", () => stop.abort("SIGTERM"));
const csv = new CsvSink(
  csvOptions.parse(job.sink),
  { consumer_id: "1", log, health, now: Date.now },
  sabotage === "journal before data" ? journalBeforeData : disk,
);
const kafka = {
  ...kafkaOptions.parse({ brokers: job.kafka.brokers }),
  ...fetchOptions.parse({ session_timeout_ms: job.kafka.session_timeout_ms }),
};
const defaults = {
  flush_bytes: 32 << 20,
  topic_refresh_ms: 10_000,
  on_error: "fail",
  dead_letter_limit: 1,
};
await runConsume({ ...defaults, ...job, kafka }, {
  kafka: await openKafka(kafka, log),
  sink: sabotage === "commit before data" ? commitBeforeData(csv) : csv,
  format: sabotage === "skip the position check" ? skipPositionCheck(json) : json,
  log,
  metrics: createMetrics(),
  health,
  signal: stop.signal,
  now: Date.now,
});
