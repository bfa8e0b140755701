/** A short look at our own rates against what this machine can do at this moment. */
import { fileURLToPath } from "node:url";
import type { RoundOptions } from "./bench.ts";
import { type RowName, rows } from "./rows/mod.ts";
import { spread } from "./statistics.ts";

const REFERENCE = fileURLToPath(new URL("reference.ts", import.meta.url));

/** The first warms the brokers up for the others. */
const ROWS: readonly RowName[] = ["produce", "consume", "csv", "capture-mysql", "capture-pg"];

const ROUND: RoundOptions = { changes: 100_000, latency_seconds: 1, with_peer: false };

/** A row's rate as a share of the reference's: the same on a slow machine and on a busy one. */
export interface QuickResult {
  readonly row: RowName;
  readonly of_reference: number;
}

/** Measures the rows; the reference runs before each, and its median counts. */
export async function quick(tell: (line: string) => void): Promise<QuickResult[]> {
  const references: number[] = [];
  const rates: { row: RowName; per_second: number }[] = [];
  for (const row of ROWS) {
    references.push(await reference());
    await using round = await rows[row].prepare(ROUND);
    const { figures } = await round.ours();
    rates.push({ row, per_second: figures.per_second! });
    tell(
      `${row} ${Math.round(figures.per_second!)}/s, reference ${Math.round(references.at(-1)!)}/s`,
    );
  }
  const { median } = spread(references);
  return rates.map(({ row, per_second }) => ({ row, of_reference: per_second / median }));
}

/** Records a second of the reference, in a process of its own. */
async function reference(): Promise<number> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", REFERENCE],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`${REFERENCE} ended with exit code ${code}`);
  return Number(new TextDecoder().decode(stdout));
}
