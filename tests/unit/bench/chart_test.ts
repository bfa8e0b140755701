import assert from "node:assert/strict";
import { chart } from "../../../bench/chart.ts";
import { rows } from "../../../bench/rows/mod.ts";
import { exampleRows } from "./example.ts";

/** Throws unless every element is closed where it must be, and every attribute and text is escaped. */
function demandWellFormed(svg: string): void {
  const open: string[] = [];
  const tag = /<(\/?)([a-z]+)((?: [a-zA-Z][\w-]*="[^"<&]*")*) ?(\/?)>|([^<]+)/gy;
  let at = 0;
  for (const match of svg.matchAll(tag)) {
    at = match.index + match[0].length;
    const [, closing, name, , empty, text] = match;
    if (text !== undefined) assert.doesNotMatch(text, /&(?!amp;|lt;|quot;)/);
    else if (closing) assert.equal(open.pop(), name);
    else if (!empty) open.push(name!);
  }
  assert.equal(at, svg.length, `not XML from: ${svg.slice(at, at + 80)}`);
  assert.deepEqual(open, []);
}

Deno.test("the chart is well-formed and names every row and every peer", () => {
  const svg = chart(exampleRows());
  demandWellFormed(svg);
  for (const [name, { peer }] of Object.entries(rows)) {
    assert.ok(svg.includes(`>${name}</text>`), name);
    assert.ok(svg.includes(peer.replaceAll("&", "&amp;")), peer);
  }
});

Deno.test("bars are as long as their medians on one scale, and stay inside", () => {
  const [row] = exampleRows();
  const svg = chart([row!]);
  const widths = [...svg.matchAll(/height="10" fill/g)].map(({ index }) =>
    Number(/width="([\d.]+)" $/.exec(svg.slice(0, index))![1])
  );
  // Rate: 8 (up to 12) beside 2; memory: 200 beside 1500.
  assert.ok(Math.abs(widths[0]! / (760 - 190 - 120) - 8 / 12) < 0.01, widths.join());
  assert.ok(Math.abs(widths[0]! / widths[1]! - 4) < 0.01, widths.join());
  assert.ok(Math.abs(widths[2]! / widths[3]! - 200 / 1500) < 0.01, widths.join());
  assert.ok(Math.max(...widths) <= 760 - 190);
});

Deno.test("a row whose peer has no known peak has bars for its rate alone", () => {
  const [row] = exampleRows();
  const svg = chart([{ ...row!, theirs_peak_bytes: null }]);
  demandWellFormed(svg);
  assert.equal([...svg.matchAll(/<rect/g)].length, 2 + 2); // the legend, and both rates
});

Deno.test("signs that XML knows are escaped", () => {
  const [row] = exampleRows();
  const svg = chart([{ ...row!, row: `a<b&"c"` }]);
  demandWellFormed(svg);
  assert.ok(svg.includes("a&lt;b&amp;&quot;c&quot;"));
});
