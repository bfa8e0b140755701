/** What becomes of records that cannot be applied: the job's `on_error`. */
import { RetryableError } from "../errors.ts";
import type { Admin, KafkaClient, NewTopic, Producer } from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { deadLetterTopic, groupOf, type PoisonJob } from "./consume_options.ts";
import { type DeadLetter, letterRecord } from "./dead_letter.ts";
import { minInsync } from "./positions.ts";

/**
 * Largest letter: a record may come from a topic that allows more than most, and with better
 * compression. Brokers take requests of 100 MiB by default (`socket.request.max.bytes`).
 */
const LARGEST_LETTER_BYTES = 64 << 20;

/** How the transactional ids begin under which a group's consumers send dead letters. */
export function deadLetterIds(group_id: string): string {
  return `list-sync-dead-letters-${group_id}`;
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
    this.group_id = groupOf(job);
    this.#topic = deadLetterTopic(job);
    this.#deps = deps;
  }

  /**
   * Handles records: after this their offsets may be made durable. Of dead letters every in-sync
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
    await admin.createTopics([await topicLike(admin, source, this.#topic)]);
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
