/** Each guarantee of the CSV consumer, broken on purpose: the test of it must then fail. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { inFolder } from "../unit/sinks/fixtures.ts";
import { until } from "../until.ts";
import { WorkerProcess } from "../worker_process.ts";
import { assertOnce, csvJob, Feed, found } from "./consume_feed.ts";

const WORKER = fileURLToPath(new URL("sabotage/consume_csv.ts", import.meta.url));

/** A consumer that is killed after its first commits and runs again to the end: then the files. */
async function killedOnce(sabotage: string): Promise<{ lines: string[]; expected: string[] }> {
  let result: { lines: string[]; expected: string[] } | undefined;
  await inFolder(async (folder) => {
    const feed = await Feed.open("sabotage");
    try {
      const output = `${folder}/out`;
      await feed.send(2_000, { repeat: true });
      const stream = csvJob(feed, output, { mode: "stream", flush_interval_ms: 100 });
      await using first = new WorkerProcess(folder, WORKER, stream, [sabotage]);
      await first.event("consume_started");
      let seen = "";
      await until(() => `all committed; ${seen}`, async () => {
        const { committed, ends } = await feed.standings(feed.topic);
        seen = `${committed} of ${ends} are`;
        return committed.every((offset, partition) => offset === ends[partition]);
      });
      await first.kill();
      await feed.send(500);
      await using second = new WorkerProcess(folder, WORKER, csvJob(feed, output), [sabotage]);
      await second.ended();
      result = { lines: found(output, feed.topic), expected: feed.expected };
    } finally {
      await feed.close();
    }
  });
  return result!;
}

Deno.test("Unbroken, the consumer of these runs loses and repeats nothing", async () => {
  const { lines, expected } = await killedOnce("none");
  assertOnce(lines, expected);
});

Deno.test("A consumer that commits before its data is seen to lose changes", async () => {
  const { lines, expected } = await killedOnce("commit before data");
  assert(lines.length < expected.length, `${lines.length} lines of ${expected.length}`);
  assert.throws(() => assertOnce(lines, expected));
});

Deno.test("A consumer that skips the position check is seen to repeat changes", async () => {
  const { lines, expected } = await killedOnce("skip the position check");
  assert(lines.length > expected.length, `${lines.length} lines of ${expected.length}`);
  assert.throws(() => assertOnce(lines, expected));
});
