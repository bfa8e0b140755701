/** The library: `consume` with a function as the target, and what it promises against real brokers. */
import assert from "node:assert/strict";
import { ConfigError, consume, type ConsumedBatch, type Standing } from "../../shared/mod.ts";
import { assertOnce, connection, Feed } from "./consume_feed.ts";

function linesOf(batch: ConsumedBatch): string[] {
  return batch.changes.flatMap(({ op, position }) => [
    ...op === "c" || op === "r" ? [] : [`deletes ${op} ${position}`],
    ...op === "d" ? [] : [`inserts ${op} ${position}`],
  ]);
}

Deno.test("consume hands each change to the function once, and goes on after what it committed", async () => {
  const feed = await Feed.open("library");
  try {
    const lines: string[] = [];
    const read = () =>
      consume({
        kafka: { brokers: connection().brokers },
        topics: [feed.topic],
        group_id: feed.topic,
        mode: "batch",
        flush_interval_ms: 100,
        write: (batch) => void lines.push(...linesOf(batch)),
      });
    await feed.send(1_500, { repeat: true });
    const first = await read();
    assert.equal(first.records - first.repetitions, 1_500);
    assertOnce(lines, feed.expected);
    await feed.send(200);
    assert.equal((await read()).records, 200);
    assert.equal((await read()).records, 0);
    assertOnce(lines, feed.expected);
  } finally {
    await feed.close();
  }
});

Deno.test("A target that stores the standing with its rows sees nothing twice, whatever was committed", async () => {
  const feed = await Feed.open("standing");
  try {
    // A target of one transaction: rows and standings change together, or not at all.
    const stored = { lines: [] as string[], standings: new Map<number, Standing>() };
    const read = (failAfter: number) => {
      let batches = 0;
      return consume({
        kafka: { brokers: connection().brokers, fetch_bytes: 16 * 1024 },
        topics: [feed.topic],
        group_id: feed.topic,
        mode: "batch",
        flush_interval_ms: 60_000,
        standing: ({ partition }) => stored.standings.get(partition),
        write(batch) {
          if (++batches > failAfter) throw new Error("the target has broken down");
          stored.lines.push(...linesOf(batch));
          stored.standings.set(batch.partition, batch.standing);
        },
      });
    };
    await feed.send(2_000);
    await assert.rejects(read(2), /the target has broken down/);
    assert(stored.lines.length > 0 && stored.lines.length < feed.expected.length);
    await feed.admin.deleteGroups([feed.topic]); // as if no commit had ever arrived
    await read(Infinity);
    assertOnce(stored.lines, feed.expected);
  } finally {
    await feed.close();
  }
});

Deno.test("A record that is no change becomes a dead letter, and consume goes on after it", async () => {
  const feed = await Feed.open("poison");
  try {
    const lines: string[] = [];
    const record = { key: "k", value: "no change", timestamp_ms: Date.now() };
    await feed.sendRecords(0, [record]);
    await feed.send(100);
    const { dead_letters } = await consume({
      kafka: { brokers: connection().brokers },
      topics: [feed.topic],
      group_id: feed.topic,
      mode: "batch",
      on_error: "dead_letter",
      flush_interval_ms: 100,
      write: (batch) => void lines.push(...linesOf(batch)),
    });
    assert.equal(dead_letters, 1);
    assertOnce(lines, feed.expected);
  } finally {
    await feed.close();
  }
});

Deno.test("Wrong options are named before anything connects", async () => {
  await assert.rejects(
    consume({ kafka: { brokers: ["nowhere"] }, topics: ["a"], group_id: "b", write() {} }),
    (error: Error) => error instanceof ConfigError && /brokers\[0\]/.test(error.message),
  );
  await assert.rejects(
    consume({ kafka: { brokers: ["localhost:1"] }, group_id: "b", write() {} }),
    (error: Error) => error instanceof ConfigError && /topics: name the topics/.test(error.message),
  );
});
