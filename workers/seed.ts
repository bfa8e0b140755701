/** Worker: writes invented changes into a table. */
import { seed } from "../shared/seed/seed.ts";
import { writers } from "../shared/seed/mod.ts";
import { EXIT_DONE } from "./cli/main.ts";
import { count, duration } from "./cli/figures.ts";
import { ProgressBoard } from "./cli/progress.ts";
import { table } from "./cli/table.ts";
import { runWorker } from "./runtime/worker.ts";

await runWorker("seed", async ({ job, log, metrics, health, signal, json }) => {
  const board = new ProgressBoard();
  const progress = board.begin(`seed ${job.name}`, job.rows);
  let done = 0;
  let summary;
  try {
    health.ready("start");
    summary = await seed(job, {
      open: () => writers[job.database.kind](job),
      now: () => performance.now(),
      progress: ({ inserts, updates, deletes }) => {
        metrics.changes.add(inserts, { op: "c" });
        metrics.changes.add(updates, { op: "u" });
        metrics.changes.add(deletes, { op: "d" });
        progress.update(done += inserts + updates + deletes);
      },
      signal,
    });
  } finally {
    board.close();
  }
  const changes = summary.inserted + summary.updated + summary.deleted;
  const changes_per_second = Math.round(changes / summary.seconds);
  log.info("seeded", { ...summary, changes_per_second });
  if (json) {
    console.log(
      JSON.stringify({ job: job.name, table: job.table, ...summary, changes_per_second }),
    );
  } else {
    console.log(table(
      ["table", "inserted", "updated", "deleted", "time", "changes/s"],
      [[
        job.table,
        count(summary.inserted),
        count(summary.updated),
        count(summary.deleted),
        duration(summary.seconds),
        count(changes_per_second),
      ]],
    ));
  }
  return EXIT_DONE;
});
