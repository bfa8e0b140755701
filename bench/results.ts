/** What a run of the benchmark found, as it is kept in results.json. */
import { type FigureName, FIGURES, type Measured, type Row } from "./bench.ts";
import type { Machine } from "./machine.ts";
import { type Spread, spread } from "./statistics.ts";

/** One figure of both sides. */
export interface Compared {
  readonly figure: FigureName;
  readonly ours: Spread;
  readonly theirs: Spread;
  /** How many times better ours is, by the medians: above 1 we are ahead, whichever way is better. */
  readonly ratio: number;
}

/** One row. */
export interface RowResult {
  readonly row: string;
  readonly work: string;
  readonly peer: string;
  readonly aim: string;
  /** Changes, rows or records of a backlog. */
  readonly changes: number;
  /** The first is the one that counts. */
  readonly figures: readonly Compared[];
  readonly ours_peak_bytes: Spread | null;
  readonly theirs_peak_bytes: Spread | null;
}

/** A row as it is kept. */
export interface KeptRow extends RowResult {
  /** Day of its run, `YYYY-MM-DD`. */
  readonly day: string;
}

/** All of it. */
export interface Results {
  readonly machine: Machine;
  /** What ran last, and in which version. */
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly KeptRow[];
}

/** What both sides did in the rounds of a row. */
export interface Rounds {
  readonly ours: readonly Measured[];
  readonly theirs: readonly Measured[];
}

/** Draws the rounds of a row together. */
export function rowResult(name: string, row: Row, changes: number, rounds: Rounds): RowResult {
  const { work, peer, aim } = row;
  const figures = row.figures.filter((figure) => rounds.theirs[0]!.figures[figure] !== undefined)
    .map((figure) => compared(figure, rounds));
  return {
    row: name,
    work,
    peer,
    aim,
    changes,
    figures,
    ours_peak_bytes: peaks(rounds.ours),
    theirs_peak_bytes: peaks(rounds.theirs),
  };
}

function compared(figure: FigureName, rounds: Rounds): Compared {
  const side = (measured: readonly Measured[]) =>
    spread(measured.map(({ figures }) => figures[figure]!));
  const [ours, theirs] = [side(rounds.ours), side(rounds.theirs)];
  const more = ours.median / theirs.median;
  return { figure, ours, theirs, ratio: FIGURES[figure].better === "more" ? more : 1 / more };
}

function peaks(measured: readonly Measured[]): Spread | null {
  const bytes = measured.flatMap(({ peak_bytes }) => peak_bytes === undefined ? [] : [peak_bytes]);
  return bytes.length === 0 ? null : spread(bytes);
}

/** `kept` with its rows replaced by those of `found` that have their names, in the order of `names`. */
export function merged(
  kept: Results | undefined,
  found: Results,
  names: readonly string[],
): Results {
  const rows = new Map([...kept?.rows ?? [], ...found.rows].map((row) => [row.row, row]));
  return { ...found, rows: names.flatMap((name) => rows.get(name) ?? []) };
}
