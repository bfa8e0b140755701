/** A row of 50 MB, which no topic takes: the workers run as users run them, each a process. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connectMysql } from "../../shared/database/mysql.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import { databases, type TestDatabase } from "../databases.ts";
import { Scenario } from "../scenario.ts";
import { SILENT } from "../silent.ts";
import { testStack } from "../stack.ts";
import { until } from "../until.ts";
import type { WorkerProcess } from "../worker_process.ts";

const ROW_BYTES = 50e6;
/** The row is held as log, text, JSON, batch and request: some 14 times (README, "Guarantees"). */
const MOST_BYTES = 900e6;

/** Runs one statement after another, with values bound. */
async function run(
  { database }: TestDatabase,
  ...statements: (readonly [string, ...unknown[]])[]
): Promise<void> {
  if (database.kind === "postgresql") {
    const client = await connectPostgres(database, "oversize");
    for (const [text, ...values] of statements) await client.query({ text, values });
    return await client.end();
  }
  const connection = await connectMysql(database);
  for (const [text, ...values] of statements) await connection.query(text, values);
  await connection.end();
}

/** The values of a topic's records. */
async function valuesOf(topic: string): Promise<{ key: string; value: string }[]> {
  const { brokers } = testStack().kafka;
  const admin = await (await openKafka(kafkaOptions.parse({ brokers }), SILENT)).admin();
  const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes!);
  const found: { key: string; value: string }[] = [];
  try {
    for (const [partition, { first, end }] of (await admin.offsets(topic)).entries()) {
      for await (const { records } of admin.read({ topic, partition }, first, end)) {
        found.push(...records.map(({ key, value }) => ({ key: text(key), value: text(value) })));
      }
    }
  } finally {
    await admin.close();
  }
  return found;
}

function bounded({ peak_bytes, log_file }: WorkerProcess): void {
  assert.ok(peak_bytes < MOST_BYTES, `the capture took ${peak_bytes} bytes. Log: ${log_file}`);
}

for (const db of databases()) {
  Deno.test(`${db.name}: a row of 50 MB is named with the cure, or set aside, and memory stays bounded`, async () => {
    const scenario = new Scenario(db, { format: "json", mode: "stream" });
    const { name, topic } = scenario;
    const isMysql = db.name === "MySQL";
    const table = db.qualified(name);
    await run(db, [
      `CREATE TABLE ${table} (id BIGINT PRIMARY KEY, v ${isMysql ? "LONGTEXT" : "TEXT"})`,
    ]);
    await scenario.publish();
    await using first = scenario.capture();
    await first.event("capture_started");
    // Base64 leaves little to compress.
    const value = randomBytes(ROW_BYTES * 3 / 4).toString("base64");
    const large = `INSERT INTO ${table} VALUES (2, ${isMysql ? "?" : "$1"})`;
    await run(
      db,
      [`INSERT INTO ${table} VALUES (1, 'before')`],
      [large, value],
      [`INSERT INTO ${table} VALUES (3, 'behind')`],
      [`UPDATE ${table} SET id = 4 WHERE id = 3`],
    );
    const { error, kind } = await first.event("failed");
    assert.equal(kind, "RecordError", String(error));
    assert.match(String(error), /To mend: raise the topic's max\.message\.bytes/);
    await first.died(1);
    bounded(first);

    await using second = scenario.start({ ...scenario.captureJob(), on_oversize: "dead_letter" });
    const told = await second.event("change_oversize");
    const ids = async () =>
      (await Array.fromAsync(scenario.changes())).map(({ change: { op, before, after } }) =>
        `${op} ${(after ?? before)![0]}`
      ).sort();
    await until("what stands after it has come", async () => (await ids()).length >= 4);
    await second.stop();
    bounded(second);
    assert.deepEqual(await ids(), ["c 1", "c 3", "c 4", "d 3"]);
    const letters = await valuesOf(`${name}.oversize.dead-letters`);
    assert.deepEqual(letters.map(({ key }) => key), ['{"id":2}']);
    const { bytes, position, ...letter } = JSON.parse(letters[0]!.value);
    assert.ok(bytes > ROW_BYTES, `${bytes} bytes`);
    assert.equal(position, told["position"]);
    assert.deepEqual([letter.job, letter.topic], [name, topic]);
    await run(db, [`DROP TABLE ${table}`]);
  });
}
