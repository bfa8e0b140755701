/**
 * Which records of a partition were set aside as dead letters and may still come again, replayed:
 * by offset, with a digest of their keys. It is part of the sink's standing, so it is as durable and
 * as exact as the data: a replay is applied once, by those who lack the record, and by nobody else.
 */
import { createHash } from "node:crypto";
import type { Op } from "../change.ts";

/** Never changed: a batch that is given up leaves nothing behind. */
export type SetAside = ReadonlyMap<number, string>;

/** Nothing is set aside. */
export const NOTHING: SetAside = new Map();

/** With the record at `offset`. */
export function withRecord(set: SetAside, offset: number, key: Uint8Array | null): SetAside {
  return new Map(set).set(offset, digest(key));
}

/** Without it: it was replayed. */
export function withoutRecord(set: SetAside, offset: number): SetAside {
  const left = new Map(set);
  left.delete(offset);
  return left;
}

/** A change that was applied. */
export interface Applied {
  readonly op: Op;
  /** Where it stood first: of a replay, where the dead letter was. */
  readonly offset: number;
  readonly key: Uint8Array | null;
}

/**
 * What may still be replayed after a change: no record from before a truncate, and, unless the
 * target puts rows in order by their positions, no older record of the same key.
 */
export function behind(set: SetAside, { op, offset, key }: Applied, anyOrder: boolean): SetAside {
  if (set.size === 0 || (anyOrder && op !== "t")) return set;
  const own = op === "t" ? undefined : digest(key);
  const isPast = (at: number, of: string) => at < offset && (own === undefined || own === of);
  if (![...set].some(([at, of]) => isPast(at, of))) return set;
  return new Map([...set].filter(([at, of]) => !isPast(at, of)));
}

/** Keys may be long, and the journal holds one a record; equal ones by chance are out of reach. */
function digest(key: Uint8Array | null): string {
  return key === null ? "" : createHash("sha256").update(key).digest("base64url").slice(0, 22);
}
