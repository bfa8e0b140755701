/** Worker: rebuilds a table's list from a consumer's CSV files and compares it with the table. */
import { csvFiles } from "../shared/sinks/csv/files.ts";
import { tables } from "../shared/verify/mod.ts";
import { scratchFolder } from "../shared/verify/options.ts";
import type { Difference, VerifyResult } from "../shared/verify/result.ts";
import { verify } from "../shared/verify/verify.ts";
import { EXIT_DONE, EXIT_FAILED } from "./cli/main.ts";
import { count, duration } from "./cli/figures.ts";
import { type Progress, ProgressBoard } from "./cli/progress.ts";
import { table } from "./cli/table.ts";
import { runWorker } from "./runtime/worker.ts";

const STEPS = { files: "read files", table: "read table", compare: "compare" } as const;

await runWorker("verify", async ({ job, log, health, signal, json }) => {
  const began = performance.now();
  const files = csvFiles(job.files, job.topic);
  const reader = await tables[job.database.kind](job.database, job.table, job);
  const scratch = scratchFolder(job);
  Deno.mkdirSync(scratch, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: scratch });
  const board = new ProgressBoard();
  health.ready("start");
  let result: VerifyResult;
  try {
    result = await verify(job, {
      table: reader,
      files,
      scratch: folder,
      progress: stepsOn(board),
      signal,
    });
  } finally {
    board.close();
    Deno.removeSync(folder, { recursive: true });
    removeIfEmpty(scratch);
    await reader.close();
  }
  const seconds = (performance.now() - began) / 1000;
  const { differences: _named, ...figures } = result;
  log[result.verified ? "info" : "error"]("compared", { table: job.table, ...figures, seconds });
  if (json) console.log(JSON.stringify({ job: job.name, table: job.table, ...result, seconds }));
  else console.log(report(job.table, result, seconds));
  return result.verified ? EXIT_DONE : EXIT_FAILED;
});

/** Another run may be using it. */
function removeIfEmpty(folder: string): void {
  if (Deno.readDirSync(folder)[Symbol.iterator]().next().done) Deno.removeSync(folder);
}

/** One bar for each step, begun when the step is first heard of. */
function stepsOn(board: ProgressBoard) {
  const steps = new Map<keyof typeof STEPS, Progress>();
  return (step: keyof typeof STEPS, done: number, total: number) => {
    let progress = steps.get(step);
    if (progress === undefined) steps.set(step, progress = board.begin(STEPS[step], total));
    progress.total(total);
    progress.update(done);
    if (done === total) progress.end();
  };
}

/** The result for people: the figures, and below them what differs. */
function report(name: string, result: VerifyResult, seconds: number): string {
  const text = table(
    ["", "table", "files"],
    [
      ["rows", count(result.rows_expected), count(result.rows_found)],
      ["checksum", result.checksum_expected, result.checksum_found],
    ],
  );
  const { verified, difference_count, differences } = result;
  const verdict = verified
    ? `${name}: the list rebuilt from ${count(result.files_read)} files` +
      ` (${count(result.lines_read)} lines) equals the table;` +
      ` ${count(result.rows_compared)} rows compared in ${duration(seconds)}`
    : `${name}: ${count(difference_count)} differences, ${
      count(result.repetitions)
    } of them repetitions` +
      (difference_count > differences.length ? `; the first ${differences.length}:` : ":");
  return [text, verdict, ...differences.map(lineOf)].join("\n");
}

function lineOf({ kind, key, reason, found, expected, places }: Difference): string {
  const there = kind === "missing" || kind === "different"
    ? `; files ${JSON.stringify(found)}, table ${JSON.stringify(expected)}`
    : `; files ${JSON.stringify(found)}`;
  const where = places.length === 0 ? "" : `; ${places.join(", ")}`;
  return `  ${kind} ${JSON.stringify(key)}: ${reason}${there}${where}`;
}
