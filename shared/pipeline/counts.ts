/** Changes by operation, as summaries and metrics tell them. */
import type { Op } from "../change.ts";
import type { Metrics } from "../observe/metrics.ts";

/** A count for each operation. */
export type OpCounts = Record<Op, number>;

/** None of any operation. */
export function noChanges(): OpCounts {
  return { c: 0, u: 0, d: 0, r: 0, t: 0 };
}

/** Adds to the totals and to the metric what has become durable. */
export function countChanges(counts: OpCounts, totals: OpCounts, metrics: Metrics): void {
  for (const [op, count] of Object.entries(counts) as [Op, number][]) {
    if (count === 0) continue;
    totals[op] += count;
    metrics.changes.add(count, { op });
  }
}

/** Seconds since a change was committed; 0 where the database's clock is ahead. */
export function ageSeconds(ts_us: number, now_ms: number): number {
  return Math.max(0, now_ms / 1000 - ts_us / 1e6);
}
