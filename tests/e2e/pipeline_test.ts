/** Database → Kafka → CSV files → the same list: every worker a process, every byte real. */
import assert from "node:assert/strict";
import { databases, type TestDatabase } from "../databases.ts";
import { Scenario, type ScenarioOptions } from "../scenario.ts";

const ROWS = 30_000;

/** Stream: everything runs at once. */
async function stream(scenario: Scenario, consumers: number): Promise<void> {
  await scenario.createTable();
  await using capture = scenario.capture();
  await capture.event("capture_started");
  const running = Array.from({ length: consumers }, (_, index) => scenario.consume(`${index + 1}`));
  try {
    await scenario.seed(ROWS);
    await scenario.consumed(running);
    await Promise.all(running.map((consumer) => consumer.stop()));
    await capture.stop();
  } finally {
    for (const consumer of running) await consumer[Symbol.asyncDispose]();
  }
}

/** Batch: each worker ends by itself at what was there when it started. */
async function batch(scenario: Scenario, consumers: number): Promise<void> {
  await scenario.createTable();
  await scenario.capture().ended();
  await scenario.seed(ROWS);
  await scenario.capture().ended();
  const running = Array.from({ length: consumers }, (_, index) => scenario.consume(`${index + 1}`));
  await Promise.all(running.map((consumer) => consumer.ended()));
}

async function check(scenario: Scenario): Promise<void> {
  await scenario.checkTopic();
  const result = await scenario.verify();
  assert.equal(result.verified, true, JSON.stringify(result));
  assert.equal(result.repetitions, 0);
  assert.equal(result.rows_compared, scenario.made.c - scenario.made.d);
}

type Way = ScenarioOptions & { readonly consumers: number };

/** One consumer of a stream in JSON is what kill_test.ts kills. */
const WAYS: readonly Way[] = [
  { format: "protobuf", mode: "stream", consumers: 3, replica_identity: "full" },
  { format: "json", mode: "batch", consumers: 3 },
  { format: "protobuf", mode: "batch", consumers: 1 },
];

function title(db: TestDatabase, { format, mode, consumers }: Way): string {
  return `${ROWS} changes of ${db.name} reach the files whole: ${mode}, ${format}, ` +
    `${consumers} consumer${consumers === 1 ? "" : "s"}`;
}

for (const db of databases()) {
  for (const way of WAYS) {
    Deno.test(title(db, way), async () => {
      const scenario = new Scenario(db, way);
      await (way.mode === "stream" ? stream : batch)(scenario, way.consumers);
      await check(scenario);
    });
  }
}
