/** What `deno task check` looks at, and every worker again at its start. */
import type { TableSchema } from "../../shared/change.ts";
import { classify, ConfigError, cureOf, reasonOf } from "../../shared/errors.ts";
import { isPattern } from "../../shared/jobs/glob.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { principalOf, timeouts } from "../../shared/kafka/options.ts";
import type { Log } from "../../shared/observe/log.ts";
import { oversizeTopic } from "../../shared/pipeline/capture_options.ts";
import { deadLetterTopic, groupOf } from "../../shared/pipeline/consume_options.ts";
import { noteTopics } from "../../shared/pipeline/notes.ts";
import { type Preflight, preflight, templateMatcher } from "../../shared/pipeline/preflight.ts";
import { transactionalId } from "../../shared/pipeline/positions.ts";
import { captureRights, consumeRights, type WantedRight } from "../../shared/pipeline/rights.ts";
import { topicOf } from "../../shared/pipeline/routing.ts";
import { topicMatcher } from "../../shared/pipeline/topics.ts";
import type { Finding } from "../../shared/sources/source.ts";
import { splitTableName } from "../../shared/table_name.ts";
import { idleRules, ruleFaults } from "../../shared/transforms/columns.ts";
import { type CaptureKind, isCapture, type JobKind, type JobOf } from "../jobs.ts";
import { connectorOf, sourceMaker } from "./sources.ts";

/** What looking needs besides the job. */
export interface InspectDeps {
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Whether this process may connect to `host:port`; left out: it may connect anywhere. */
  readonly mayConnect?: (address: string) => boolean;
}

/** A server that could not be looked at. */
export interface Unreached {
  /** `source` or `kafka`. */
  readonly subject: string;
  readonly error: unknown;
}

/** What was found, and what could not be looked at. */
export interface Inspection {
  readonly findings: readonly Finding[];
  readonly unreached: readonly Unreached[];
}

/** Connects to everything that a job names, looks, and changes nothing. */
export async function inspectJob<Kind extends JobKind>(
  kind: Kind,
  job: JobOf<Kind>,
  deps: InspectDeps,
): Promise<Inspection> {
  const looks = looksOf(kind, job, deps);
  const looked = await Promise.all(
    Object.entries(looks).map(([subject, look]) =>
      look().then(
        (findings) => ({ findings, unreached: [] }),
        (error) => ({ findings: [], unreached: [{ subject, error }] }),
      )
    ),
  );
  return {
    findings: looked.flatMap(({ findings }) => findings),
    unreached: looked.flatMap(({ unreached }) => unreached),
  };
}

type Looks = Record<string, () => Promise<Finding[]>>;

function looksOf(kind: JobKind, job: JobOf<JobKind>, deps: InspectDeps): Looks {
  if (isCapture(kind)) {
    const capture = job as JobOf<CaptureKind>;
    return {
      source: () => inspectSource(kind, capture, deps),
      kafka: () =>
        inspectBrokers(capture.kafka, {
          topics: {
            match: templateMatcher(capture.kafka.topic, capture.name),
            text: capture.kafka.topic,
          },
          rights: rightsOfCapture(kind, capture),
          writes: capture.kafka,
          dead_letter_topic: oversizeTopicOf(capture),
        }, deps),
    };
  }
  if (kind === "consume-csv") {
    const consume = job as JobOf<"consume-csv">;
    const text = consume.topics?.join(", ") ?? consume.topic_pattern!;
    const topics = { match: topicMatcher(consume), text };
    const dead_letter_topic = consume.on_error === "dead_letter"
      ? deadLetterTopic(consume)
      : undefined;
    const rights = consumeRights(groupOf(consume), consume.topics ?? [], dead_letter_topic);
    const wanted = { topics, rights, dead_letter_topic };
    return { kafka: () => inspectBrokers(consume.kafka, wanted, deps) };
  }
  const { database, table } = job as JobOf<"seed" | "verify">;
  return {
    database: async () => {
      // Loaded here: captures and consumers look with connections of their own.
      const { inspectTable } = await import("../../shared/database/inspect.ts");
      return await inspectTable(database, table, kind === "seed" ? "writes" : "reads");
    },
  };
}

