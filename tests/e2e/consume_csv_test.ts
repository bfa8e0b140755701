/** `consume-csv` as users run it, against real brokers. */
import assert from "node:assert/strict";
import { holdPartition } from "../contract/hold_partition.ts";
import { inFolder } from "../unit/sinks/fixtures.ts";
import { assertOnce, csvJob, Feed, found } from "./consume_feed.ts";
import { WorkerProcess } from "../worker_process.ts";
import { until } from "../until.ts";

interface Summary {
  partitions: number;
  records: number;
  changes: Record<string, number>;
  repetitions: number;
  rows: number;
}

/** A feed and a folder of the test's own. */
function withFeed(name: string, work: (feed: Feed, folder: string) => Promise<void>) {
  return () =>
    inFolder(async (folder) => {
      const feed = await Feed.open(name);
      try {
        await work(feed, folder);
      } finally {
        await feed.close();
      }
    });
}

/** Every file that is in the folder, complete or not. */
function partFiles(folder: string, topic: string): string[] {
  return [...Deno.readDirSync(`${folder}/${topic}`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".part"));
}

/** A worker with text in all its files, none of it flushed: what is accepted a stop has to make durable. */
async function startedFiles(feed: Feed, folder: string, output: string): Promise<WorkerProcess> {
  const job = csvJob(feed, output, { mode: "stream", flush_interval_ms: 60_000 });
  const worker = new WorkerProcess(folder, "consume-csv", job);
  await feed.send(2_000);
  await worker.event("partitions_assigned");
  await until("the worker has begun files", () => {
    try {
      return partFiles(output, feed.topic).length === 6;
    } catch {
      return false;
    }
  });
  return worker;
}

for (const client of ["kafkajs", "builtin"]) {
  Deno.test(
    `${client}: a batch ends at the ends of its start, drops repetitions and goes on where it stood`,
    withFeed(`batch-${client}`, async (feed, folder) => {
      const output = `${folder}/out`;
      const job = csvJob(feed, output);
      job.kafka = { ...job.kafka as object, client };
      await feed.send(3_000, { repeat: true });
      await feed.fence();

      await using first = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
      const summary = await first.result<Summary>();
      assertOnce(found(output, feed.topic), feed.expected);
      assert.equal(summary.rows, feed.expected.length);
      assert.equal(summary.partitions, 3);
      assert.equal(summary.records - summary.repetitions, 3_000, JSON.stringify(summary));
      assert(summary.repetitions > 300, JSON.stringify(summary));
      assert.deepEqual(partFiles(output, feed.topic), []);
      const { committed, ends } = await feed.standings(feed.topic);
      assert.deepEqual(committed, ends);

      await using second = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
      assert.equal((await second.result<Summary>()).rows, 0);
      await feed.send(500);
      await using third = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
      assert.equal((await third.result<Summary>()).records, 500);
      assertOnce(found(output, feed.topic), feed.expected);
    }),
  );
}

Deno.test(
  "A group that is given the folder of another adds nothing, and is told why",
  withFeed("other-group", async (feed, folder) => {
    const output = `${folder}/out`;
    const job = csvJob(feed, output);
    await feed.send(300);
    await using first = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
    await first.result();
    assert.deepEqual(first.lines("output_is_ahead"), []);

    const other = { ...job, group_id: `${feed.topic}.other` };
    await using second = new WorkerProcess(folder, "consume-csv", other, ["--json"]);
    assert.equal((await second.result<Summary>()).rows, 0);
    const { group, cure } = await second.event("output_is_ahead");
    assert.deepEqual([group, /an output of its own/.test(String(cure))], [other.group_id, true]);
    assertOnce(found(output, feed.topic), feed.expected);
  }),
);

Deno.test(
  "A stream drains at SIGTERM: all is durable and committed, and the files are whole",
  withFeed("stream", async (feed, folder) => {
    const output = `${folder}/out`;
    await using worker = await startedFiles(feed, folder, output);
    await worker.stop();
    const { committed, ends } = await feed.standings(feed.topic);
    assert.deepEqual(partFiles(output, feed.topic), []);
    const next = new WorkerProcess(folder, "consume-csv", csvJob(feed, output), ["--json"]);
    await next.result();
    assertOnce(found(output, feed.topic), feed.expected);
    assert(
      committed.every((offset) => offset !== undefined && offset > 0),
      `${committed} of ${ends}`,
    );
  }),
);

Deno.test(
  "What cannot be made durable at a stop is told, and the exit code says so",
  withFeed("drain", async (feed, folder) => {
    const output = `${folder}/out`;
    await using worker = await startedFiles(feed, folder, output);
    Deno.removeSync(output, { recursive: true });
    Deno.kill(worker.pid, "SIGTERM");
    await worker.ended(2);
    const { kind, error } = await worker.event("failed");
    assert.equal(kind, "ConfigError", String(error));
    assert.match(
      String(error),
      /Cannot write .*\/out.*: its folder was removed .* another group_id/,
    );
    const { committed } = await feed.standings(feed.topic);
    assert.deepEqual(committed, [undefined, undefined, undefined]);
  }),
);

