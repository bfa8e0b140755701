/** The results as a chart: an SVG that needs nothing but itself. */
import { type FigureName, FIGURES } from "./bench.ts";
import { number } from "./report.ts";
import type { RowResult } from "./results.ts";
import type { Spread } from "./statistics.ts";

/** Widths and heights in pixels. */
const WIDTH = 760;
const LABELS = 190;
const VALUES = 120;
const BAR = 11;
const GAP = 10;
const TITLE = 34;
const AXIS = 26;
const TICKS = 6;

/** Readable on white and on black alike. */
const INK = "#7a7f87";
const OURS = "#2f81d6";
const THEIRS = "#d4792a";

/** One axis: rows beside each other in one unit. */
interface Panel {
  readonly title: string;
  readonly bars: readonly Bars[];
}

/** Both sides of a row. */
interface Bars {
  readonly row: string;
  readonly peer: string;
  readonly ours: Spread;
  readonly theirs: Spread;
}

const CHARTED: readonly FigureName[] = ["per_second", "p50_ms", "p99_ms", "seconds"];

/** Bars are medians; the thin line on each reaches from the least round to the most. */
export function chart(rows: readonly RowResult[]): string {
  const panels = panelsOf(rows);
  let top = TITLE;
  const parts = panels.map((panel) => {
    const part = `<g transform="translate(0 ${top})">${panelText(panel)}</g>`;
    top += heightOf(panel);
    return part;
  });
  const legend = [
    `<rect x="${LABELS}" y="8" width="12" height="${BAR}" fill="${OURS}"/>`,
    label(LABELS + 18, 18, "list-sync"),
    `<rect x="${LABELS + 100}" y="8" width="12" height="${BAR}" fill="${THEIRS}"/>`,
    label(LABELS + 118, 18, "beside it (named at each bar)"),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" ` +
    `viewBox="0 0 ${WIDTH} ${top}" font-family="system-ui, sans-serif" font-size="11" role="img">`,
    "<title>list-sync and its peers: medians, with the spread of the rounds</title>",
    ...legend,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function panelsOf(rows: readonly RowResult[]): Panel[] {
  const figures = CHARTED.map((name) => ({
    title: `${FIGURES[name].label}${unitOf(name)}; ${FIGURES[name].better} is better`,
    bars: rows.flatMap(({ row, peer, figures }) => {
      const found = figures.find(({ figure }) => figure === name);
      return found === undefined ? [] : [{ row, peer, ours: found.ours, theirs: found.theirs }];
    }),
  }));
  const memory = {
    title: "peak memory of a process, MB; less is better",
    bars: rows.flatMap(({ row, peer, ours_peak_bytes: ours, theirs_peak_bytes: theirs }) =>
      ours === null || theirs === null
        ? []
        : [{ row, peer, ours: inMegabytes(ours), theirs: inMegabytes(theirs) }]
    ),
  };
  return [...figures, memory].filter(({ bars }) => bars.length > 0);
}

function unitOf(name: FigureName): string {
  const unit = FIGURES[name].unit.trim();
  return unit === "/s" ? "" : `, ${unit}`;
}

function inMegabytes({ median, least, most, rounds }: Spread): Spread {
  return { median: median / 1e6, least: least / 1e6, most: most / 1e6, rounds };
}

function heightOf({ bars }: Panel): number {
  return TITLE + bars.length * (2 * BAR + GAP) + AXIS;
}

function panelText({ title, bars }: Panel): string {
  const longest = Math.max(...bars.flatMap(({ ours, theirs }) => [ours.most, theirs.most]));
  const step = tickStep(longest / TICKS);
  const scale = (WIDTH - LABELS - VALUES) / longest;
  const bottom = TITLE + bars.length * (2 * BAR + GAP);
  const ticks = Array.from({ length: Math.floor(longest / step) + 1 }, (_, at) => at * step);
  return [
    label(4, 22, title, 'font-weight="bold" font-size="12"'),
    ...ticks.map((value) => {
      const x = LABELS + value * scale;
      return `<line x1="${x}" y1="${TITLE - 4}" x2="${x}" y2="${bottom}" stroke="${INK}" ` +
        `stroke-opacity="0.3"/>${
          label(x, bottom + 14, value.toLocaleString("en"), 'text-anchor="middle"')
        }`;
    }),
    ...bars.map((pair, at) => barsText(pair, TITLE + at * (2 * BAR + GAP), scale)),
  ].join("\n");
}

function barsText({ row, peer, ours, theirs }: Bars, y: number, scale: number): string {
  return [
    label(LABELS - 8, y + BAR + 4, row, 'text-anchor="end"'),
    bar(ours, y, scale, OURS, number(ours.median)),
    bar(theirs, y + BAR, scale, THEIRS, `${number(theirs.median)} ${peer}`),
  ].join("");
}

function bar(value: Spread, y: number, scale: number, fill: string, text: string): string {
  const at = (amount: number) => (LABELS + amount * scale).toFixed(1);
  const middle = y + BAR / 2;
  const whisker = `<path d="M${at(value.least)} ${middle}H${at(value.most)}` +
    `M${at(value.least)} ${y + 2}v${BAR - 4}M${at(value.most)} ${y + 2}v${BAR - 4}" ` +
    `stroke="${INK}" stroke-width="1.5" fill="none"/>`;
  return `<rect x="${LABELS}" y="${y}" width="${(value.median * scale).toFixed(1)}" ` +
    `height="${BAR - 1}" fill="${fill}" fill-opacity="0.75"/>${whisker}` +
    label(Number(at(value.most)) + 6, y + BAR - 2, text);
}

function label(x: number, y: number, text: string, more = ""): string {
  return `<text x="${x}" y="${y}" fill="${INK}" ${more}>${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** The nearest of 1, 2, 5 times a power of ten that is not below `least`. */
function tickStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least)!;
}