/** What the brokers must allow; of the tables those count that are named without a pattern. */
function rightsOfCapture(kind: CaptureKind, job: JobOf<CaptureKind>): WantedRight[] {
  const connector = connectorOf(kind);
  const database = kind === "capture-pg" ? (job as JobOf<"capture-pg">).source.database : undefined;
  const topics = job.source.tables.filter((name) => !isPattern(name)).map((name) => {
    const [first, table] = splitTableName(name);
    const [db, schema] = database === undefined ? [first, null] : [database, first];
    return topicOf(job.kafka.topic, job.name, { db, schema, table });
  });
  const notes = Object.values(noteTopics(job, job.kafka.replication_factor));
  const names = [...topics, ...notes.map(({ name }) => name), oversizeTopicOf(job)]
    .filter((name) => name !== undefined);
  return captureRights(transactionalId({ connector, name: job.name }), names);
}

/** Where changes that are too large are referred to; undefined: they stop the job. */
function oversizeTopicOf(job: JobOf<CaptureKind>): string | undefined {
  return job.on_oversize === "dead_letter" ? oversizeTopic(job) : undefined;
}

async function inspectSource(
  kind: CaptureKind,
  job: JobOf<CaptureKind>,
  deps: InspectDeps,
): Promise<Finding[]> {
  const source = (await sourceMaker(kind, job, deps))();
  try {
    const judge = (tables: readonly TableSchema[]) => inspectColumns(job, tables);
    return await source.inspect(job.columns.length > 0 ? judge : undefined);
  } finally {
    await source.close();
  }
}

/** Rules that would stop the capture at a table's first row, and those that do nothing. */
function inspectColumns(
  { columns }: Pick<JobOf<CaptureKind>, "columns">,
  tables: readonly TableSchema[],
): Finding[] {
  const faults = ruleFaults(columns, tables).map(({ rule, error }): Finding => ({
    level: "error",
    subject: `columns ${rule}`,
    found: error.message,
    cure: error.cure,
  }));
  const idle = idleRules(columns, tables).map((rule): Finding => ({
    level: "warning",
    subject: `columns ${rule}`,
    found: "no captured table has this name yet: nothing is left out or masked by this rule",
    cure: "correct its table, or leave the rule for a table that is still to come",
  }));
  return [...faults, ...idle];
}

async function inspectBrokers(
  kafka: JobOf<"consume-csv">["kafka"] | JobOf<CaptureKind>["kafka"],
  wanted: Pick<Preflight, "topics" | "rights" | "writes" | "dead_letter_topic">,
  { log, mayConnect }: InspectDeps,
): Promise<Finding[]> {
  const admin = await (await openKafka(kafka, log)).admin();
  try {
    const { connect_timeout_ms } = timeouts(kafka);
    const user = principalOf(kafka);
    return await preflight({ admin, connect_timeout_ms, mayConnect, user, ...wanted });
  } finally {
    await admin.close();
  }
}

/**
 * The check at a worker's start: warnings are logged, errors refuse the start with a ConfigError. A
 * server that does not answer just now is left to the worker, which tries again.
 */
export async function checkAtStart<Kind extends JobKind>(
  kind: Kind,
  job: JobOf<Kind>,
  deps: InspectDeps,
): Promise<void> {
  const { findings, unreached } = await inspectJob(kind, job, deps);
  for (const { subject, error } of unreached) {
    if (classify(error) === "stop") throw error;
    deps.log.warn("check_skipped", { subject, error });
  }
  for (const { level, subject, found, cure } of findings) {
    if (level === "warning") deps.log.warn("check", { subject, found, cure });
  }
  refuseErrors(findings);
}

/** Throws ConfigError with each error among the findings and its cure. */
export function refuseErrors(findings: readonly Finding[]): void {
  const errors = findings.filter(({ level }) => level === "error");
  if (errors.length === 0) return;
  const list = errors.map(({ subject, found, cure }, at) =>
    `${errors.length > 1 ? `(${at + 1}) ` : ""}${subject}: ${found}.` +
    (cure === undefined ? "" : ` To mend: ${cure}`)
  );
  throw new ConfigError(`The job cannot run: ${list.join(" ")}`);
}

/** Findings with what was not reached among them, as errors. */
export function allFindings({ findings, unreached }: Inspection): Finding[] {
  const failed = unreached.map(({ subject, error }): Finding => ({
    level: "error",
    subject,
    found: reasonOf(error),
    cure: cureOf(error),
  }));
  return [...findings, ...failed];
}
