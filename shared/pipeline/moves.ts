/**
 * Stored positions that a person moves while the capture is stopped.
 *
 * A position that is set begins a new generation, so that changes that come again are greater than
 * what every reader has seen and are not dropped as repetitions. No truncate goes before them: the
 * source still has all that came since, so nothing was missed, and what has a key ends as it is in the
 * table; rows that nobody touched since would be gone for good. The partition counts stay, too: a key
 * must not leave its partition while older changes of it are there.
 */
import { RetryableError } from "../errors.ts";
import type { TableSchema } from "../change.ts";
import { sourceId } from "../formats/format.ts";
import type { Admin, KafkaClient, Producer } from "../kafka/port.ts";
import { formatPosition } from "../position.ts";
import type { ResumePoint } from "../sources/source.ts";
import {
  nextGeneration,
  positionBatch,
  POSITIONS_TOPIC,
  readPosition,
  type SourceName,
  type StoredPosition,
  transactionalId,
} from "./positions.ts";
import { topicOf } from "./routing.ts";
import { SchemaReader } from "./schemas.ts";

/** `stored`, going on from `resume` in a generation of its own. */
export function movedTo(
  stored: StoredPosition,
  resume: ResumePoint,
  now_ms: number,
): StoredPosition {
  const generation = nextGeneration(stored.generation, now_ms);
  const covered = formatPosition({ generation, major: 0n, minor: 0n, row: 0 });
  const { incremental } = stored.resume; // tables are read again wherever the stream stands
  const point = incremental === undefined ? resume : { ...resume, incremental };
  return { ...stored, resume: point, generation, covered };
}

/** `stored`, after which the next start truncates the topics and reads all rows again. */
export function forgotten(stored: StoredPosition): StoredPosition {
  return { ...stored, reset: true, clean: true }; // clean: nothing of this generation comes again
}

/**
 * Replaces what is stored: `before` by `after`. A capture that should run all the same is shut out
 * before. Throws RetryableError when the topic holds something else than `before` by now.
 */
export async function replacePosition(
  kafka: KafkaClient,
  source: SourceName,
  { before, after }: { readonly before: StoredPosition; readonly after: StoredPosition },
  now_ms: number,
): Promise<void> {
  const admin = await kafka.admin();
  let producer: Producer | undefined;
  try {
    producer = await kafka.producer({
      transactional_id: transactionalId(source),
      fence: {
        partitions: [{ topic: POSITIONS_TOPIC, partition: 0 }],
        ids: before.transactional_ids,
      },
    });
    const now = await readPosition(admin, source);
    if (JSON.stringify(now) !== JSON.stringify(before)) {
      throw new RetryableError(
        `The position of ${sourceId(source)} has moved meanwhile: a capture of the job runs`,
        { cure: "stop it, then try again" },
      );
    }
    await producer.send([positionBatch(source, after, now_ms)]);
  } finally {
    await admin.close();
    await producer?.close();
  }
}

/** Leaves of a source only the generation, which what it captures after a comeback must exceed. */
export async function removePosition(
  kafka: KafkaClient,
  source: SourceName,
  generation: number,
  now_ms: number,
): Promise<void> {
  const producer = await kafka.producer({
    transactional_id: `list-sync-remove-${source.connector}-${source.name}`,
    fence: { partitions: [], ids: [] },
  });
  try {
    await producer.send([positionBatch(source, { version: 1, removed: true, generation }, now_ms)]);
  } finally {
    await producer.close();
  }
}

/** Tables without a key in the topics of a source: changes that come again would count twice there. */
export async function keylessTables(
  admin: Admin,
  source: SourceName,
  stored: StoredPosition,
  topic: string,
): Promise<TableSchema[]> {
  const schemas = new SchemaReader(admin);
  await schemas.refresh();
  return schemas.tables(sourceId(source)).filter((table) =>
    table.key.length === 0 && Object.hasOwn(stored.topics, topicOf(topic, source.name, table))
  );
}
