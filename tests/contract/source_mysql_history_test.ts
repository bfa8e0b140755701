/** A MySQL source where the server's settings and history change: on a server of the test's own. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import assert from "node:assert/strict";
import { waitUntil } from "../../compose/native/processes.ts";
import type { Change } from "../../shared/change.ts";
import { classify, ConfigError, HistoryLostError, RecordError } from "../../shared/errors.ts";
import type { Log } from "../../shared/observe/log.ts";
import { executeSignal } from "../../shared/sources/incremental.ts";
import { type MysqlOptions, mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import type { Finding, ResumePoint } from "../../shared/sources/source.ts";
import { type OwnMysql, withOwnMysql } from "../own_mysql.ts";
import { SILENT } from "../silent.ts";
import { DEADLINE_MS } from "../until.ts";

let made = 0;

function newSource(
  { info }: OwnMysql,
  { log = SILENT, ...more }: Partial<MysqlOptions> & { readonly log?: Log } = {},
): MysqlSource {
  const options = mysqlOptions.parse({
    host: info.host,
    port: info.port,
    ...info.users.replicator,
    tables: ["shop.*"],
    snapshot: "never",
    heartbeat_interval_ms: 500,
    ...more,
  });
  const name = `history-${++made}`;
  return new MysqlSource(options, { name, version: "0.0.0", log, now: Date.now });
}

async function here(server: OwnMysql): Promise<ResumePoint> {
  const source = newSource(server);
  try {
    return await source.open({ resume: undefined, generation: 1 });
  } finally {
    await source.close();
  }
}

/** Changes from `resume` to the end, and where a next start would be. */
async function toEnd(
  server: OwnMysql,
  resume: ResumePoint,
  source = newSource(server),
): Promise<[Change[], ResumePoint]> {
  const changes: Change[] = [];
  let last = await source.open({ resume, generation: 1 });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  try {
    for await (const batch of source.batches({ to_end: true, signal })) {
      changes.push(...batch.changes);
      last = batch.resume;
    }
  } finally {
    await source.close();
  }
  assert.ok(!signal.aborted, "the end did not come");
  return [changes, last];
}

