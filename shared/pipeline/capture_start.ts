/** How a capture begins: it claims its source, shuts out who wrote before, and learns what the topics hold. */
import type { SourceIdentity } from "../change.ts";
import { ConfigError, HistoryLostError, READ_ALL_AGAIN, RetryableError } from "../errors.ts";
import type { Format } from "../formats/format.ts";
import type { Admin, KafkaClient, Producer, TopicPartition } from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import { formatPosition } from "../position.ts";
import type { ResumePoint, Source } from "../sources/source.ts";
import type { CaptureJob } from "./capture_session.ts";
import { noteTopicNames } from "./notes.ts";
import {
  lastGeneration,
  nextGeneration,
  POSITIONS_TOPIC,
  positionsTopic,
  readPosition,
  type StoredPosition,
  transactionalId,
} from "./positions.ts";
import { routingFingerprint } from "./routing.ts";
import { SCHEMAS_TOPIC, schemasTopic } from "./schemas.ts";
import { readTails, refuseLostTopics } from "./tails.ts";

/** What a capture begins with. */
export interface StartParts {
  /** Not open yet. */
  readonly source: Source;
  readonly identity: SourceIdentity;
  readonly kafka: KafkaClient;
  readonly admin: Admin;
  readonly format: Format;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Whether history is lost, so that a new generation begins. */
  readonly lost: boolean;
}

/** What a capture goes on with. */
export interface Started {
  readonly producer: Producer;
  /** To be stored before anything is sent. */
  readonly stored: StoredPosition;
  /** Where the source stands, which is open now. */
  readonly resume: ResumePoint;
}

/**
 * Claims the source, shuts out older producers, and reads what the topics hold. In this order: a second
 * capture is refused before it could fence the first, and after the fence nobody but this process
 * writes, so the tails are final. Throws as the source and the brokers do; HistoryLostError where the
 * source or a topic no longer has what comes next.
 */
export async function startCapture(job: CaptureJob, parts: StartParts): Promise<Started> {
  const start = new CaptureStart(job, parts);
  try {
    return await start.run();
  } catch (error) {
    await start.producer?.close().catch((error) => parts.log.debug("close_failed", { error }));
    throw error;
  }
}

class CaptureStart {
  readonly #job: CaptureJob;
  readonly #parts: StartParts;
  /** Note topics that are known to be gone. */
  readonly #notes_lost = new Set<string>();
  producer: Producer | undefined;

  constructor(job: CaptureJob, parts: StartParts) {
    this.#job = job;
    this.#parts = parts;
  }

  async run(): Promise<Started> {
    const { admin, lost } = this.#parts;
    const { replication_factor } = this.#job.kafka;
    await admin.createTopics([
      positionsTopic(replication_factor),
      schemasTopic(replication_factor),
    ]);
    const known = await this.#readPosition();
    this.#refuseOtherRouting(known);
    const isAnew = lost || known?.reset === true;
    const generation = await this.#generation(known, isAnew);
    if (known !== undefined && !isAnew) await refuseLostTopics(admin, known);
    const resume = await this.#openSource(isAnew ? undefined : known, generation);
    const producer = this.producer = await this.#fence(known, isAnew);
    const stored = await this.#standing(known, { isAnew, generation, resume });
    return { producer, stored, resume };
  }

