/**
 * Records about changes, on topics of their own beside the tables': definitions that change, and
 * transactions. They have positions as changes have, so whatever is killed they come once, too.
 */
import type { Change, SourceIdentity } from "../change.ts";
import { sourceId, type Stamp } from "../formats/format.ts";
import type { InRecord, NewTopic } from "../kafka/port.ts";
import type { DroppedTable } from "../sources/source.ts";
import type { Load, Target } from "./load.ts";
import { minInsync } from "./positions.ts";
import type { SchemaChanges } from "./schema_changes.ts";
import type { Transactions } from "./transactions.ts";

/** What is to be told. */
export interface Note {
  /** Greater than those of all notes of its topic before it. */
  readonly position: string;
  readonly key: string;
  readonly value: string;
}

/** Header by which readers of changes tell these records from them; its value is a `Stamp`. */
const NOTE_HEADER = "list-sync.note";

/** Source and position of a note; undefined: the record is none. */
export function noteStamp({ headers }: Pick<InRecord, "headers">): Stamp | undefined {
  const [, value] = headers.find(([name]) => name === NOTE_HEADER) ?? [];
  if (value === undefined) return undefined;
  try {
    const { source, position } = JSON.parse(text.decode(value)) as Record<keyof Stamp, unknown>;
    const isStamp = typeof source === "string" && typeof position === "string";
    return isStamp ? { source, position } : undefined;
  } catch {
    return undefined;
  }
}

const text = new TextDecoder();

/** What a job says of its notes. */
export interface NoteOptions {
  readonly name: string;
  readonly include_schema_changes: boolean;
  readonly provide_transaction_metadata: boolean;
}

/** The topics that a job may have. */
export function noteTopicNames(name: string): string[] {
  const options = { include_schema_changes: true, provide_transaction_metadata: true };
  return Object.values(noteTopics({ name, ...options }, 1)).map((topic) => topic.name);
}

/** The topics as they are to be made, each with one partition, in which notes have one order. */
export function noteTopics(
  { name, include_schema_changes, provide_transaction_metadata }: NoteOptions,
  replication_factor: number,
): { readonly schema_changes?: NewTopic; readonly transactions?: NewTopic } {
  const common = { partitions: 1, replication_factor };
  const config = { "min.insync.replicas": minInsync(replication_factor) };
  // Kept for ever: each start learns from it what was told last.
  const kept = { ...config, "cleanup.policy": "delete", "retention.ms": "-1" };
  return {
    ...include_schema_changes && {
      schema_changes: { name: `${name}.schema-changes`, ...common, config: kept },
    },
    ...provide_transaction_metadata && {
      transactions: { name: `${name}.transaction`, ...common, config },
    },
  };
}

/** One kind of note, and where it goes. */
export interface NoteWriter<Teller> {
  readonly target: Target;
  readonly teller: Teller;
}

/** All notes of a capture. */
export class Notes {
  readonly #source: SourceIdentity;
  readonly #schema_changes: NoteWriter<SchemaChanges> | undefined;
  readonly #transactions: NoteWriter<Transactions> | undefined;
  /** When the change that was taken last was captured. */
  #ts_ms = 0;
  /** Position of the last note; empty: none yet. */
  last = "";

  constructor(
    source: SourceIdentity,
    writers: {
      readonly schema_changes: NoteWriter<SchemaChanges> | undefined;
      readonly transactions: NoteWriter<Transactions> | undefined;
    },
  ) {
    this.#source = source;
    this.#schema_changes = writers.schema_changes;
    this.#transactions = writers.transactions;
  }

  /** Adds what is told with `change` to the load; answers the change as it is to be written. */
  take(change: Change, load: Load): Change {
    this.#ts_ms = change.ts_ms;
    const told = this.#schema_changes?.teller.of(change);
    if (told !== undefined) this.#add(told, this.#schema_changes!.target, load);
    if (this.#transactions === undefined) return change;
    const { teller, target } = this.#transactions;
    for (const note of teller.notes(change)) this.#add(note, target, load);
    return teller.numbered(change);
  }

  /** The same with a table that is gone. */
  dropped(table: DroppedTable, load: Load): void {
    this.#ts_ms = table.ts_ms;
    const told = this.#schema_changes?.teller.dropped(table);
    if (told !== undefined) this.#add(told, this.#schema_changes!.target, load);
  }

  /** All that was taken belongs to transactions that have come whole. */
  whole(load: Load): void {
    for (const note of this.#transactions?.teller.end() ?? []) {
      this.#add(note, this.#transactions!.target, load);
    }
  }

  #add({ position, key, value }: Note, target: Target, load: Load): void {
    const stamp: Stamp = { source: sourceId(this.#source), position };
    const headers = [[NOTE_HEADER, JSON.stringify(stamp)]] as const;
    load.note(position, { key, value, timestamp_ms: this.#ts_ms, headers }, target);
    if (position > this.last) this.last = position;
  }
}