/** Between a client and `to`: once `until` is answered, nothing of what clients say gets through. */
async function freezingProxy(to: { readonly host: string; readonly port: number }, until: string) {
  const sockets: Socket[] = [];
  const frozen = Promise.withResolvers<void>();
  let held: (() => void)[] | undefined;
  const proxy = createServer((near) => {
    const far = connect(to.port, to.host);
    sockets.push(near, far);
    far.pipe(near).on("error", () => {});
    far.on("error", () => {});
    near.on("data", (bytes) => {
      if (held !== undefined) return void held.push(() => far.write(bytes));
      far.write(bytes);
      if (!bytes.includes(until)) return;
      held = [];
      far.once("data", () => frozen.resolve());
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    port: (proxy.address() as AddressInfo).port,
    frozen: frozen.promise,
    thaw: () => held?.forEach((write) => write()),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

const ids = (changes: readonly Change[]) => changes.map(({ after }) => after?.[0]);

async function assertLost(server: OwnMysql, resume: ResumePoint, message: RegExp): Promise<void> {
  await assert.rejects(toEnd(server, resume), (error) => {
    assert.ok(error instanceof HistoryLostError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("a MySQL source where the server's settings and history change", async (t) => {
  await withOwnMysql(async (server) => {
    await t.step("a server that goes away is a passing fault", async () => {
      const source = newSource(server);
      await source.open({ resume: undefined, generation: 1 });
      const signal = AbortSignal.timeout(DEADLINE_MS);
      const ended = (async () => {
        for await (const _ of source.batches({ to_end: false, signal }));
      })().then(() => undefined, (error) => error);
      await waitUntil(
        async () =>
          (await server.run("SHOW PROCESSLIST")).some(({ 4: command }) => /^Binlog/.test(command!)),
        DEADLINE_MS,
        25,
      );
      await server.restart();
      const error = await ended;
      await source.close();
      assert.equal(classify(error), "retry", `${(error as { code?: string })?.code} ${error}`);
    });
    await t.step(
      "a restart of the server is gone through; purged, reset and foreign logs are not",
      async () => {
        await server.run("CREATE TABLE shop.t (id INT PRIMARY KEY)");
        const start = await here(server);
        await server.run("INSERT INTO shop.t VALUES (1)");
        const [first, middle] = await toEnd(server, start);
        assert.deepEqual(ids(first), [1]);

        await server.restart();
        await server.run("INSERT INTO shop.t VALUES (2)");
        const [second, end] = await toEnd(server, middle);
        assert.deepEqual(ids(second), [2]);
        assert.ok(second[0]!.position > first[0]!.position, "positions rise over files");

        // All that was captured may go; what was not may not.
        await server.run("FLUSH BINARY LOGS");
        const [[file]] = await server.run("SHOW BINARY LOG STATUS") as [[string]];
        await server.run(`PURGE BINARY LOGS TO '${file}'`);
        const [nothing, after] = await toEnd(server, end);
        assert.deepEqual(ids(nothing), []);
        await assertLost(server, middle, /has purged .* which this capture has not seen/);

        await server.run("RESET BINARY LOGS AND GTIDS");
        await assertLost(server, after, /never executed/);
        // The same numbers are given again to other transactions.
        for (let id = 10; id < 30; id++) await server.run(`INSERT INTO shop.t VALUES (${id})`);
        await assertLost(server, after, /the binlog was reset/);
      },
    );
    await t.step(
      "parts of JSON documents are refused where the log leaves out the rest",
      async () => {
        await server.run("CREATE TABLE shop.doc (id INT PRIMARY KEY, d JSON)");
        const start = await here(server);
        await server.run(
          "INSERT INTO shop.doc VALUES (1, JSON_OBJECT('a', REPEAT('x', 99), 'b', 1))",
        );
        await server.run("SET SESSION binlog_row_value_options = PARTIAL_JSON");
        await server.run("UPDATE shop.doc SET d = JSON_SET(d, '$.a', 'y')");
        const [changes] = await toEnd(server, start);
        assert.equal(changes.at(-1)!.after![1], '{"a": "y", "b": 1}');

        const [, before] = await toEnd(server, start);
        await server.run("SET SESSION binlog_row_image = MINIMAL");
        await server.run("UPDATE shop.doc SET d = JSON_REMOVE(d, '$.b')");
        await assert.rejects(toEnd(server, before), (error) => {
          assert.ok(error instanceof RecordError, String(error));
          assert.match(
            error.message,
            /^binlog\.\d+:\d+, table shop\.doc: Column "d": .* parts of a/,
          );
          assert.match(error.cure ?? "", /binlog_row_image = FULL/);
          return true;
        });

        await server.run("SET SESSION binlog_row_image = FULL, binlog_row_value_options = ''");
        await server.run("SET GLOBAL binlog_row_value_options = PARTIAL_JSON");
        await server.run("SET GLOBAL binlog_row_image = NOBLOB");
        let cure = "";
        await assert.rejects(here(server), (error) => {
          cure = (error as ConfigError).cure ?? "";
          return error instanceof ConfigError && /PARTIAL_JSON.*NOBLOB/.test(error.message);
        });
        const about = (findings: readonly Finding[]) =>
          findings.find(({ subject }) => subject === "binlog_row_value_options");
        const finding = about(await newSource(server).inspect());
        assert.deepEqual([finding?.level, finding?.cure], ["error", cure]);
        await server.run(cure);
        await here(server);
        assert.equal(about(await newSource(server).inspect())?.level, "ok");
        await server.run("SET GLOBAL binlog_row_value_options = ''");
      },
    );
    await t.step(
      "a capture that freezes as it holds the lock does not stop writers for good, and its snapshot begins again",
      async () => {
        await server.run("CREATE TABLE shop.written (id INT PRIMARY KEY)");
        await using proxy = await freezingProxy(server.info, "FLUSH TABLES WITH READ LOCK");
        const { port } = proxy;
        const patient = { heartbeat_interval_ms: 60_000 }; // the job's own lock is kept
        const source = newSource(server, { port, snapshot: "initial", ...patient });
        const opened = source.open({ resume: undefined, generation: 1 })
          .then(() => undefined, (error) => error);
        try {
          await proxy.frozen;
          await server.run(`SET SESSION lock_wait_timeout = ${DEADLINE_MS / 1_000}`);
          await server.run("INSERT INTO shop.written VALUES (1)");
        } finally {
          proxy.thaw();
          await opened.finally(() => source.close());
        }
        const error = await opened;
        assert.equal(classify(error), "retry", `${(error as { code?: string })?.code} ${error}`);
      },
    );
    await t.step("without GTIDs a capture goes on by file and offset", async () => {
      for (const mode of ["ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"]) {
        await server.run(`SET GLOBAL gtid_mode = ${mode}`);
      }
      await server.run("CREATE TABLE shop.plain (id INT PRIMARY KEY)");
      const start = await here(server);
      await server.run("INSERT INTO shop.plain VALUES (1), (2)");
      const [first, middle] = await toEnd(server, start);
      await server.run("FLUSH BINARY LOGS");
      await server.run("INSERT INTO shop.plain VALUES (3)");
      const [second, end] = await toEnd(server, middle);
      assert.deepEqual([ids(first), ids(second)], [[1, 2], [3]]);
      assert.equal(first[0]!.coordinates.gtid, null);
      assert.match(first[0]!.transaction.id, /^binlog\.\d+:\d+$/);
      assert.deepEqual(ids((await toEnd(server, end))[0]), []);

      const [[file]] = await server.run("SHOW BINARY LOG STATUS") as [[string]];
      await server.run(`PURGE BINARY LOGS TO '${file}'`);
      await assertLost(server, start, /no longer has binlog\.\d+/);
      const findings = await newSource(server).inspect();
      assert.deepEqual(
        findings.filter(({ subject }) => subject === "gtid_mode").map(({ level }) => level),
        ["warning"],
      );
    });
    await t.step("without GTIDs a signal is refused, and the capture goes on", async () => {
      const signal_table = "shop.signals";
      await server.run(
        `CREATE TABLE ${signal_table} (id VARCHAR(64) PRIMARY KEY, type VARCHAR(32), data TEXT)`,
      );
      const findings = await newSource(server, { signal_table }).inspect();
      const about = findings.find(({ subject }) => /^signal/.test(subject));
      assert.equal(about?.level, "warning");
      assert.match(about.cure ?? "", /gtid_mode = ON;$/);
      const start = await here(server);
      const { type, data } = executeSignal(["shop.plain"]);
      await server.run(`INSERT INTO ${signal_table} VALUES ('1', '${type}', '${data}')`);
      await server.run("INSERT INTO shop.plain VALUES (4)");
      const refused: unknown[] = [];
      const error = (event: string, fields?: Record<string, unknown>) =>
        void refused.push([event, fields?.["table"]]);
      const source = newSource(server, { signal_table, log: { ...SILENT, error } });
      const [changes, end] = await toEnd(server, start, source);
      assert.deepEqual(ids(changes), [4]);
      assert.deepEqual(refused, [["incremental_snapshot_refused", "shop.plain"]]);
      assert.equal(end["incremental"], undefined, "a restart does not ask again");
    });
    await t.step(
      "a capture that began without GTIDs goes on by them when they are on",
      async () => {
        const on = ["OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];
        const off = ["ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"];
        const setModes = async (modes: readonly string[]) => {
          for (const mode of modes) await server.run(`SET GLOBAL gtid_mode = ${mode}`);
        };
        await setModes(on);
        await server.run("CREATE TABLE shop.switched (id INT PRIMARY KEY)");
        await server.run("INSERT INTO shop.switched VALUES (1)"); // before the capture, with a GTID
        await setModes(off);
        const start = await here(server);
        await server.run("INSERT INTO shop.switched VALUES (2)");
        const [first, middle] = await toEnd(server, start);
        await setModes(on);
        await server.run("INSERT INTO shop.switched VALUES (3)");
        const [second] = await toEnd(server, middle);
        assert.deepEqual([ids(first), ids(second)], [[2], [3]]);
      },
    );
  });
});
