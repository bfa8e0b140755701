/** What a demo found, as one JSON object and as a table. */
import type { VerifyResult } from "../../shared/verify/result.ts";
import { count, duration } from "../cli/figures.ts";
import { table } from "../cli/table.ts";
import { type Counts, sum } from "./meter.ts";
import { type SourceName, SOURCES } from "./sources.ts";

/** The phases of one source, in seconds from its first to its last change. */
export interface SourceSeconds {
  /** Writing to the tables. */
  seed: number;
  /** Log to Kafka, beside the writing. */
  capture: number;
  /** Kafka to CSV files, beside both. */
  consume: number;
  /** Comparing files and tables, afterwards. */
  verify: number;
}

/** What came of one source. */
export interface SourceReport {
  tables: string[];
  /** Changes committed in the tables, acknowledged by Kafka, durable in the files. */
  written: Counts;
  captured: Counts;
  consumed: Counts;
  /** Changes that came twice and were dropped: none are expected. */
  repetitions: number;
  rows_compared: number;
  differences: VerifyResult["differences"];
  seconds: SourceSeconds;
  /** Changes a second of the first three phases. */
  rates: Record<"seed" | "capture" | "consume", number>;
  /** Every table equals the list rebuilt from the files, and all counts agree. */
  verified: boolean;
}

/** What came of a demo. */
export interface DemoReport {
  /** Changes for each source. */
  rows: number;
  sources: Partial<Record<SourceName, SourceReport>>;
  /** Wall time of the steps, all sources together. */
  seconds: { stack: number; prepare: number; changes: number; verify: number; total: number };
  verified: boolean;
}

/** The figures that the demo has gathered of one source. */
export interface SourceFigures {
  tables: string[];
  written: Counts;
  captured: Counts;
  consumed: Counts;
  repetitions: number;
  seconds: Omit<SourceSeconds, "verify">;
  results: (VerifyResult & { seconds: number })[];
}

/** Adds what follows from the figures. */
export function sourceReport(figures: SourceFigures): SourceReport {
  const { tables, written, captured, consumed, repetitions, results } = figures;
  const seconds = {
    ...figures.seconds,
    verify: Math.max(0, ...results.map((result) => result.seconds)),
  };
  const rate = (counts: Counts, time: number) => time === 0 ? 0 : Math.round(sum(counts) / time);
  return {
    tables,
    written,
    captured,
    consumed,
    repetitions,
    rows_compared: results.reduce((rows, result) => rows + result.rows_compared, 0),
    differences: results.flatMap((result) => result.differences),
    seconds,
    rates: {
      seed: rate(written, seconds.seed),
      capture: rate(captured, seconds.capture),
      consume: rate(consumed, seconds.consume),
    },
    verified: results.length === tables.length && results.every((result) => result.verified) &&
      same(written, captured) && same(written, consumed),
  };
}

function same(a: Counts, b: Counts): boolean {
  return a.c === b.c && a.u === b.u && a.d === b.d;
}

/** The report for people. */
export function reportText(report: DemoReport): string {
  const found = Object.entries(report.sources) as [SourceName, SourceReport][];
  const row = (label: string, cell: (source: SourceReport) => string) => [
    label,
    ...found.map(([, source]) => cell(source)),
  ];
  const phase = (name: "seed" | "capture" | "consume") => (source: SourceReport) =>
    `${duration(source.seconds[name])}, ${count(source.rates[name])}/s`;
  const figures = table(["", ...found.map(([name]) => SOURCES[name].title)], [
    row("changes", ({ written }) => count(sum(written))),
    row("  inserts", ({ written }) => count(written.c)),
    row("  updates", ({ written }) => count(written.u)),
    row("  deletes", ({ written }) => count(written.d)),
    row("written", phase("seed")),
    row("captured", phase("capture")),
    row("in CSV files", phase("consume")),
    row("rows compared", ({ rows_compared }) => count(rows_compared)),
    row("compared in", ({ seconds }) => duration(seconds.verify)),
    row("files equal table", ({ verified }) => verified ? "yes" : "NO"),
  ]);
  const { stack, changes, verify, total } = report.seconds;
  const times = `Servers up in ${duration(stack)}, changes through in ${duration(changes)},` +
    ` compared in ${duration(verify)}; ${duration(total)} in all.`;
  return [figures, ...found.flatMap(([name, source]) => complaints(name, source)), times].join(
    "\n",
  );
}

function complaints(name: SourceName, source: SourceReport): string[] {
  if (source.verified) return [];
  const counts = ({ c, u, d }: Counts) => `${c} inserts, ${u} updates, ${d} deletes`;
  return [
    `${SOURCES[name].title}: written ${counts(source.written)}; captured ${
      counts(source.captured)
    }; in files ${counts(source.consumed)}.`,
    ...source.differences.map((difference) => `  ${JSON.stringify(difference)}`),
  ];
}
