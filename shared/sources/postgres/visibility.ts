/**
 * Which transactions a snapshot shows. A commit is in the log, and may have been streamed, before others
 * can see it: with synchronous replication for as long as the standby takes.
 */
import type { Session } from "./connection.ts";

/** As `pg_current_snapshot()` writes it: `xmin:xmax:xip,xip...` (documentation, "Transaction ID and Snapshot Information Functions"). */
export interface TransactionSnapshot {
  /** From here on none is shown. */
  readonly xmax: bigint;
  /** Those before that are not shown either. */
  readonly in_progress: ReadonlySet<bigint>;
}

/** The snapshot that the next statement of the session would have. */
export async function currentSnapshot(session: Session): Promise<TransactionSnapshot> {
  const [row] = await session.query("select pg_current_snapshot()");
  return readSnapshot(row![0]!);
}

/** Reads the text form. */
export function readSnapshot(text: string): TransactionSnapshot {
  const [, xmax, list] = text.split(":");
  const in_progress = list ? list.split(",").map(BigInt) : [];
  return { xmax: BigInt(xmax!), in_progress: new Set(in_progress) };
}

/** Whether the snapshot shows a transaction; `xid`: its low 32 bits, as the log has them. */
export function shows({ xmax, in_progress }: TransactionSnapshot, xid: number): boolean {
  const distance = BigInt.asIntN(32, BigInt(xid) - BigInt.asUintN(32, xmax));
  return distance < 0n && !in_progress.has(xmax + distance);
}

/** Transactions that are remembered one by one: a fraction of a second of the smallest ones, half a megabyte. */
const REMEMBERED = 65_536;

/** The transactions that were streamed, as far as some snapshot may not show them. */
export class StreamedTransactions {
  #xids: number[] = [];
  /** More were streamed than are remembered. */
  #forgotten = false;
  /** Transactions that must be shown, too: they may have been streamed. */
  #before: ReadonlySet<bigint>;

  /** `snapshot`: taken before the stream begins; what is under way then may have been streamed before. */
  constructor(snapshot: TransactionSnapshot) {
    this.#before = snapshot.in_progress;
  }

  /** From here on what `snapshot` calls in progress counts as streamed, too. */
  expect(snapshot: TransactionSnapshot): void {
    this.#before = new Set([...this.#before, ...snapshot.in_progress]);
  }

  add(xid: number): void {
    if (this.#xids.length === REMEMBERED) {
      this.#xids = [];
      this.#forgotten = true;
    }
    this.#xids.push(xid);
  }

  /** Whether `snapshot`, which is newer than all that was streamed, shows everything of it. */
  shownBy(snapshot: TransactionSnapshot): boolean {
    if (this.#forgotten) this.expect(snapshot);
    this.#forgotten = false;
    this.#before = new Set([...this.#before].filter((xid) => snapshot.in_progress.has(xid)));
    this.#xids = this.#xids.filter((xid) => !shows(snapshot, xid));
    return this.#before.size === 0 && this.#xids.length === 0;
  }
}
