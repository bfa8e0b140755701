/** Sound histories, which most are: folded as `fold` does it, on records as they stand in memory. */
import { NONE } from "./groups.ts";
import { OP } from "./record.ts";
import type { Records } from "./records.ts";

/** `fold` is needed: something is wrong, or a value has to come from an earlier row. */
export const NOT_SOUND = -2;

const READ = "r".charCodeAt(0);
const UPDATE = "u".charCodeAt(0);

/** The order of two records of one identity: that of their positions, and at one position a delete first. */
export function inOrder(records: Records): (a: number, b: number) => number {
  return (a, b) =>
    records.comparePositions(a, b) || Number(records.isInsert(a)) - Number(records.isInsert(b));
}

/**
 * The record with the row that a history leaves, whose records are in order; `NONE` when no row is
 * left; `NOT_SOUND` where `fold` must say it.
 */
export function soundRow(records: Records, history: readonly number[]): number {
  let known = NONE;
  let sharedPosition = false;
  for (let at = 0; at < history.length; at++) {
    const record = history[at]!;
    const next = history[at + 1];
    const isInsert = records.isInsert(record);
    const sharesPosition = next !== undefined && records.comparePositions(record, next) === 0;
    if (sharesPosition && records.isInsert(next) === isInsert) return NOT_SOUND;
    const op = records.op(record);
    const isPaired = isInsert ? sharedPosition : sharesPosition;
    if (op === UPDATE && !isPaired) return NOT_SOUND;
    if (isInsert) {
      const isCreatedTwice = known !== NONE && op !== READ && op !== OP.none;
      if (isCreatedTwice || !records.isWhole(record)) return NOT_SOUND;
      known = record;
    } else {
      if (known === NONE || !records.agree(known, record)) return NOT_SOUND;
      known = NONE;
    }
    sharedPosition = sharesPosition;
  }
  return known;
}
