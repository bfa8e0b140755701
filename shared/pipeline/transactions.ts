/**
 * The transaction topic, in Debezium's shape: BEGIN before the first change of a transaction, END with
 * the counts when it has come whole, and in each change its number among those of its table.
 */
import type { Change, Transaction } from "../change.ts";
import { perTable } from "../per_table.ts";
import { formatPosition, parsePosition } from "../position.ts";
import { tableName } from "../table_name.ts";
import type { Note } from "./notes.ts";

/** A transaction that has begun and not yet ended. */
interface Open {
  readonly transaction: Transaction;
  /** Changes by table. */
  readonly counts: Map<string, number>;
  /** Position of its last change. */
  last: string;
}

/** Follows the transactions of a source. Rows of snapshots belong to none. */
export class Transactions {
  #open: Open | undefined;

  /** What is told before `change`: the end of the transaction before, the begin of its own. */
  notes(change: Change): Note[] {
    const { transaction, position } = change;
    if (this.#open?.transaction === transaction) return [];
    const ended = this.end();
    if (transaction.id === "") return ended;
    this.#open = { transaction, counts: new Map(), last: position };
    return [...ended, noteOf(transaction, position, "BEGIN", null)];
  }

  /** The change with its number. To be called once for each, in order, after `notes`. */
  numbered(change: Change): Change {
    const open = this.#open;
    if (open === undefined) return change;
    const name = nameOf(change.table);
    const data_collection_order = (open.counts.get(name) ?? 0) + 1;
    open.counts.set(name, data_collection_order);
    open.last = change.position;
    return { ...change, data_collection_order };
  }

  /** The end of the transaction that is open, for no more of it comes. */
  end(): Note[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    // After its last change, and so after its begin, which may have been told with the same change.
    const last = parsePosition(open.last);
    const position = formatPosition({ ...last, row: last.row + 1 });
    return [noteOf(open.transaction, position, "END", open.counts)];
  }
}

const nameOf = perTable(tableName);

function noteOf(
  { id, ts_us }: Transaction,
  position: string,
  status: "BEGIN" | "END",
  counts: ReadonlyMap<string, number> | null,
): Note {
  const ts_ms = Math.floor(ts_us / 1000);
  const data_collections = counts &&
    [...counts].map(([data_collection, event_count]) => ({ data_collection, event_count }));
  const event_count = data_collections &&
    data_collections.reduce((sum, { event_count }) => sum + event_count, 0);
  return {
    position,
    key: JSON.stringify({ id }),
    value: JSON.stringify({ status, id, ts_ms, event_count, data_collections }),
  };
}
