/** The kinds of jobs: what each may say, which worker runs it, and what that worker needs. */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Path } from "../shared/jobs/document.ts";
import { address, type Grant, type Needs, NO_NEEDS } from "../shared/jobs/permissions.ts";
import { fetchOptions, kafkaOptions, produceOptions } from "../shared/kafka/options.ts";
import { observeOptions } from "../shared/observe/options.ts";
import {
  captureOptions,
  captureProblem,
  captureTopicOptions,
} from "../shared/pipeline/capture_options.ts";
import { consumeOptions, consumeProblem } from "../shared/pipeline/consume_options.ts";
import { seedOptions } from "../shared/seed/options.ts";
import { type CsvOptions, csvOptions } from "../shared/sinks/csv/options.ts";
import { noneOptions } from "../shared/sinks/none.ts";
import { mysqlOptions } from "../shared/sources/mysql/options.ts";
import { postgresOptions } from "../shared/sources/postgres/options.ts";
import { scratchFolder, verifyOptions } from "../shared/verify/options.ts";

/** What every job says, whatever its kind. */
function everyJob<Kind extends string>(kind: Kind) {
  return {
    job: z.literal(kind).describe("Kind of the job."),
    name: z.string().regex(
      /^[a-z0-9_-]{1,63}$/,
      "1 to 63 of: lower-case letters, digits, _ and -",
    ).describe(
      "Name of the job: 1 to 63 lower-case letters, digits, `_` and `-`. Topics, slots and groups are named after it.",
    ),
    observe: observeOptions.prefault({}).describe("Log, metrics and health."),
    // Below the 10 s that container engines wait by default between SIGTERM and SIGKILL.
    shutdown_timeout_ms: z.int().min(100).default(8_000).describe(
      "After SIGTERM, SIGINT or SIGHUP, how long to wait for brokers and targets before giving up unacknowledged work.",
    ),
  };
}

/** What every Kafka client needs besides the brokers: snappy is WebAssembly that is read by path. */
function kafkaFiles(): Grant[] {
  const module = import.meta.resolve("@platformatic/wasm-utils");
  return [{ value: fileURLToPath(new URL("native.wasm", module)), path: ["kafka"] }];
}

/** A kind of job. */
export interface JobKindSpec {
  /** One sentence for the reference. */
  readonly summary: string;
  readonly schema: z.ZodType;
  /** The task that starts it. */
  readonly command: "capture" | "consume" | "seed" | "verify";
  /** A job file of this kind to show in help texts. */
  readonly example: string;
  /** Its file in workers/. */
  readonly worker: string;
  /** What `deno task check` looks at is looked at again before the work begins. */
  readonly checked_at_start?: boolean;
  /** Top-level fields that may also be given on the command line. */
  readonly overrides: readonly string[];
  /** V8 options that measurements found worth having. */
  readonly v8_flags?: readonly string[];
  // deno-lint-ignore no-explicit-any -- each kind reads its own job; the table only passes it on
  readonly needs: (job: any) => Needs;
}

const captureKafka = z.strictObject({
  ...kafkaOptions.shape,
  ...produceOptions.shape,
  ...captureTopicOptions,
}).describe("The brokers, and the topics that are written.");

/** Tells a problem of several options together. */
function refine(
  problem: { field: string | readonly (string | number)[]; message: string } | undefined,
  context: z.RefinementCtx,
): void {
  if (problem === undefined) return;
  context.addIssue({ code: "custom", path: [problem.field].flat(), message: problem.message });
}

const capturePgJob = z.strictObject({
  ...everyJob("capture-pg"),
  source: postgresOptions.describe("The PostgreSQL server and what is captured of it."),
  kafka: captureKafka,
  ...captureOptions,
}).superRefine((job, context) => refine(captureProblem(job), context));

const captureMysqlJob = z.strictObject({
  ...everyJob("capture-mysql"),
  source: mysqlOptions.describe("The MySQL server and what is captured of it."),
  kafka: captureKafka,
  ...captureOptions,
}).superRefine((job, context) => refine(captureProblem(job), context));

const captureMariadbJob = z.strictObject({
  ...everyJob("capture-mariadb"),
  source: mysqlOptions.describe("The MariaDB server and what is captured of it."),
  kafka: captureKafka,
  ...captureOptions,
}).superRefine((job, context) => refine(captureProblem(job), context));

const seedJob = z.strictObject({ ...everyJob("seed"), ...seedOptions.shape });

const consumeCsvJob = z.strictObject({
  ...everyJob("consume-csv"),
  kafka: z.strictObject({ ...kafkaOptions.shape, ...fetchOptions.shape })
    .describe("The brokers, and how records are fetched."),
  ...consumeOptions,
  sink: z.union([csvOptions, noneOptions])
    .describe(
      "Where the rows go; `none` counts the changes without looking at their rows, and writes nothing.",
    ),
}).superRefine((job, context) => refine(consumeProblem(job), context));

const verifyJob = z.strictObject({ ...everyJob("verify"), ...verifyOptions.shape });

