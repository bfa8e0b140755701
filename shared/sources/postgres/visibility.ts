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

/** Transactions that are remembered: those that a server has under way at a time are far fewer. */
const REMEMBERED = 4_096;

/** The transactions that were streamed last. */
export class StreamedTransactions {
  readonly #xids: number[] = [];
  #next = 0;
  /** Transactions that must be shown, too: those under way at the start may have been streamed before. */
  #before: ReadonlySet<bigint>;

  /** `snapshot`: taken before the stream begins. */
  constructor(snapshot: TransactionSnapshot) {
    this.#before = snapshot.in_progress;
  }

  /** From here on what `snapshot` calls in progress counts as streamed, too. */
  expect(snapshot: TransactionSnapshot): void {
    this.#before = new Set([...this.#before, ...snapshot.in_progress]);
  }

  add(xid: number): void {
    this.#xids[this.#next] = xid;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Whether `snapshot` shows everything that was streamed. */
  shownBy(snapshot: TransactionSnapshot): boolean {
    this.#before = new Set([...this.#before].filter((xid) => snapshot.in_progress.has(xid)));
    return this.#before.size === 0 && this.#xids.every((xid) => shows(snapshot, xid));
  }
}
