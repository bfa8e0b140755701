/** MariaDB's tables that keep a history (WITH SYSTEM VERSIONING): what their log says of the rows of now. */
import type { RowImage, RowsOp } from "../../wire/binlog_rows.ts";

/** A change of the rows that a SELECT shows. */
export interface CurrentChange {
  readonly op: RowsOp;
  readonly before: RowImage | null;
  readonly after: RowImage | null;
}

/** The end of a row that has none yet: the last of TIMESTAMP(6), before 11.5 and since. */
const NO_END = new Set(["2038-01-19T03:14:07.999999Z", "2106-02-07T06:28:15.999999Z"]);

/**
 * The change of the rows of now; undefined: only the history has changed. The log has a delete as an
 * update that ends the row, and after every update the row that was, as an insert. The images carry
 * after their columns the time when the row ended, which is taken off.
 */
export function changeOfNow(
  before: RowImage | null,
  after: RowImage | null,
): CurrentChange | undefined {
  const ended = before?.pop();
  const ends = after?.pop() ?? ended; // an image that leaves it out did not change it
  const was = before !== null && NO_END.has(String(ended));
  const is = after !== null && NO_END.has(String(ends));
  if (was && is) return { op: "u", before, after };
  if (was) return { op: "d", before, after: null };
  return is ? { op: "c", before: null, after } : undefined;
}
