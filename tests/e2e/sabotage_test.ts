/** Each guarantee of the capture, broken on purpose: the test of it must then fail. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { SeedSummary } from "../../shared/seed/seed.ts";
import { databases, type TestDatabase } from "../databases.ts";
import { Scenario } from "../scenario.ts";
import { WorkerProcess } from "../worker_process.ts";

const WORKER = fileURLToPath(new URL("sabotage/capture.ts", import.meta.url));
const ROWS = 60_000;
const RATE = 15_000;
/** Longer than a sabotaged acknowledgement is late. */
const QUIET_MS = 5_000;

/** What a capture that is killed at these parts of its work wrote, less what was made; and where it wrote out of order. */
async function surplus(db: TestDatabase, sabotage: string, kills = [0.2, 0.4]) {
  const scenario = new Scenario(db, { format: "json", mode: "stream" });
  await scenario.createTable();
  const start = () => new WorkerProcess(scenario.folder, WORKER, scenario.captureJob(), [sabotage]);
  let capture = start();
  try {
    await capture.event("capture_started");
    await using seed = scenario.startSeed(ROWS, { rate: RATE });
    for (const part of kills) {
      await scenario.written(ROWS * part, capture);
      await capture.kill();
      capture = start();
      await capture.event("capture_started");
    }
    scenario.count(await seed.result<SeedSummary>());
    await scenario.settled(capture, QUIET_MS);
  } finally {
    await capture[Symbol.asyncDispose]();
  }
  const { c, u, d, disorder } = await scenario.readTopic();
  const { made } = scenario;
  return { records: c + u + d - made.c - made.u - made.d, disorder: disorder.length };
}

for (const db of databases()) {
  Deno.test(`${db.name}: unbroken, the capture of these runs loses and repeats nothing`, async () => {
    assert.deepStrictEqual(await surplus(db, "none"), { records: 0, disorder: 0 });
  });

  Deno.test(`${db.name}: a capture that acknowledges on receipt is seen to lose changes`, async () => {
    const { records } = await surplus(db, "acknowledge on receipt", [0.2]);
    assert.ok(records < 0, `${records} records more than changes were made`);
  });

  Deno.test(`${db.name}: a capture that skips the position check is seen to repeat changes`, async () => {
    const { records, disorder } = await surplus(db, "skip the position check");
    assert.ok(records > 0, `${records} records more than changes were made`);
    assert.ok(disorder > 0, "all positions grow");
  });
}
