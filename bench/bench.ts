/** What is compared: a row is one work that we and a peer do in turn, on the same servers. */

/** What can be measured, what it means, and which way is better. */
export const FIGURES = {
  per_second: { label: "changes, rows or records a second", better: "more", unit: "/s" },
  seconds: { label: "from the first write to the last verified row", better: "less", unit: " s" },
  wall_seconds: { label: "whole run", better: "less", unit: " s" },
  p50_ms: { label: "commit → consumer, p50", better: "less", unit: " ms" },
  p95_ms: { label: "commit → consumer, p95", better: "less", unit: " ms" },
  p99_ms: { label: "commit → consumer, p99", better: "less", unit: " ms" },
} as const;

/** The name of a figure; its unit stands in it. */
export type FigureName = keyof typeof FIGURES;

/** What one side did in one round. */
export interface Measured {
  readonly figures: Partial<Record<FigureName, number>>;
  /** Most memory that one of its processes held (VmHWM); absent: not known. */
  readonly peak_bytes?: number;
}

/** One round of a row: both sides find the same work prepared. Disposing of it gives its disk back. */
export interface Round extends AsyncDisposable {
  readonly ours: () => Promise<Measured>;
  readonly theirs: () => Promise<Measured>;
}

/** How a round is run. */
export interface RoundOptions {
  /** Changes, rows or records of the backlog. */
  readonly changes: number;
  /** How long a latency is measured. */
  readonly latency_seconds: number;
  /** The links between brokers; left out: as they are. */
  readonly scenario?: string | undefined;
  /** False: only ours will run, and nothing is prepared for the peer. */
  readonly with_peer: boolean;
}

/** One line of the comparison. */
export interface Row {
  /** What is done, for people. */
  readonly work: string;
  /** Who is beside us. */
  readonly peer: string;
  /** What we want to reach. */
  readonly aim: string;
  /** What is measured; the first is the one that counts. */
  readonly figures: readonly [FigureName, ...FigureName[]];
  /** Prepares a round on the stack that LIST_SYNC_STACK names. */
  readonly prepare: (options: RoundOptions) => Promise<Round>;
}
