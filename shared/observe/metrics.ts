/** The metrics of a worker: every name stands once, in `METRICS`, and the reference is made from it. */
import { HistoryLostError, RetryableError, SnapshotCutError } from "../errors.ts";

/** A metric as it is told to Prometheus. */
export interface Spec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** Classes of errors that are told apart, the most telling first; any other is `other`. */
const ERROR_KINDS = [HistoryLostError, SnapshotCutError, RetryableError];

/** The label of an error: the name of its class, or of a more telling one that its cause is of. */
export function errorKind(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const kind = ERROR_KINDS.find((Kind) => error instanceof Kind || cause instanceof Kind);
  return kind?.name ?? "other";
}

/** Everything that a worker measures. Keys are how the code calls them, `name` how Prometheus does. */
export const METRICS = {
  changes: {
    name: "list_sync_changes_total",
    type: "counter",
    labels: ["op"],
    help: "Completed changes: acknowledged by all in-sync replicas (capture), " +
      "durable in the sink (consume), committed in the table (seed).",
  },
  records: {
    name: "list_sync_records_total",
    type: "counter",
    labels: [],
    help: "Kafka records written (capture) or read (consume), repetitions included.",
  },
  bytes: {
    name: "list_sync_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of the keys and values of those records, before compression.",
  },
  batch_records: {
    name: "list_sync_batch_records",
    type: "histogram",
    labels: [],
    help: "Records in one batch.",
    buckets: [1, 10, 100, 1_000, 2_500, 5_000, 10_000, 25_000],
  },
  flush_seconds: {
    name: "list_sync_flush_seconds",
    type: "histogram",
    labels: [],
    help: "Time from handing a batch over until it is acknowledged (capture) or durable (consume).",
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  },
  lag_seconds: {
    name: "list_sync_lag_seconds",
    type: "gauge",
    labels: [],
    help: "Age of the newest completed change when it was completed, by its commit time in the " +
      "source; while brokers do not answer (capture) that of the oldest one waiting; 0 when " +
      "nothing is waiting.",
  },
  lag_bytes: {
    name: "list_sync_lag_bytes",
    type: "gauge",
    labels: [],
    help: "Bytes of the source's log after the point where a restart would resume (capture).",
  },
  lag_changes: {
    name: "list_sync_lag_changes",
    type: "gauge",
    labels: [],
    help: "Changes read from the log and not yet acknowledged by all in-sync replicas; of the " +
      "rest of the log only the size in bytes is known (capture).",
  },
  snapshot_rows: {
    name: "list_sync_snapshot_read_rows",
    type: "gauge",
    labels: [],
    help: "Rows that the snapshot has read and that are acknowledged, earlier attempts included " +
      "(capture).",
  },
  snapshot_rows_estimated: {
    name: "list_sync_snapshot_estimated_rows",
    type: "gauge",
    labels: [],
    help: "Rows that the snapshot is to read, as the database estimates them (capture).",
  },
  lag_records: {
    name: "list_sync_lag_records",
    type: "gauge",
    labels: ["topic", "partition"],
    help: "Offsets between what is durable and the partition's end (consume).",
  },
  retries: {
    name: "list_sync_retries_total",
    type: "counter",
    labels: ["reason"],
    help: "Attempts repeated after a transient fault.",
  },
  errors: {
    name: "list_sync_errors_total",
    type: "counter",
    labels: ["kind"],
    help: "Errors after which everything was closed and started again, by class: " +
      `${
        ERROR_KINDS.map(({ name }) => name).join(", ")
      }, other. The one that ends a worker is in its log.`,
  },
  repetitions_dropped: {
    name: "list_sync_repetitions_dropped_total",
    type: "counter",
    labels: [],
    help: "Changes dropped because their position was not greater than the last one.",
  },
  poison_records: {
    name: "list_sync_poison_records_total",
    type: "counter",
    labels: ["reason", "on_error"],
    help:
      "Records that could not be applied (consume: format, schema, sink) or written (capture: " +
      "oversize), by reason and by what became of them (skip, dead_letter).",
  },
  last_acknowledged_timestamp: {
    name: "list_sync_last_acknowledged_timestamp_seconds",
    type: "gauge",
    labels: [],
    help: "When a batch was last acknowledged (capture) or made durable (consume), Unix time.",
  },
  resident_memory: {
    name: "list_sync_resident_memory_bytes",
    type: "gauge",
    labels: [],
    help: "Memory that the process holds, read when asked.",
  },
} as const satisfies Record<string, Spec>;

type Specs = typeof METRICS;

/** One value per label; left out for a metric without labels. */
type Labels<Names extends readonly string[]> = Names extends readonly [] ? []
  : [labels: Readonly<Record<Names[number], string>>];

interface Meters<Names extends readonly string[]> {
  counter: { add(count: number, ...labels: Labels<Names>): void };
  gauge: {
    set(value: number, ...labels: Labels<Names>): void;
    /** Forgets what stands under these labels: a partition that is no longer ours has no lag. */
    drop(...labels: Labels<Names>): void;
  };
  histogram: { observe(value: number, ...labels: Labels<Names>): void };
}

/**
 * The metrics of one process. Update them per batch, never per change: an update looks its labels up.
 * `metrics.changes.add(412, { op: "c" })`, `metrics.lag_seconds.set(0.2)`.
 */
export type Metrics =
  & { readonly [Key in keyof Specs]: Meters<Specs[Key]["labels"]>[Specs[Key]["type"]] }
  & {
    /** All of them in the Prometheus text format. */
    text(): Promise<string>;
  };

/** For callers that publish no metrics: nothing is counted, and no library is loaded for it. */
export const NO_METRICS: Metrics = {
  ...Object.fromEntries(
    Object.keys(METRICS).map((key) => [key, { add() {}, set() {}, drop() {}, observe() {} }]),
  ) as unknown as Metrics,
  text: () => Promise.resolve(""),
};
