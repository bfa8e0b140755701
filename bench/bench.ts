/** What every benchmark is: a function that tells its rows as they are measured. */

/** A line of the result: units stand in the names (`peak_megabytes`, `p50_ms`). */
export type BenchRow = Readonly<Record<string, string | number>>;

/** What is measured. */
export interface BenchOptions {
  /** Changes or records of each backlog. */
  readonly changes: number;
  /** How long each latency is measured. */
  readonly latency_seconds: number;
  readonly tell: (row: BenchRow) => void;
}

/** Measures on the stack that LIST_SYNC_STACK names. */
export type Bench = (options: BenchOptions) => Promise<void>;
