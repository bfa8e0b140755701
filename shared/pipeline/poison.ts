/** What becomes of records that cannot be applied: the job's `on_error`. */
import { z } from "zod";
import { RetryableError } from "../errors.ts";
import type { Admin, KafkaClient, NewTopic, Producer } from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { type DeadLetter, letterRecord } from "./dead_letter.ts";
import { minInsync } from "./positions.ts";
import { topicName } from "./routing.ts";

/** What a consume job says about such records. */
export const poisonOptions = {
  // What is passed over is missing in the target, and nobody may have asked for that.
  on_error: z.enum(["fail", "skip", "dead_letter"]).default("fail")
    .describe(
      "What to do with a record that cannot be applied (no change in this format, an unknown" +
        " definition, a row that the target refuses): `fail` stops the job with the place and the" +
        " cure, `skip` logs, counts and goes on, `dead_letter` puts it on another topic first. A" +
        " change in another format than `format` always stops the job.",
    ),
  dead_letter_topic: topicName.optional()
    .describe(
      "Topic for `on_error: dead_letter`, made when the first record needs it; left out," +
        " `{group_id}.dead-letters`.",
    ),
  // A journal holds some 40 bytes for each, and so many are no accident.
  dead_letter_limit: z.int().min(1).max(100_000).default(1_000)
    .describe(
      "So many dead letters of one partition may wait to be replayed; one more stops the job.",
    ),
};

/** The part of a job that says it. */
export interface PoisonJob {
  readonly name: string;
  readonly group_id?: string | undefined;
  readonly on_error: "fail" | "skip" | "dead_letter";
  readonly dead_letter_topic?: string | undefined;
  readonly dead_letter_limit: number;
}

/**
 * Largest letter: a record may come from a topic that allows more than most, and with better
 * compression. Brokers take requests of 100 MiB by default (`socket.request.max.bytes`).
 */
const LARGEST_LETTER_BYTES = 64 << 20;

/** Name of a job's dead letter topic. */
export function deadLetterTopic(
  { name, group_id, dead_letter_topic }: Pick<PoisonJob, "name" | "group_id" | "dead_letter_topic">,
): string {
  return dead_letter_topic ?? `${group_id ?? name}.dead-letters`;
}

/** How the transactional ids begin under which a group's consumers send dead letters. */
export function deadLetterIds(group_id: string): string {
  return `list-sync-dead-letters-${group_id}`;
}

/** Says what is wrong with the job's choice; undefined: nothing. */
export function poisonProblem(
  job: PoisonJob & { readonly topics?: readonly string[] | undefined },
): { field: "topics" | "dead_letter_topic"; message: string } | undefined {
  if (job.on_error !== "dead_letter") return undefined;
  const topic = deadLetterTopic(job);
  if (!poisonOptions.dead_letter_topic.safeParse(topic).success) {
    const found = JSON.stringify(topic);
    return {
      field: "dead_letter_topic",
      message: `${found} is made of \`group_id\` and is no name for a topic: give one`,
    };
  }
  if (!job.topics?.includes(topic)) return undefined;
  return { field: "topics", message: `${topic} is this job's own dead letter topic` };
}

/** What handling needs. */
export interface PoisonDeps {
  readonly kafka: KafkaClient;
  readonly admin: Admin;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "poison_records">;
  /** Added to as records are handled. */
  readonly totals: { skipped: number; dead_letters: number };
}

/** Handles the records of one session that cannot be applied. */
export class Poison {
  readonly on_error: PoisonJob["on_error"];
  readonly limit: number;
  readonly job: string;
  readonly group_id: string;
  readonly #topic: string;
  readonly #deps: PoisonDeps;
  /** One send at a time. */
  #sending: Promise<void> = Promise.resolve();
  #producer: Producer | undefined;

  constructor(job: PoisonJob, deps: PoisonDeps) {
    this.on_error = job.on_error;
    this.limit = job.dead_letter_limit;
    this.job = job.name;
    this.group_id = job.group_id ?? job.name;
    this.#topic = deadLetterTopic(job);
    this.#deps = deps;
  }

  /**
   * Handles records: behind this their offsets may be made durable. Of dead letters every in-sync
   * replica holds what was sent. Throws what the producer throws; none of them counts as handled then.
   */
  handle(letters: readonly DeadLetter[]): Promise<void> {
    const handled = this.#sending.then(() => this.#handle(letters));
    this.#sending = handled.catch(() => {});
    return handled;
  }

  async close(): Promise<void> {
    const { log } = this.#deps;
    await this.#sending;
    await this.#producer?.close().catch((error) => log.warn("close_failed", { error }));
  }

  async #handle(letters: readonly DeadLetter[]): Promise<void> {
    const { log, metrics, totals } = this.#deps;
    const isSkip = this.on_error === "skip";
    if (!isSkip) await this.#send(letters);
    for (const { origin: { topic, partition, offset }, reason, error } of letters) {
      const place = { topic, partition, offset, reason, error };
      if (isSkip) log.warn("record_skipped", place);
      else log.warn("dead_letter", { ...place, dead_letter_topic: this.#topic });
      metrics.poison_records.add(1, { reason, on_error: this.on_error });
    }
    totals[isSkip ? "skipped" : "dead_letters"] += letters.length;
  }

  async #send(letters: readonly DeadLetter[]): Promise<void> {
    this.#producer ??= await this.#open(letters[0]!.origin.topic);
    await this.#producer.send([
      { topic: this.#topic, partition: 0, records: letters.map(letterRecord) },
    ]);
  }

  async #open(source: string): Promise<Producer> {
    const { admin, kafka } = this.#deps;
    await admin.create_topics([await topicLike(admin, source, this.#topic)]);
    return await kafka.producer({
      // Its own: a consumer that was thought dead may send a letter again, which is recognised.
      transactional_id: `${deadLetterIds(this.group_id)}-${crypto.randomUUID()}`,
      fence: { partitions: [], ids: [] },
    });
  }
}

/** A dead letter topic as it is to be made: as safe as the topic that the records come from. */
export async function topicLike(admin: Admin, source: string, name: string): Promise<NewTopic> {
  const [info] = await admin.topics((topic) => topic === source);
  if (info === undefined) throw new RetryableError(`Topic ${source} is not there`);
  const { replication_factor } = info;
  return {
    name,
    partitions: 1,
    replication_factor,
    config: {
      "min.insync.replicas": minInsync(replication_factor),
      // They wait for a person.
      "cleanup.policy": "delete",
      "retention.ms": "-1",
      "max.message.bytes": String(LARGEST_LETTER_BYTES),
    },
  };
}
