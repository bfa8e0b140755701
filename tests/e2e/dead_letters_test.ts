/** Poison records in the middle of a stream: set aside, listed, replayed after the fix, exactly once. */
import assert from "node:assert/strict";
import type { Change, TableSchema } from "../../shared/change.ts";
import { format } from "../../shared/formats/json.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import type { OutRecord } from "../../shared/kafka/port.ts";
import type { Replayed, StoredLetter } from "../../shared/pipeline/replay.ts";
import { schemaBatch, SchemaReader } from "../../shared/pipeline/schemas.ts";
import type { SeedSummary } from "../../shared/seed/seed.ts";
import type { VerifyResult } from "../../shared/verify/result.ts";
import { type Ended, runDeno } from "../command.ts";
import { databases } from "../databases.ts";
import { encoded } from "../encoded.ts";
import { Scenario } from "../scenario.ts";
import { SILENT } from "../silent.ts";
import { testStack } from "../stack.ts";
import { change, inFolder, listTable, table } from "../unit/sinks/fixtures.ts";
import { until } from "../until.ts";
import { WorkerProcess } from "../worker_process.ts";
import { assertOnce, connection, csvJob, Feed, found } from "./consume_feed.ts";

type Listed = Omit<StoredLetter, "record">;

/** `deno task NAME … JOB` in a process of its own. */
function task(folder: string, job: object, name: string, ...args: string[]): Promise<Ended> {
  const path = `${folder}/${crypto.randomUUID().slice(0, 8)}.yaml`;
  Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 2));
  return runDeno(["task", "--quiet", name, ...args, path]);
}

