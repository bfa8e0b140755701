/** Results as a run finds them, small. */
import type { FigureName } from "../../../bench/bench.ts";
import type { KeptRow, Results } from "../../../bench/results.ts";
import { rowResult } from "../../../bench/results.ts";
import { rows } from "../../../bench/rows/mod.ts";

/** Every row that there is, with figures of its own. */
export function exampleRows(): KeptRow[] {
  return Object.entries(rows).map(([name, row], index) => {
    const side = (factor: number, peak_bytes?: number) =>
      [1, 3, 2].map((round) => ({
        figures: Object.fromEntries(
          row.figures.map((figure, at) => [figure, factor * round * 10 ** (at + index % 5)]),
        ) as Partial<Record<FigureName, number>>,
        ...peak_bytes === undefined ? {} : { peak_bytes },
      }));
    const rounds = { ours: side(4, 200e6), theirs: side(1, index % 2 === 0 ? 1500e6 : undefined) };
    return { ...rowResult(name, row, 1_000_000, rounds), day: "2026-11-21" };
  });
}

/** The same with a machine. */
export function exampleResults(): Results {
  return {
    machine: { cores: 2, processor: "CPU", memory_bytes: 24 * 2 ** 30, system: "Linux 6.1" },
    versions: { kafka: "3.9.1" },
    rows: exampleRows(),
  };
}