Deno.test(
  "After kill -9 again and again each change stands in the files once",
  withFeed("kill", async (feed, folder) => {
    const output = `${folder}/out`;
    const sink = { output, rotate_rows: 400 };
    const job = csvJob(feed, output, { mode: "stream", flush_interval_ms: 20, sink });
    for (let round = 0; round < 3; round++) {
      await using worker = new WorkerProcess(folder, "consume-csv", job);
      await worker.event("partition_opened");
      for (let sent = 0; sent < 4; sent++) await feed.send(500, { repeat: true });
      await until("some of it is durable", async () => {
        const { committed } = await feed.standings(feed.topic);
        return committed.some((offset) => (offset ?? 0) > 300 * round);
      });
      await worker.kill();
    }
    await using last = new WorkerProcess(folder, "consume-csv", csvJob(feed, output, { sink }));
    await last.ended();
    assertOnce(found(output, feed.topic, { rotate_rows: 400 }), feed.expected);
  }),
);

Deno.test(
  "Three consumers of a group share the partitions, and all end when the group is done",
  withFeed("three", async (feed, folder) => {
    const output = `${folder}/out`;
    await feed.send(6_000);
    const workers = ["a", "b", "c"].map((consumer_id) => {
      const filename = "{topic}/{operation}-{partition}-{sequence}-{consumer_id}.csv";
      const job = csvJob(feed, output, { consumer_id, sink: { output, filename } });
      return new WorkerProcess(folder, "consume-csv", job, ["--json"]);
    });
    try {
      const summaries = await Promise.all(workers.map((worker) => worker.result<Summary>()));
      const filename = "{topic}/{operation}-{partition}-{sequence}-{consumer_id}.csv";
      assertOnce(found(output, feed.topic, { filename }), feed.expected);
      const rows = summaries.reduce((sum, summary) => sum + summary.rows, 0);
      assert.equal(rows, feed.expected.length, JSON.stringify(summaries));
    } finally {
      for (const worker of workers) await worker[Symbol.asyncDispose]();
    }
  }),
);

Deno.test(
  "Consumers that come and go while changes flow hand their partitions over",
  withFeed("rebalance", async (feed, folder) => {
    const output = `${folder}/out`;
    const job = (consumer_id: string) => csvJob(feed, output, { mode: "stream", consumer_id });
    await using first = new WorkerProcess(folder, "consume-csv", job("a"));
    await feed.send(1_000);
    await first.event("partitions_assigned");
    await using second = new WorkerProcess(folder, "consume-csv", job("b"));
    await feed.send(1_000);
    await second.event("partition_opened");
    await feed.send(1_000);
    await first.stop();
    await feed.send(1_000);
    await until("the second has taken all", async () => {
      const { committed, ends } = await feed.standings(feed.topic);
      return committed.every((offset, partition) => offset === ends[partition]);
    });
    await second.stop();
    assertOnce(found(output, feed.topic), feed.expected);
  }),
);

for (const client of ["kafkajs", "builtin"]) {
  Deno.test(
    `${client}: a partition that a frozen process holds waits alone, and goes on where its files end`,
    withFeed(`held-${client}`, async (feed, folder) => {
      const output = `${folder}/out`;
      const job = csvJob(feed, output);
      job.kafka = { ...job.kafka as object, client, fetch_bytes: 16 * 1024 };
      await feed.send(1_500);
      await using first = new WorkerProcess(folder, "consume-csv", job);
      await first.ended();
      await feed.send(1_500);

      const [topic] = await feed.admin.topics((name) => name === feed.topic);
      const holder = await holdPartition(output, feed.topic, topic!.id);
      let held = true;
      try {
        await using second = new WorkerProcess(folder, "consume-csv", job);
        const locked = await second.event("partition_locked");
        assert.equal(locked.holder_pid, holder.pid);
        assert.equal(locked.part, `partition ${feed.topic}/0`);
        await until("the other partitions are done", async () => {
          const { committed, ends } = await feed.standings(feed.topic);
          return committed[1] === ends[1] && committed[2] === ends[2];
        });
        const { committed, ends } = await feed.standings(feed.topic);
        assert(committed[0]! < ends[0]!, `${committed} of ${ends}`);
        holder.kill("SIGKILL");
        held = false;
        await second.ended();
      } finally {
        if (held) holder.kill("SIGKILL");
        await holder.status;
      }
      assertOnce(found(output, feed.topic), feed.expected);
    }),
  );
}

