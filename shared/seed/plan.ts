/** How many changes of each kind are made, and in which transaction. */
import { ConfigError } from "../errors.ts";

/** Numbers of changes, or their shares. */
export interface Counts {
  inserts: number;
  updates: number;
  deletes: number;
}

/** Reads a mix such as `50:25:25`: shares of inserts, updates and deletes. Throws ConfigError. */
export function parseMix(text: string): Counts {
  const parts = /^(\d{1,6}):(\d{1,6}):(\d{1,6})$/.exec(text);
  const [inserts = 0, updates = 0, deletes = 0] = (parts ?? []).slice(1).map(Number);
  if (parts === null || inserts + updates + deletes === 0) {
    throw new ConfigError(
      `Cannot read mix ${JSON.stringify(text)}: expected the shares of inserts, updates and` +
        ` deletes as three whole numbers, not all zero`,
      { cure: "write it like 50:25:25" },
    );
  }
  return { inserts, updates, deletes };
}

/**
 * The changes numbered `from` (inclusive) to `to` (exclusive). Any prefix keeps the mix to within
 * one change of each kind, inserts first, so an empty table can always serve what follows.
 */
export function countsBetween(mix: Counts, from: number, to: number): Counts {
  const [before, after] = [countsUpTo(mix, from), countsUpTo(mix, to)];
  return {
    inserts: after.inserts - before.inserts,
    updates: after.updates - before.updates,
    deletes: after.deletes - before.deletes,
  };
}

/** Split in two steps, so that no kind's count ever falls as the total grows. */
function countsUpTo(mix: Counts, total: number): Counts {
  const rest = mix.updates + mix.deletes;
  const inserts = Math.ceil(total * mix.inserts / (mix.inserts + rest));
  const others = total - inserts;
  const deletes = rest === 0 ? 0 : Math.floor(others * mix.deletes / rest);
  return { inserts, updates: others - deletes, deletes };
}

/** Refuses a mix that would run out of rows, before anything is written. Throws ConfigError. */
export function checkPlan(mix: Counts, rows: number, existing: number): void {
  const { inserts, updates, deletes } = countsBetween(mix, 0, rows);
  const left = existing + inserts - deletes;
  if (left > 0 || (left === 0 && updates === 0)) return;
  throw new ConfigError(
    `Cannot make ${updates} updates and ${deletes} deletes: the table holds ${existing} rows and` +
      ` gets ${inserts} more`,
    { cure: "raise the share of inserts in mix, or lower rows" },
  );
}
