/** Runs rows on the stack: in each round every row once, ours and the peer in turn. */
import { describe } from "../shared/errors.ts";
import type { Measured, Round, RoundOptions, Row } from "./bench.ts";
import { untilIdle } from "./machine.ts";
import { type Rounds, type RowResult, rowResult } from "./results.ts";
import { type RowName, rows } from "./rows/mod.ts";

/**
 * Ours alone, before anything counts: brokers that have just started run interpreted code, and compile
 * what small sends need only after many of them.
 */
const WARM_UP = { changes: 100_000, latency_seconds: 20 };

/** What is run. */
export interface RunOptions {
  readonly names: readonly RowName[];
  readonly rounds: number;
  readonly changes: number;
  readonly latency_seconds: number;
  readonly scenario: string | undefined;
  /** Told of each measurement, and of each failure. */
  readonly tell: (line: string) => void;
  /** Told after each round what is known so far. */
  readonly told: (results: readonly RowResult[]) => Promise<void>;
}

type Side = "ours" | "theirs";

/** Answers the results of the rows that have any, and the names of those that failed in a round. */
export async function runRows(options: RunOptions) {
  const { names, changes, latency_seconds, scenario, tell } = options;
  const taken = new Map<RowName, Rounds>();
  const failed = new Set<RowName>();
  const warmUp: RoundOptions = {
    changes: Math.min(changes, WARM_UP.changes),
    latency_seconds: WARM_UP.latency_seconds,
    with_peer: false,
  };
  for (const name of names) {
    await warm(rows[name], warmUp).catch((error) => tell(`warm-up ${name}: ${describe(error)}`));
  }
  let results: RowResult[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    for (const name of names) {
      try {
        const round = { changes, latency_seconds, scenario, with_peer: true };
        const measured = await bothSides(rows[name], round, number % 2 === 1);
        const before = taken.get(name) ?? { ours: [], theirs: [] };
        taken.set(name, {
          ours: [...before.ours, measured.ours],
          theirs: [...before.theirs, measured.theirs],
        });
        for (const side of ["ours", "theirs"] as const) {
          tell(`round ${number} ${name} ${side} ${text(measured[side])}`);
        }
      } catch (error) {
        failed.add(name);
        tell(`round ${number} ${name} FAILED: ${describe(error)}`);
      }
    }
    results = names.flatMap((name) => {
      const measured = taken.get(name);
      return measured === undefined ? [] : [rowResult(name, rows[name], changes, measured)];
    });
    await options.told(results);
  }
  return { results, failed: [...failed] };
}

async function warm(row: Row, options: RoundOptions): Promise<void> {
  await using round = await row.prepare(options);
  await round.ours();
}

/** Who comes first alternates, so that neither always finds what the other has warmed up. */
async function bothSides(
  row: Row,
  options: RoundOptions,
  oursFirst: boolean,
): Promise<Record<Side, Measured>> {
  await using round = await row.prepare(options);
  const first = await alone(round, oursFirst ? "ours" : "theirs");
  const second = await alone(round, oursFirst ? "theirs" : "ours");
  return oursFirst ? { ours: first, theirs: second } : { ours: second, theirs: first };
}

async function alone(round: Round, side: Side): Promise<Measured> {
  await untilIdle();
  return await round[side]();
}

function text({ figures, peak_bytes }: Measured): string {
  const parts = Object.entries(figures).map(([name, value]) => `${name} ${value.toPrecision(5)}`);
  if (peak_bytes !== undefined) parts.push(`${Math.round(peak_bytes / 1e6)} MB`);
  return parts.join(", ");
}