async function list(folder: string, job: object, ...options: string[]): Promise<Listed[]> {
  const { code, stdout, stderr } = await task(
    folder,
    job,
    "dead-letters",
    "list",
    "--json",
    ...options,
  );
  assert.equal(code, 0, stderr);
  return stdout.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

async function replay(
  folder: string,
  job: object,
  ...options: string[]
): Promise<Replayed & { code: number }> {
  const { code, stdout, stderr } = await task(
    folder,
    job,
    "dead-letters",
    "replay",
    "--json",
    ...options,
  );
  assert.notEqual(stdout, "", `exit ${code}: ${stderr}`);
  return { code, ...JSON.parse(stdout) };
}

const garbage: OutRecord = {
  key: null,
  value: new Uint8Array([0, 255, 27, 91, 50, 74]),
  timestamp_ms: 1_795_255_200_000,
  headers: [["trace", "7"], ["trace", new Uint8Array([254])]],
};

/** A created row of a table and a source of its own. */
function stray(name: string, n: number, of: TableSchema): Change {
  const after = of.columns.map((_, at) => at === 0 ? n : `${name} ${n}`);
  return { ...change(n, "c", { after }, of), source: { ...change(0, "c", {}).source, name } };
}

function recordOf(change: Change): OutRecord {
  const { key, value } = encoded(format, change);
  return { key, value: (value as Uint8Array).slice(), timestamp_ms: Date.now() };
}

/** Publishes a definition as a capture of the source `name` would. */
async function publish(name: string, of: TableSchema): Promise<void> {
  const kafka = await openKafka(connection(), SILENT);
  const producer = await kafka.producer({
    transactional_id: `test.schemas.${crypto.randomUUID()}`,
    fence: { partitions: [], ids: [] },
  });
  await producer.send([schemaBatch({ connector: "postgresql", name, version: "0" }, of, 0)]);
  await producer.close();
}

async function withFeed(name: string, work: (feed: Feed, folder: string) => Promise<void>) {
  await inFolder(async (folder) => {
    const feed = await Feed.open(name);
    try {
      await work(feed, folder);
    } finally {
      await feed.admin.deleteTopics([`${feed.topic}.dead-letters`]).catch(() => {});
      await feed.close();
    }
  });
}

async function consumed(feed: Feed, worker: WorkerProcess): Promise<void> {
  await until(`the group has read ${feed.topic}; log: ${worker.log_file}`, async () => {
    worker.refuseEnded();
    const { committed, ends } = await feed.standings(feed.topic);
    return ends.every((end, at) => end === 0 || committed[at] === end);
  });
}

for (const client of ["kafkajs", "builtin"]) {
  Deno.test(
    `${client}: poison in the middle of a stream becomes dead letters, and is replayed after the fix`,
    () =>
      withFeed(`poison-${client}`, async (feed, folder) => {
        const output = `${folder}/out`;
        const job = csvJob(feed, output, { mode: "stream", on_error: "dead_letter" });
        job.kafka = { ...job.kafka as object, client };
        const clashing = listTable("__op");
        await publish(`${feed.topic}-clash`, clashing);
        const unknown = stray(`${feed.topic}-unknown`, 1_000_001, table);
        const refused = stray(`${feed.topic}-clash`, 1_000_002, clashing);

        const stream = new WorkerProcess(folder, "consume-csv", job);
        try {
          await feed.send(1_000);
          for (
            const [partition, record] of [garbage, recordOf(unknown), recordOf(refused)].entries()
          ) {
            await feed.sendRecords(partition, [record]);
          }
          await feed.send(1_000, { repeat: true });
          await consumed(feed, stream);
          assertOnce(found(output, feed.topic), feed.expected);

          const letters = await list(folder, job);
          assert.deepEqual(
            letters.map(({ origin, reason, status }) => [origin.partition, reason, status]).sort(),
            [[0, "format", "waiting"], [1, "schema", "waiting"], [2, "sink", "waiting"]],
            JSON.stringify(letters),
          );
          assert.deepEqual(await list(folder, job, "--reason", "sink"), [
            letters.find(({ reason }) => reason === "sink"),
          ]);
          const { stdout } = await task(
            folder,
            job,
            "dead-letters",
            "show",
            "--json",
            "--partition=0",
          );
          const whole = JSON.parse(stdout);
          assert.deepEqual([whole.key, whole.value, whole.timestamp_ms], [
            ...[null, "base64:AP8bWzJK", garbage.timestamp_ms],
          ]);
          assert.deepEqual(whole.headers, [["trace", "7"], ["trace", "base64:/g=="]]);

          // The definition is published: what needed no more is replayed, the rest stays.
          await publish(`${feed.topic}-unknown`, table);
          const first = await replay(folder, job);
          assert.deepEqual(
            [
              first.code,
              first.replayed.length,
              first.refused.map(({ origin }) => origin.partition),
            ],
            [1, 2, [0]],
            JSON.stringify(first),
          );
          await consumed(feed, stream);
          feed.expected.push(`inserts c ${unknown.position}`);
          assertOnce(found(output, feed.topic), feed.expected);
          await until(
            "the refused row is a dead letter again",
            async () => (await list(folder, job, "--reason", "sink"))[0]?.replays === 1,
          );
          await stream.stop();
        } finally {
          await stream[Symbol.asyncDispose]();
        }

        // The job is mended; two replays of one letter are one change.
        const columns = ["id", "category", "domain"];
        const mended = { ...job, mode: "batch", sink: { output, columns } };
        assert.equal((await replay(folder, mended, "--reason", "sink")).replayed.length, 1);
        assert.equal((await replay(folder, mended, "--reason", "sink")).replayed.length, 0);
        const consume = await task(folder, mended, "consume", "--json");
        assert.equal(consume.code, 0, consume.stderr);
        feed.expected.push(`inserts c ${refused.position}`);
        assertOnce(found(output, feed.topic, { columns }), feed.expected);
        assert.deepEqual((await list(folder, mended)).map(({ status }) => status).sort(), [
          ...["replayed", "replayed", "waiting"],
        ]);

        // A folder of its own begins at the first record: what is good now is applied there once.
        const fresh = {
          ...mended,
          group_id: `${feed.topic}-2`,
          sink: { output: `${output}2`, columns },
        };
        const second = await task(folder, { ...fresh, on_error: "skip" }, "consume", "--json");
        assert.equal(second.code, 0, second.stderr);
        assertOnce(found(`${output}2`, feed.topic, { columns }), feed.expected);
        assert.equal(JSON.parse(second.stdout).skipped, 1);
      }),
  );
}

Deno.test("After kill -9 around dead letters every good change is in the files once, and every letter is listed once", () =>
  withFeed("poison-kill", async (feed, folder) => {
    const output = `${folder}/out`;
    const options = { flush_interval_ms: 20, on_error: "dead_letter" };
    const job = csvJob(feed, output, { mode: "stream", ...options });
    let poison = 0;
    for (let round = 0; round < 4; round++) {
      await using worker = new WorkerProcess(folder, "consume-csv", job);
      await worker.event("partition_opened");
      for (let sent = 0; sent < 4; sent++) {
        await feed.send(200, { repeat: true });
        for (let partition = 0; partition < 3; partition++, poison++) {
          await feed.sendRecords(partition, [garbage]);
        }
      }
      // Logged when it is acknowledged, which is before its offset is durable.
      await worker.event("dead_letter");
      await worker.kill();
    }
    await using last = new WorkerProcess(folder, "consume-csv", csvJob(feed, output, options));
    await last.ended();
    assertOnce(found(output, feed.topic), feed.expected);
    const letters = await list(folder, job);
    const origins = letters.map(({ origin }) => `${origin.partition}@${origin.offset}`);
    assert.equal(origins.length, poison, origins.join(" "));
    assert.equal(new Set(origins).size, poison, origins.join(" "));
  }));

Deno.test("on_error skip counts and logs each record that it passes over; fail stops at the first", () =>
  withFeed("poison-skip", async (feed, folder) => {
    await feed.send(100);
    await feed.sendRecords(1, [garbage, garbage]);
    await feed.send(100);
    const output = `${folder}/out`;
    await using failing = new WorkerProcess(folder, "consume-csv", csvJob(feed, output));
    await failing.ended(1);
    assert.match(String((await failing.event("failed")).error), /partition 1: .*not JSON/);
    const job = csvJob(feed, output, { on_error: "skip" });
    await using skipping = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
    assert.equal((await skipping.result<{ skipped: number }>()).skipped, 2);
    assert.equal((await skipping.event("record_skipped")).partition, 1);
    assertOnce(found(output, feed.topic), feed.expected);
  }));

Deno.test("check tells of the dead letter topic, before and after it is made", () =>
  withFeed("poison-check", async (feed, folder) => {
    const job = csvJob(feed, `${folder}/out`, { on_error: "dead_letter" });
    const subject = `dead letter topic ${feed.topic}.dead-letters`;
    const finding = async () => {
      const { stdout, stderr } = await task(folder, job, "check", "--json");
      assert.notEqual(stdout, "", stderr);
      const { findings } = JSON.parse(stdout) as { findings: { subject: string }[] };
      return findings.find((finding) => finding.subject === subject) as unknown;
    };
    const before =
      "none exists yet: made for the first dead letter, as safe as the topic it is from";
    assert.deepEqual(await finding(), { level: "ok", subject, found: before });
    await feed.sendRecords(0, [garbage]);
    await using worker = new WorkerProcess(folder, "consume-csv", job);
    await worker.ended();
    assert.deepEqual(await finding(), { level: "ok", subject, found: "3 replicas, kept for ever" });
    const config = await feed.admin.topicConfig(`${feed.topic}.dead-letters`);
    assert.equal(config.get("min.insync.replicas"), "2");
  }));

/** Copies the scenario's topic, every tenth change under a definition that nobody has published. */
async function copyWithPoison(scenario: Scenario, copy: string) {
  const kafka = await openKafka(connection(), SILENT);
  const admin = await kafka.admin();
  const partitions = (await admin.offsets(scenario.topic)).length;
  await admin.createTopics([{ name: copy, partitions, replication_factor: 3, config: {} }]);
  const producer = await kafka.producer({
    transactional_id: copy,
    fence: { partitions: [], ids: [] },
  });
  const schemas = new SchemaReader(admin);
  await schemas.refresh();
  let poison = 0;
  let hidden: Change | undefined;
  for (const [partition, { first, end }] of (await admin.offsets(scenario.topic)).entries()) {
    for await (const { records } of admin.read({ topic: scenario.topic, partition }, first, end)) {
      const copied = records.map((record): OutRecord => {
        const change = format.decode(record, schemas.lookup);
        if (record.offset % 10 !== 7) return record as OutRecord;
        poison++;
        hidden = { ...change, table: { ...change.table, id: "00000000" } };
        const text = new TextDecoder().decode(record.value!);
        const value = text.replace(`"schema_id":"${change.table.id}"`, `"schema_id":"00000000"`);
        assert.notEqual(value, text);
        return { key: record.key, value, timestamp_ms: record.timestamp_ms };
      });
      await producer.send([{ topic: copy, partition, records: copied }]);
    }
  }
  return {
    poison,
    /** Publishes the definition that was missing. */
    async mend() {
      await producer.send([schemaBatch(hidden!.source, hidden!.table, 0)]);
    },
    async [Symbol.asyncDispose]() {
      await producer.close();
      await admin.deleteTopics([copy, `${copy}.dead-letters`]);
      await admin.close();
    },
  };
}

Deno.test("The list differs while changes wait as dead letters, and is the table when they were replayed", async () => {
  const [db] = databases();
  const scenario = new Scenario(db!, { format: "json", mode: "stream" });
  await scenario.createTable();
  await using capture = scenario.capture();
  await capture.event("capture_started");
  await using seed = scenario.startSeed(5_000);
  scenario.count(await seed.result<SeedSummary>());
  await scenario.written(5_000, capture);
  await capture.stop();

  const topic = `${scenario.name}.copy`;
  const { folder, output } = scenario;
  await using copy = await copyWithPoison(scenario, topic);
  assert(copy.poison > 100, `${copy.poison} poison records`);
  const job = {
    job: "consume-csv",
    name: scenario.name,
    group_id: topic,
    topics: [topic],
    mode: "batch",
    on_error: "dead_letter",
    sink: { output },
    kafka: { brokers: testStack().kafka.brokers, session_timeout_ms: 6_000 },
  };
  const verify = async (exit_code: number): Promise<VerifyResult> => {
    const files = { job: "verify", name: "verify", database: db!.reader, topic };
    const table = { table: db!.qualified(scenario.name), files: { output } };
    await using worker = new WorkerProcess(folder, "verify", { ...files, ...table }, ["--json"]);
    return JSON.parse(await worker.ended(exit_code));
  };
  const consume = async () => {
    await using worker = new WorkerProcess(folder, "consume-csv", job, ["--json"]);
    return await worker.result<{ dead_letters: number; repetitions: number }>();
  };

  assert.equal((await consume()).dead_letters, copy.poison);
  assert.equal((await verify(1)).verified, false, "the dead letters are missing in the files");
  await copy.mend();
  const { code, replayed } = await replay(folder, job);
  assert.deepEqual([code, replayed.length], [0, copy.poison]);
  assert.equal((await consume()).repetitions, 0);
  const result = await verify(0);
  assert.equal(result.verified, true, JSON.stringify(result));
  assert.equal(result.repetitions, 0);
});
