/** The results as text: a table for the terminal and for README.md. */
import { table } from "../workers/cli/table.ts";
import { type FigureName, FIGURES } from "./bench.ts";
import type { KeptRow, Results, RowResult } from "./results.ts";
import type { Spread } from "./statistics.ts";

const HEADER = ["row", "figure", "ours", "beside", "ratio", "memory", "beside"];

/** The results for a terminal. */
export function terminalTable(rows: readonly RowResult[]): string {
  return table(HEADER, rows.flatMap(lines));
}

const MARKDOWN_HEADER = ["row", "work", "beside", "figure", "ours", "theirs", "ratio"];

/** The results for README.md: what ran where, the figures, and the memory. */
export function markdown({ machine, versions, rows }: Results): string {
  const { cores, processor, memory_bytes, system } = machine;
  const gib = Math.round(memory_bytes / 2 ** 30);
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`).sort();
  const figures = rows.flatMap(({ row, work, peer, figures }) =>
    figures.map(({ figure, ours, theirs, ratio }, at) => [
      ...at === 0 ? [`\`${row}\``, work, peer] : ["", "", ""],
      nameOf(figure),
      cell(ours, figure),
      cell(theirs, figure),
      `**${times(ratio)}**`,
    ])
  );
  const memory = rows.filter(({ ours_peak_bytes }) => ours_peak_bytes !== null)
    .map(({ row, ours_peak_bytes, theirs_peak_bytes }) => [
      `\`${row}\``,
      megabytes(ours_peak_bytes),
      megabytes(theirs_peak_bytes),
      less(ours_peak_bytes, theirs_peak_bytes),
    ]);
  const aims = rows.map(({ row, aim }) => [`\`${row}\``, aim]);
  return [
    `Run on ${
      days(rows)
    }: ${cores} cores (${processor}), ${gib} GiB, ${system}, which brokers, databases and ` +
    `both sides share. ${names.join(", ")}.`,
    `Medians (of two rounds the mean), and in brackets the least and the most. Rounds of a row: ${
      rounds(rows)
    }. Changes, rows or records of a backlog: ${backlogs(rows)}.${rows.some(isTrial) ? TRIAL : ""}`,
    "![Ours and the peers beside each other](chart.svg)",
    markdownTable(MARKDOWN_HEADER, figures),
    "Peak memory of one process (VmHWM), medians:",
    markdownTable(["row", "ours, MB", "theirs, MB", "times less"], memory),
    "What each row is to reach:",
    markdownTable(["row", "aim"], aims),
  ].join("\n\n");
}

const BEGIN = "<!-- results: written by deno task bench -->";
const END = "<!-- end of results -->";

/** `readme` with `text` between the markers. Throws when they are not there. */
export function withResults(readme: string, text: string): string {
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`bench/README.md lacks ${BEGIN} before ${END}`);
  return `${readme.slice(0, from)}${BEGIN}\n\n${text}\n\n${readme.slice(to)}`;
}

function lines(result: RowResult): string[][] {
  const { row, figures, ours_peak_bytes, theirs_peak_bytes } = result;
  return figures.map(({ figure, ours, theirs, ratio }, at) => [
    at === 0 ? row : "",
    nameOf(figure),
    cell(ours, figure),
    cell(theirs, figure),
    times(ratio),
    ...at === 0 ? [megabytes(ours_peak_bytes), megabytes(theirs_peak_bytes)] : ["", ""],
  ]);
}

/** `p50_ms` as people say it. */
function nameOf(figure: FigureName): string {
  return { per_second: "a second", seconds: "seconds", wall_seconds: "whole run" }[
    figure as "seconds"
  ] ?? figure.replace("_ms", "");
}

/** The median with its unit, and the spread where there is one. */
function cell({ median, least, most, rounds }: Spread, figure: FigureName): string {
  const { unit } = FIGURES[figure];
  const range = rounds.length > 1 && least < most ? ` (${number(least)}–${number(most)})` : "";
  return `${number(median)}${unit}${range}`;
}

/** Three digits that count. */
export function number(value: number): string {
  if (value >= 100) return Number(value.toPrecision(3)).toLocaleString("en");
  return value.toPrecision(value >= 10 ? 3 : 2);
}

function times(ratio: number): string {
  return `${number(ratio)} ×`;
}

function megabytes(bytes: Spread | null): string {
  return bytes === null ? "" : number(bytes.median / 1e6);
}

function less(ours: Spread | null, theirs: Spread | null): string {
  return ours === null || theirs === null ? "" : times(theirs.median / ours.median);
}

const TRIAL = " Fewer than three rounds or a million show that a row works, not how fast it is.";

function isTrial(row: RowResult): boolean {
  return row.changes < 1_000_000 || roundsOf(row) < 3;
}

function days(rows: readonly KeptRow[]): string {
  return [...new Set(rows.map(({ day }) => day))].sort().join(" and ");
}

/** `3`, and which rows have another number. */
function rounds(rows: readonly RowResult[]): string {
  const groups = [...Map.groupBy(rows, roundsOf)].sort(([, a], [, b]) => b.length - a.length);
  return groups.map(([count, rows], at) =>
    at === 0 ? String(count) : `${count} for ${rows.map(({ row }) => `\`${row}\``).join(", ")}`
  ).join("; ");
}

function roundsOf({ figures }: RowResult): number {
  return figures[0]!.ours.rounds.length;
}

function backlogs(rows: readonly RowResult[]): string {
  return [...new Set(rows.map(({ changes }) => changes.toLocaleString("en")))].join(", ");
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}