  /** The generation to begin with: that of before, or a higher one. */
  async #generation(known: StoredPosition | undefined, isAnew: boolean): Promise<number> {
    if (known !== undefined && !isAnew) return known.generation;
    const { admin, identity, now } = this.#parts;
    const last = known?.generation ?? await lastGeneration(admin, identity);
    return nextGeneration(last, now());
  }

  /** Opens the producer, which shuts out whoever may still write what is `known`. */
  async #fence(known: StoredPosition | undefined, isAnew: boolean): Promise<Producer> {
    const { kafka, admin, identity } = this.#parts;
    const transactional_id = transactionalId(identity);
    const partitions = partitionsOf(known);
    return await kafka.producer({
      transactional_id,
      fence: {
        partitions: isAnew ? await existing(admin, partitions) : partitions,
        ids: (known?.transactional_ids ?? []).filter((id) => id !== transactional_id),
      },
      tells_too_large: this.#job.on_oversize === "dead_letter",
    });
  }

  /** What is stored from here on. `known`: what was stored before the fence. */
  async #standing(
    known: StoredPosition | undefined,
    { isAnew, generation, resume }: {
      readonly isAnew: boolean;
      readonly generation: number;
      readonly resume: ResumePoint;
    },
  ): Promise<StoredPosition> {
    const { source, admin, format, identity, log } = this.#parts;
    const stored = await this.#readPosition();
    if (partitionsOf(stored).length !== partitionsOf(known).length) {
      throw new RetryableError(
        "Another capture of this job wrote a new topic while this one began",
      );
    }
    this.#refuseOtherRouting(stored);
    const before = isAnew ? undefined : stored;
    if (before !== undefined) {
      const { records } = await readTails(admin, before, format, identity);
      const topics = Object.keys(before.topics).length;
      log.info("tails_read", { records, topics });
    }
    const isMoved = source.generation > generation;
    const isOwn = resume["snapshot"] !== undefined || isMoved;
    if (isOwn && !isAnew && !isSame(stored?.resume, known?.resume)) {
      throw new RetryableError("The capture went on in another process while this one began");
    }
    return {
      version: 1,
      resume: isOwn ? resume : before?.resume ?? resume,
      covered: before?.covered ?? formatPosition({ generation, major: 0n, minor: 0n, row: 0 }),
      generation: source.generation,
      // Without a prototype: a topic may be called `constructor`.
      topics: Object.assign(Object.create(null), before?.topics),
      routing: routingOf(this.#job),
      transactional_ids: [transactionalId(identity)],
      clean: false,
    };
  }

  /**
   * What is stored, without note topics that somebody deleted since: no change was lost with them, and
   * what is told from now on goes to one that is made anew.
   */
  async #readPosition(): Promise<StoredPosition | undefined> {
    const { admin, identity, log } = this.#parts;
    const stored = await readPosition(admin, identity);
    if (stored === undefined) return undefined;
    const names = noteTopicNames(this.#job.name);
    const found = await admin.topics((name) => names.includes(name));
    for (const name of names) {
      const id = found.find((topic) => topic.name === name)?.id;
      if (Object.hasOwn(stored.topics, name) && stored.topics[name]!.id !== id) {
        if (!this.#notes_lost.has(name)) log.warn("notes_lost", { topic: name });
        this.#notes_lost.add(name);
        delete stored.topics[name];
      }
    }
    return stored;
  }

  async #openSource(known: StoredPosition | undefined, generation: number): Promise<ResumePoint> {
    try {
      return await this.#parts.source.open({ resume: known?.resume, generation });
    } catch (error) {
      if (!(error instanceof HistoryLostError)) throw error;
      // A predecessor that was still draining has moved both since.
      const now = await this.#readPosition();
      if (known === undefined || isSame(now, known)) throw error;
      throw new RetryableError("The stored position moved while this capture began", {
        cause: error,
      });
    }
  }

  #refuseOtherRouting(known: StoredPosition | undefined): void {
    if (known === undefined || known.clean || known.routing === routingOf(this.#job)) return;
    const notes = noteTopicNames(this.#job.name);
    const has_sent = Object.keys(known.topics).some((name) => !notes.includes(name));
    if (!has_sent) return; // a topic is stored before anything is sent to it
    throw new ConfigError(
      "The topic template, the format or the columns changed since a run that did not end cleanly" +
        " or ended inside a transaction: its last records are where this job would not look for them",
      {
        cure:
          "start the job once as it was before and let it drain with `mode: batch`, then start" +
          ` it with the change; or ${READ_ALL_AGAIN}`,
      },
    );
  }
}

/** What decides where a change is written, and how. */
function routingOf({ name, kafka, format, columns }: CaptureJob): string {
  return routingFingerprint([name, kafka.topic, format, columns]);
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Those partitions that are still there. */
async function existing(
  admin: Admin,
  partitions: readonly TopicPartition[],
): Promise<TopicPartition[]> {
  const topics = await admin.topics(() => true);
  const counts = new Map(topics.map(({ name, partitions }) => [name, partitions]));
  return partitions.filter(({ topic, partition }) => partition < (counts.get(topic) ?? 0));
}

/** Every partition that a predecessor may still be writing to. */
function partitionsOf(stored: StoredPosition | undefined) {
  const topics = Object.entries(stored?.topics ?? {});
  return [
    { topic: POSITIONS_TOPIC, partition: 0 },
    { topic: SCHEMAS_TOPIC, partition: 0 },
    ...topics.flatMap(([topic, { partitions }]) =>
      partitions.map((_, partition) => ({ topic, partition }))
    ),
  ];
}
