/** What every sink must do, and what the CSV sink does between processes. */
import assert from "node:assert/strict";
import { RecordError } from "../../shared/errors.ts";
import { csvOptions } from "../../shared/sinks/csv/options.ts";
import { type SinkName, sinks } from "../../shared/sinks/mod.ts";
import type { Sink } from "../../shared/sinks/sink.ts";
import {
  at,
  change,
  context,
  csvSink,
  inFolder,
  listTable,
  never,
  partition,
  readLines,
  SOURCE,
  standing,
} from "../unit/sinks/fixtures.ts";
import { holdPartition } from "./hold_partition.ts";
import { until } from "../until.ts";

interface Contestant {
  create(folder: string): Promise<Sink>;
  /** Whether it knows on its own where it stands. */
  readonly keeps_standing: boolean;
}

const contestants: Record<SinkName, Contestant> = {
  csv: {
    create: async (output) =>
      (await sinks.csv()).sink.create(csvOptions.parse({ output }), context()),
    keeps_standing: true,
  },
  none: {
    create: async () => (await sinks.none()).sink.create("none", context()),
    keeps_standing: false,
  },
};

const one = { changes: [change(1, "c", { after: [1, "news", "a"] })], standing: standing(1) };
const two = { changes: [change(2, "d", { before: [1, "news", "a"] })], standing: standing(2) };

for (const [name, { create, keeps_standing }] of Object.entries(contestants)) {
  Deno.test(`${name}: a partition it has never seen has no standing`, () =>
    inFolder(async (folder) => {
      const sink = await create(folder);
      assert.equal(await sink.open(partition, never), undefined);
      await sink.close();
      const again = await create(folder);
      assert.equal(await again.open(partition, never), undefined);
      await again.close();
    }));

  Deno.test(`${name}: a flush says what is durable, and undefined when nothing was new`, () =>
    inFolder(async (folder) => {
      const sink = await create(folder);
      await sink.open(partition, never);
      assert.equal(await sink.flush(at), undefined);
      await sink.write(at, one);
      await sink.write(at, two);
      assert.deepEqual(await sink.flush(at), { ...at, durable: true, next_offset: 3 });
      assert.equal(await sink.flush(at), undefined);
      await sink.write(at, { changes: [], standing: { ...standing(2), next_offset: 9 } });
      assert.deepEqual(await sink.flush(at), { ...at, durable: true, next_offset: 9 });
      await sink.close();
    }));

  Deno.test(`${name}: partitions stand apart`, () =>
    inFolder(async (folder) => {
      const sink = await create(folder);
      const other = { topic: at.topic, partition: 1 };
      await sink.open(partition, never);
      await sink.open({ ...partition, partition: 1 }, never);
      await sink.write(at, one);
      await sink.write(other, two);
      assert.deepEqual(await sink.flush(at), { ...at, durable: true, next_offset: 2 });
      await sink.release(at);
      assert.deepEqual(await sink.flush(other), { ...other, durable: true, next_offset: 3 });
      await sink.close();
    }));

  Deno.test(`${name}: opened again it ${keeps_standing ? "knows" : "does not know"} what was flushed, and nothing else`, () =>
    inFolder(async (folder) => {
      const first = await create(folder);
      await first.open(partition, never);
      await first.write(at, one);
      await first.flush(at);
      await first.write(at, two);
      await first.release(at);
      const found = await first.open(partition, never);
      assert.deepEqual(found, keeps_standing ? standing(1) : undefined);
      await first.close();
      const second = await create(folder);
      assert.deepEqual(
        await second.open(partition, never),
        keeps_standing
          ? {
            next_offset: 2,
            positions: new Map([[SOURCE, one.changes[0]!.position]]),
            set_aside: new Map([[1, "digest"]]),
          }
          : undefined,
      );
      await second.close();
    }));
}

Deno.test("csv: of a batch with a row that is refused nothing is accepted, and the sink goes on", () =>
  inFolder(async (folder) => {
    const sink = csvSink(folder);
    await sink.open(partition, never);
    const clashing = change(2, "c", { after: [2, "news", "b", "x"] }, listTable("__op"));
    const changes = [...one.changes, clashing];
    await assert.rejects(sink.write(at, { changes, standing: standing(2) }), RecordError);
    assert.equal(await sink.flush(at), undefined);
    await sink.write(at, one);
    assert.deepEqual(await sink.flush(at), { ...at, durable: true, next_offset: 2 });
    await sink.close();
    assert.equal(readLines(folder).length, 1);
  }));

Deno.test("csv: a partition that another process holds is waited for, and taken when that one dies", () =>
  inFolder(async (folder) => {
    const child = await holdPartition(folder);
    let killed = false;
    try {
      const waiting = context();
      const sink = (await sinks.csv()).sink.create(csvOptions.parse({ output: folder }), waiting);
      const stop = new AbortController();
      const refused = sink.open(partition, stop.signal);
      refused.catch(() => {}); // looked at below
      const locked = await until(
        "the partition is told to be held",
        () => waiting.lines.find(({ event }) => event === "partition_locked"),
      );
      assert.equal(locked.holder_pid, child.pid);
      assert.match(
        JSON.stringify(waiting.health.reasons()),
        new RegExp(`process ${child.pid} holds`),
      );
      stop.abort(new Error("stopped by the test"));
      await assert.rejects(refused, /stopped by the test/);

      const opened = sink.open(partition, never);
      child.kill("SIGKILL");
      killed = true;
      assert.deepEqual(await opened, standing(1));
      assert.deepEqual(Object.keys(waiting.health.reasons()), ["start"]);
      await sink.write(at, two);
      await sink.flush(at);
      await sink.close();
      assert.deepEqual(readLines(folder).map(({ operation, cells }) => [operation, cells[2]]), [
        ["deletes", "1"],
        ["inserts", "1"],
      ]);
    } finally {
      if (!killed) child.kill("SIGKILL");
      await child.status;
    }
  }));

Deno.test("csv: two sinks of one process exclude each other as two processes do", () =>
  inFolder(async (folder) => {
    const first = csvSink(folder);
    await first.open(partition, never);
    const stop = new AbortController();
    const second = csvSink(folder);
    const refused = second.open(partition, stop.signal);
    stop.abort(new Error("stopped by the test"));
    await assert.rejects(refused, /stopped by the test/);
    await first.release(at);
    assert.equal(await second.open(partition, never), undefined);
    await second.close();
    await first.close();
  }));