/**
 * For workers that pass changes on: what lives is one batch, so the old generation stays small, and
 * it is collected before it has grown by more than a fifth. Few objects outlive a batch: with a young
 * generation of half this size a backlog takes a quarter more processor time, with twice it takes
 * the same and 25 MB more. Hot code is compiled by the thread that runs it: in V8's own threads it takes
 * 7 MB more, and where a hundred workers share a process those hardly get to run, so that code stays
 * slow. The tasks `list-sync` and `compile` have the same flags.
 */
const PASSING_ON = [
  "--max-semi-space-size=8",
  "--heap-growing-percent=20",
  "--no-concurrent-recompilation",
];

/** What all captures have in common. */
const CAPTURE = {
  command: "capture",
  v8_flags: PASSING_ON,
  checked_at_start: true,
  overrides: ["mode"],
  needs: (
    { source, kafka }: { source: { host: string; port: number }; kafka: { brokers: string[] } },
  ): Needs => ({
    net: [server(source, ["source", "host"])],
    brokers: brokerGrants(kafka),
    read: kafkaFiles(),
    write: [],
  }),
} as const;

/** All kinds by the name that stands in `job:`. Adding one is an entry here. */
export const jobKinds = {
  "capture-pg": {
    summary: "Captures the changes of PostgreSQL tables into Kafka topics.",
    schema: capturePgJob,
    example: "jobs/capture-pg.yaml",
    worker: "capture-pg.ts",
    ...CAPTURE,
  },
  "capture-mysql": {
    summary: "Captures the changes of MySQL tables into Kafka topics.",
    schema: captureMysqlJob,
    example: "jobs/capture-mysql.yaml",
    worker: "capture-mysql.ts",
    ...CAPTURE,
  },
  "capture-mariadb": {
    summary: "Captures the changes of MariaDB tables into Kafka topics.",
    schema: captureMariadbJob,
    example: "jobs/capture-mariadb.yaml",
    worker: "capture-mariadb.ts",
    ...CAPTURE,
  },
  "consume-csv": {
    summary: "Writes the changes of Kafka topics into CSV files.",
    schema: consumeCsvJob,
    command: "consume",
    example: "jobs/consume-csv.yaml",
    worker: "consume-csv.ts",
    v8_flags: PASSING_ON,
    checked_at_start: true,
    overrides: ["mode", "consumer_id"],
    needs: ({ sink, kafka }: z.infer<typeof consumeCsvJob>): Needs => ({
      net: [],
      brokers: brokerGrants(kafka),
      read: [...kafkaFiles(), ...outputFolder(sink)],
      write: outputFolder(sink),
    }),
  },
  "seed": {
    summary: "Writes invented changes into a table.",
    schema: seedJob,
    command: "seed",
    example: "jobs/seed-pg.yaml",
    worker: "seed.ts",
    overrides: ["rows", "mix", "batch", "rate", "seed", "connections"],
    needs: ({ database }: z.infer<typeof seedJob>): Needs => ({
      ...NO_NEEDS,
      net: [server(database, ["database", "host"])],
    }),
  },
  "verify": {
    summary: "Compares the list rebuilt from a consumer's CSV files with the table.",
    schema: verifyJob,
    command: "verify",
    example: "jobs/verify-pg.yaml",
    worker: "verify.ts",
    overrides: ["differences", "memory_bytes"],
    // Rows are bytes outside V8's heap: large young generations only add to the peak.
    v8_flags: ["--max-semi-space-size=4"],
    needs: (job: z.infer<typeof verifyJob>): Needs => ({
      ...NO_NEEDS,
      net: [server(job.database, ["database", "host"])],
      read: [
        { value: job.files.output, path: ["files", "output"] },
        { value: scratchFolder(job), path: ["scratch"] },
      ],
      write: [{ value: scratchFolder(job), path: ["scratch"] }],
    }),
  },
} as const satisfies Record<string, JobKindSpec>;

/** The name of a kind. */
export type JobKind = keyof typeof jobKinds;

/** A kind that captures: its jobs have a source. */
export type CaptureKind = Extract<JobKind, `capture-${string}`>;

/** A validated job of the kind `Kind`. */
export type JobOf<Kind extends JobKind> = z.output<(typeof jobKinds)[Kind]["schema"]>;

/** The kind's entry, as the launcher and the reference read it. */
export function jobKind(kind: JobKind): JobKindSpec {
  return jobKinds[kind];
}

/** Whether jobs of this kind have a source. */
export function isCapture(kind: JobKind): kind is CaptureKind {
  return jobKinds[kind].command === "capture";
}

function server(at: { host: string; port: number }, path: Path): Grant {
  return { value: address(at.host, at.port), path };
}

function brokerGrants({ brokers }: { brokers: readonly string[] }): Grant[] {
  return brokers.map((value, index) => ({ value, path: ["kafka", "brokers", index] }));
}

function outputFolder(sink: CsvOptions | "none"): Grant[] {
  return sink === "none" ? [] : [{ value: sink.output, path: ["sink", "output"] }];
}
