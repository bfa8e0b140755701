/** kill -9 in the middle, start again: nothing missing, nothing repeated, in the topic and in the files. */
import assert from "node:assert/strict";
import type { SeedSummary } from "../../shared/seed/seed.ts";
import { databases, mariadbDatabase, type TestDatabase } from "../databases.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import { Scenario } from "../scenario.ts";

const ROWS = 100_000;
/** Slow enough that the kills come in the middle, fast enough that batches are full. */
const RATE = 20_000;

async function killed(db: TestDatabase, rows: number): Promise<void> {
  const scenario = new Scenario(db, { format: "json", mode: "stream" });
  await scenario.createTable();
  let capture = scenario.capture();
  let consumer = scenario.consume();
  await using seed = await capture.event("capture_started").then(() =>
    scenario.startSeed(rows, { rate: RATE })
  );
  try {
    await scenario.written(rows * 0.1, capture);
    await capture.kill();
    capture = scenario.capture();
    await scenario.read(rows * 0.2, consumer);
    await consumer.kill();
    consumer = scenario.consume();
    await scenario.written(rows * 0.4, capture);
    await capture.kill();
    await consumer.kill();
    capture = scenario.capture();
    consumer = scenario.consume();
    scenario.count(await seed.result<SeedSummary>());
    await scenario.consumed([consumer, capture]);
    await consumer.stop();
    await capture.stop();
  } finally {
    await capture[Symbol.asyncDispose]();
    await consumer[Symbol.asyncDispose]();
  }
  await scenario.checkTopic();
  const result = await scenario.verify();
  assert.equal(result.verified, true, JSON.stringify(result));
  assert.equal(result.repetitions, 0);
  assert.equal(result.rows_compared, scenario.made.c - scenario.made.d);
}

const title = (name: string) =>
  `${name}: capture and consumer are killed in the middle, and nothing is lost or repeated`;

for (const db of databases()) Deno.test(title(db.name), () => killed(db, ROWS));

Deno.test(title("MariaDB"), async () => {
  await withOwnMariadb(({ info }) => killed(mariadbDatabase(info), ROWS / 4));
});