Deno.test(
  "A record of another format stops the job with its place; what stood before it is kept",
  withFeed("format", async (feed, folder) => {
    const output = `${folder}/out`;
    await feed.send(300);
    const { ends } = await feed.standings("nobody");
    await feed.sendRecords(1, [{ key: "{}", value: "not a change", timestamp_ms: 0 }]);
    await using worker = new WorkerProcess(folder, "consume-csv", csvJob(feed, output));
    const failed = await worker.event("failed");
    await worker.ended(1);
    assert.match(
      String(failed.error),
      new RegExp(`Topic ${feed.topic}, partition 1: .* offset ${ends[1]} .*format json`),
    );
    const journal = JSON.parse(Deno.readTextFileSync(`${output}/.list-sync/${feed.topic}/1.json`));
    assert.equal(journal.next_offset, ends[1]);
  }),
);

Deno.test(
  "A topic made anew under its name is lost history, not a beginning",
  withFeed("anew", async (feed, folder) => {
    const output = `${folder}/out`;
    await feed.send(300);
    await using first = new WorkerProcess(folder, "consume-csv", csvJob(feed, output));
    await first.ended();
    await feed.admin.deleteTopics([feed.topic]);
    await until(
      "the topic is gone",
      async () => (await feed.admin.topics((name) => name === feed.topic)).length === 0,
    );
    await feed.admin.createTopics([
      { name: feed.topic, partitions: 3, replication_factor: 3, config: {} },
    ]);
    await using second = new WorkerProcess(folder, "consume-csv", csvJob(feed, output));
    const failed = await second.event("failed");
    await second.ended(1);
    assert.equal(failed.kind, "HistoryLostError");
    assert.match(String(failed.error), /was recreated/);
  }),
);

Deno.test(
  "Records that retention deletes before a consumer has read them are lost history, while it runs as well",
  withFeed("retention", async (feed, folder) => {
    const output = `${folder}/out`;
    const job = csvJob(feed, output, { mode: "stream" });
    job.kafka = { ...job.kafka as object, fetch_bytes: 1024 };
    await using worker = new WorkerProcess(folder, "consume-csv", job);
    await feed.send(300);
    await until("all is read", async () => {
      const { committed, ends } = await feed.standings(feed.topic);
      return committed.every((offset, partition) => offset === ends[partition]);
    });
    Deno.kill(worker.pid, "SIGSTOP");
    try {
      // The fetch that waits at the broker takes the first of these batches.
      for (let batch = 0; batch < 3; batch++) await feed.send(300);
      await feed.deleteRecords();
      await feed.send(30);
    } finally {
      Deno.kill(worker.pid, "SIGCONT");
    }
    const lost = async (worker: WorkerProcess) => {
      const { kind, error } = await worker.event("failed");
      assert.equal(kind, "HistoryLostError", String(error));
      assert.match(String(error), /retention has deleted \d+ records that were not read/);
      await worker.ended(1);
    };
    await lost(worker);
    await using second = new WorkerProcess(folder, "consume-csv", csvJob(feed, output));
    await lost(second);
  }),
);

Deno.test(
  "sink: none counts and writes nothing",
  withFeed("none", async (feed, folder) => {
    await feed.send(1_000, { repeat: true });
    const job = csvJob(feed, folder, { sink: "none" });
    await using worker = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
    const summary = await worker.result<Summary>();
    assert.equal(summary.rows, feed.expected.length);
    const { committed, ends } = await feed.standings(feed.topic);
    assert.deepEqual(committed, ends);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert.deepEqual(names.filter((name) => !/\.(log|yaml)$/.test(name)), []);
  }),
);

Deno.test(
  "A stream waits for topics that its pattern will match, and takes up those that come later",
  withFeed("pattern", async (feed, folder) => {
    const output = `${folder}/out`;
    const prefix = feed.topic.slice(0, -2);
    const job = csvJob(feed, output, { mode: "stream", topic_refresh_ms: 200 });
    delete job.topics;
    job.topic_pattern = `${prefix}..\\.later|${prefix}..\\.last`;
    await using worker = new WorkerProcess(folder, "consume-csv", job);
    await worker.event("waiting_for_topics");
    const create = (name: string) =>
      feed.admin.createTopics([{ name, partitions: 1, replication_factor: 3, config: {} }]);
    await create(`${feed.topic}.later`);
    await worker.event("consume_started");
    await create(`${feed.topic}.last`);
    await worker.event("topics_found");
    await until("both are held", () => {
      try {
        return [...Deno.readDirSync(`${output}/.list-sync`)].length === 2;
      } catch {
        return false;
      }
    });
    await worker.stop();
    await feed.admin.deleteTopics([`${feed.topic}.later`, `${feed.topic}.last`]);
  }),
);
