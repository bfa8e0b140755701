/** Medians, spreads, quantiles and rates. */

/** Several measurements of one thing. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** In the order of the rounds. */
  readonly rounds: readonly number[];
}

/** Median and extremes of at least one value; of an even number the median lies between the middle two. */
export function spread(rounds: readonly number[]): Spread {
  if (rounds.length === 0) throw new Error("There is no median of no values");
  const sorted = rounds.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)!, rounds };
}

/** The value below which the share `q` of the values lies (nearest rank). */
export function quantile(values: Float64Array, q: number): number {
  const rank = Math.max(1, Math.ceil(q * values.length));
  return values.toSorted()[rank - 1]!;
}

/** When how many records came: milliseconds since the Unix epoch → records. */
export type Arrivals = ReadonlyMap<number, number>;

/** What arrivals come to. */
export interface ArrivalRate {
  readonly records: number;
  readonly last_ms: number;
  /** Records a second of the second half: programs that compile as they run have then done so. */
  readonly per_second: number;
}

/**
 * The rate of the second half: of the records that came after the moment at which half were there.
 * Throws when they came in too few batches to tell one.
 */
export function arrivalRate(arrivals: Arrivals): ArrivalRate {
  const moments = [...arrivals].sort(([a], [b]) => a - b);
  const records = moments.reduce((sum, [, count]) => sum + count, 0);
  let there = 0;
  let half_ms = 0;
  for (const [moment, count] of moments) {
    half_ms = moment;
    there += count;
    if (there >= records / 2) break;
  }
  const last_ms = moments.at(-1)?.[0] ?? 0;
  if (last_ms === half_ms) {
    throw new Error(
      `${records} records came at ${moments.length} moments, too few to tell a rate: raise --changes`,
    );
  }
  return { records, last_ms, per_second: (records - there) / (last_ms - half_ms) * 1000 };
}
