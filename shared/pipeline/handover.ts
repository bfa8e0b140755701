/**
 * Where another server goes on with the same history, what was sent and is not covered by the stored
 * position comes again under other positions. What each partition holds of it is told by transaction:
 * a server that took over has the rows of a transaction in the same order, so the first so many of them
 * that go to a partition are those that it holds.
 */
import type { Change, SourceIdentity } from "../change.ts";
import { type Format, sourceId } from "../formats/format.ts";
import { type Admin, partitionId, type TopicPartition } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import { parsePosition } from "../position.ts";
import { noteStamp } from "./notes.ts";
import { ownStamp } from "./tails.ts";
import type { StoredPosition } from "./positions.ts";
import { SchemaReader } from "./schemas.ts";

/** Changes that partitions hold of transactions that come again. */
export class Handover {
  /** Number of changes by transaction, for each partition. */
  readonly #held = new Map<string, Map<string, number>>();

  /**
   * Counts what the topics hold after `stored.covered` of earlier generations than `stored`'s.
   * To be asked when the tails have been read.
   */
  static async read(
    admin: Admin,
    stored: StoredPosition,
    format: Format,
    source: SourceIdentity,
  ): Promise<Handover> {
    const handover = new Handover();
    const { covered, generation } = stored;
    if (covered === "" || parsePosition(covered).generation === generation) return handover;
    const schemas = new SchemaReader(admin);
    await schemas.refresh();
    for (const [topic, { partitions }] of Object.entries(stored.topics)) {
      const offsets = await admin.offsets(topic);
      for (const [partition, state] of partitions.entries()) {
        if (state.position <= covered) continue;
        const from = Math.max(offsets[partition]!.first, state.covered_offset ?? 0);
        const at = { topic, partition };
        for await (const record of recordsOf(admin, at, from, state.end_offset)) {
          if (noteStamp(record) !== undefined) continue; // told again: a note is of its server
          const position = (await ownStamp(record, format, sourceId(source)))?.position ?? "";
          if (position <= covered || parsePosition(position).generation >= generation) continue;
          const { transaction } = format.decode(record, schemas.lookup);
          handover.#add(at, transaction.id);
        }
      }
    }
    return handover;
  }

  /** Ids of all transactions that are held. */
  get transactions(): ReadonlySet<string> {
    return new Set([...this.#held.values()].flatMap((counts) => [...counts.keys()]));
  }

  /** Forgets all other transactions: they do not come again. */
  keep(transactions: ReadonlySet<string>): void {
    for (const counts of this.#held.values()) {
      for (const id of counts.keys()) if (!transactions.has(id)) counts.delete(id);
    }
  }

  /** Whether the partition holds a change that has come; each is told once. */
  holds(at: TopicPartition, { transaction: { id } }: Pick<Change, "transaction">): boolean {
    const counts = this.#held.get(partitionId(at));
    const count = counts?.get(id);
    if (count === undefined) return false;
    if (count === 1) counts!.delete(id);
    else counts!.set(id, count - 1);
    return true;
  }

  /** Nothing comes again any more. */
  get done(): boolean {
    return [...this.#held.values()].every(({ size }) => size === 0);
  }

  #add(at: TopicPartition, id: string): void {
    if (id === "") return; // of a snapshot: read again, it is another reading
    const counts = this.#held.get(partitionId(at)) ?? new Map<string, number>();
    counts.set(id, (counts.get(id) ?? 0) + 1);
    this.#held.set(partitionId(at), counts);
  }
}
