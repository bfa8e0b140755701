/** The capture loop in this process, between real databases and real brokers: stops, breaks, successors. */
import assert from "node:assert/strict";
import { quoteIdentifier } from "../../shared/connect/mysql.ts";
import { ConfigError, describe, HistoryLostError, RecordError } from "../../shared/errors.ts";
import { format } from "../../shared/formats/json.ts";
import { format as protobuf } from "../../shared/formats/protobuf.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import type { Admin, Bytes, KafkaClient, OutBatch } from "../../shared/kafka/port.ts";
import type { Log } from "../../shared/observe/log.ts";
import { readPosition } from "../../shared/pipeline/positions.ts";
import { SchemaReader } from "../../shared/pipeline/schemas.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { ColumnsOptions } from "../../shared/transforms/columns.ts";
import { encoded } from "../encoded.ts";
import { SILENT } from "../silent.ts";
import { testStack } from "../stack.ts";
import { change } from "../unit/sinks/fixtures.ts";
import { until } from "../until.ts";
import { CaptureRun, USUAL_JOB, type Watch } from "./capture_run.ts";
import { connect, type Database } from "./database.ts";

const KINDS = ["PostgreSQL", "MySQL"] as const;
type Kind = typeof KINDS[number];

const TEMPLATE = "{name}.{table}";
/** What a test changes of a capture. */
interface Changed extends Watch {
  readonly template?: string;
  readonly mode?: "stream" | "batch";
  readonly batch_changes?: number;
  readonly send_bytes?: number;
  readonly columns?: ColumnsOptions;
  readonly on_oversize?: "fail" | "dead_letter";
}

/** A table of its own, and captures of it. */
class Lab implements AsyncDisposable {
  readonly name = `cap_${crypto.randomUUID().slice(0, 8)}`;
  readonly kind: Kind;
  readonly database: Database;
  readonly admin: Admin;
  readonly table: string;
  readonly #kafka: KafkaClient;
  readonly #runs: CaptureRun[] = [];
  #next_id = 1;

  private constructor(
    kind: Kind,
    database: Database,
    admin: Admin,
    kafka: KafkaClient,
    table?: string,
  ) {
    this.kind = kind;
    this.database = database;
    this.admin = admin;
    this.#kafka = kafka;
    this.table = table ?? this.name;
  }

  static async open(kind: Kind, table?: string): Promise<Lab> {
    const { brokers } = testStack().kafka;
    const kafka = await openKafka(kafkaOptions.parse({ brokers }), SILENT);
    const server = kind === "MySQL" ? testStack().mysql : testStack().pg;
    const lab = new Lab(kind, await connect(kind, server), await kafka.admin(), kafka, table);
    await lab.run(`CREATE TABLE ${lab.quoted} (id BIGINT PRIMARY KEY, v VARCHAR(100))`);
    return lab;
  }

  get topic(): string {
    return `${this.name}.${this.table}`;
  }

  get quoted(): string {
    return this.kind === "MySQL" ? quoteIdentifier(this.table) : `public."${this.table}"`;
  }

  /** Rows made so far. */
  get rows(): number {
    return this.#next_id - 1;
  }

  run(sql: string): Promise<(string | null)[][]> {
    return this.database.run(sql);
  }

  /** Inserts rows with the next ids in one transaction. */
  async insert(count: number): Promise<void> {
    const ids = Array.from({ length: count }, (_, at) => this.#next_id + at);
    await this.run(
      `INSERT INTO ${this.quoted} VALUES ${ids.map((id) => `(${id}, 'row ${id}')`).join(",")}`,
    );
    this.#next_id += count;
  }

  /** Inserts one transaction after another until it is disposed of. */
  writing(): AsyncDisposable {
    let more = true;
    const written = (async () => {
      while (more) await this.insert(3);
    })();
    return {
      [Symbol.asyncDispose]: () => {
        more = false;
        return written;
      },
    };
  }

  source(log: Log, batch_changes: number): MysqlSource | PostgresSource {
    const context = { name: this.name, version: "0", log, now: Date.now };
    if (this.kind === "MySQL") {
      const { host, port, database, users } = testStack().mysql;
      const at = { host, port, ...users.admin, tables: [`${database}.${this.table}`] };
      const more = { snapshot: "never", batch_changes, heartbeat_interval_ms: 500 };
      return new MysqlSource(mysqlOptions.parse({ ...at, ...more }), context);
    }
    const { host, port, database, users } = testStack().pg;
    const at = { host, port, database, ...users.admin, tables: [`public.${this.table}`] };
    const more = {
      snapshot: "never",
      batch_changes,
      heartbeat_interval_ms: 500,
      status_interval_ms: 100,
    };
    return new PostgresSource(postgresOptions.parse({ ...at, ...more }), context);
  }

  start(
    { template = TEMPLATE, batch_changes = 1_000, send_bytes = 1 << 20, ...changed }: Changed = {},
  ): CaptureRun {
    const { mode = "stream", columns = [], ...watch } = changed;
    const kafka = { topic: template, partitions: 3, replication_factor: 3, send_bytes };
    const source = { snapshot: "never" } as const;
    const running = new CaptureRun(
      { ...USUAL_JOB, name: this.name, kafka, mode, columns, source },
      { source: (log) => this.source(log, batch_changes), kafka: this.#kafka },
      watch,
    );
    this.#runs.push(running);
    return running;
  }

  async started(changed: Changed = {}): Promise<CaptureRun> {
    const running = this.start(changed);
    await running.event("capture_started");
    return running;
  }

  stored() {
    const connector = this.kind === "MySQL" ? "mysql" : "postgresql";
    return readPosition(this.admin, { connector, name: this.name });
  }

  /** The server's ids of the capture's connections. */
  async connections(which: "stream" | "session"): Promise<string[]> {
    const rows = this.kind === "MySQL"
      ? await this.run(
        `SELECT p.ID FROM information_schema.PROCESSLIST p
         JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = p.ID
         WHERE a.ATTR_NAME = 'program_name' AND a.ATTR_VALUE = 'list-sync:${this.name}'
           AND (p.COMMAND LIKE 'Binlog Dump%') = ${which === "stream"}`,
      )
      : await this.run(
        `SELECT pid::text FROM pg_stat_activity WHERE application_name = 'list-sync ${this.name}'
           AND (backend_type = 'walsender') = ${which === "stream"}`,
      );
    return rows.map(([id]) => id!);
  }

  async end(which: "stream" | "session"): Promise<void> {
    let ids: string[] = [];
    await until(
      () => `the server has one ${which} connection of the capture; it has ${ids.length}: ${ids}`,
      async () => (ids = await this.connections(which)).length === 1,
    );
    await this.run(
      this.kind === "MySQL" ? `KILL ${ids[0]}` : `SELECT pg_terminate_backend(${ids[0]})`,
    );
  }

  /** The ids in the topic, less those there that the source did not write; throws when positions do not grow. */
  async ids(topic = this.topic): Promise<number[]> {
    const schemas = new SchemaReader(this.admin);
    await schemas.refresh();
    const ids: number[] = [];
    for (const [partition, { first, end }] of (await this.admin.offsets(topic)).entries()) {
      let last = "";
      for await (const { records } of this.admin.read({ topic, partition }, first, end)) {
        for (const record of records) {
          const { position, after, source } = format.decode(record, schemas.lookup);
          if (source.name !== this.name) continue;
          assert.ok(position > last, `${position} stands after ${last} in ${topic}/${partition}`);
          last = position;
          ids.push(Number(after![0]));
        }
      }
    }
    return ids.sort((one, other) => one - other);
  }

  /** The text of every record in the topic. */
  async texts(): Promise<string[]> {
    const texts: string[] = [];
    for (const [partition, { first, end }] of (await this.admin.offsets(this.topic)).entries()) {
      for await (
        const { records } of this.admin.read({ topic: this.topic, partition }, first, end)
      ) {
        texts.push(...records.map(({ value }) => new TextDecoder().decode(value!)));
      }
    }
    return texts;
  }

  /** Puts a record into the topic that no capture wrote. */
  async write(value: Bytes): Promise<void> {
    const producer = await this.#kafka.producer({
      transactional_id: `${this.name}-other`,
      fence: { partitions: [], ids: [] },
    });
    const record = { key: null, value, timestamp_ms: 0 };
    await producer.send([{ topic: this.topic, partition: 0, records: [record] }]);
    await producer.close();
  }

  /** Waits until the topic holds so many changes, then checks that it holds each once. */
  async holds(first: number, last: number, topic = this.topic): Promise<void> {
    const expected = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    let found: number[] = [];
    await until(
      () => `${topic} holds ${expected.length} changes; it holds ${found.length}`,
      async () => (found = await this.ids(topic).catch(() => [])).length >= expected.length,
    );
    assert.deepStrictEqual(await this.ids(topic), expected);
  }

  /** Waits until so many records are in the topic; the markers of fences are none. */
  async grows(to: number): Promise<void> {
    let texts: string[] = [];
    await until(
      () => `${this.topic} holds ${to} records; it holds ${texts.length}`,
      async () => (texts = await this.texts().catch(() => [])).length >= to,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#runs) await running.stop().catch(() => {});
    await this.source(SILENT, 1).remove();
    await this.run(`DROP TABLE ${this.quoted}`);
    await this.admin.close();
    await this.database.close();
  }
}

for (const kind of KINDS) {
  Deno.test(`${kind}: connections that end while writing goes on lose and repeat nothing`, async () => {
    await using lab = await Lab.open(kind);
    const running = await lab.started();
    {
      await using _ = lab.writing();
      for (const [round, which] of (["stream", "session", "stream"] as const).entries()) {
        await lab.grows(lab.rows / 2);
        await lab.end(which);
        await running.event("capture_started", round + 2);
      }
    }
    await lab.holds(1, lab.rows);
    await running.stop();
    await lab.holds(1, lab.rows);
    assert.equal((await lab.stored())!.clean, true);
  });

  Deno.test(`${kind}: a second capture is refused by name, and the first goes on unharmed`, async () => {
    await using lab = await Lab.open(kind);
    const running = await lab.started();
    {
      await using _ = lab.writing();
      await lab.grows(10);
      const second = lab.start();
      await until(() => `an end; told: ${JSON.stringify(second.told)}`, () => second.ended);
      await assert.rejects(second.done, (error) => {
        assert.ok(error instanceof ConfigError, describe(error));
        assert.match(error.message, /Another capture/);
        assert.ok(error.message.includes(lab.name), error.message);
        return true;
      });
      assert.equal(second.count("retrying"), 0, JSON.stringify(second.told));
      await lab.grows(lab.rows + 20);
    }
    await lab.holds(1, lab.rows);
    await running.stop();
    assert.equal(running.count("retrying"), 0, JSON.stringify(running.told));
  });

  Deno.test(`${kind}: another topic template is taken after an orderly end and refused after a kill`, async () => {
    await using lab = await Lab.open(kind);
    const first = await lab.started();
    await lab.insert(10);
    await lab.holds(1, 10);
    await first.stop();

    const template = "{name}.other";
    const second = await lab.started({ template });
    await lab.insert(10);
    await lab.holds(11, 20, `${lab.name}.other`);
    await lab.holds(1, 10);
    await second.cut();
    await assert.rejects(lab.start().done, refusedRouting);

    await lab.insert(10);
    await lab.start({ template, mode: "batch" }).done;
    await lab.holds(11, 30, `${lab.name}.other`);
    const last = await lab.started();
    await lab.insert(1);
    await until(() => `${lab.topic} holds 11`, async () => (await lab.ids()).length === 11);
    assert.deepStrictEqual((await lab.ids()).at(-1), 31);
    await last.stop();
  });

  Deno.test(`${kind}: a stop inside a transaction is no orderly end until the rest has come`, async () => {
    await using lab = await Lab.open(kind);
    const isData = ({ topic }: OutBatch) => topic === lab.topic;
    const first = await lab.started({
      batch_changes: 50,
      send_bytes: 1024, // what is gathered when the first send goes out is sent too
      sent: (batches, running) => batches.some(isData) && running.abort(),
    });
    await lab.insert(5_000);
    await first.done;
    const part = (await lab.ids()).length;
    assert.ok(
      part > 0 && part < 5_000,
      `the topic holds ${part} of one transaction's 5000 changes`,
    );
    assert.equal((await lab.stored())!.clean, false);
    const template = "{name}.other";
    await assert.rejects(lab.start({ template }).done, refusedRouting);

    // A run that ends before it has read the rest changes nothing about that.
    const told = (event: string, running: CaptureRun) =>
      event === "capture_started" && running.abort();
    await lab.start({ told }).done;
    await assert.rejects(lab.start({ template }).done, refusedRouting);

    await lab.start({ mode: "batch" }).done;
    await lab.holds(1, 5_000);
    await lab.start({ template, mode: "batch" }).done;
    await lab.holds(1, 5_000);
  });

  Deno.test(`${kind}: a topic that was deleted between two runs is lost history, told at once`, async () => {
    await using lab = await Lab.open(kind);
    const first = await lab.started();
    await lab.insert(3);
    await lab.holds(1, 3);
    await first.stop();
    await lab.admin.deleteTopics([lab.topic]);
    const second = lab.start();
    await until(() => `an end; told: ${JSON.stringify(second.told)}`, () => second.ended);
    await assert.rejects(second.done, (error) => {
      assert.ok(error instanceof HistoryLostError, describe(error));
      assert.match(error.message, new RegExp(`${lab.topic} is gone`));
      return true;
    });
  });

  Deno.test(`${kind}: while other tables are written an idle capture stores its position once a second`, async () => {
    await using lab = await Lab.open(kind);
    await using other = await Lab.open(kind);
    const running = await lab.started();
    const began_ms = performance.now();
    const before = running.positions_sent;
    const { resume } = (await lab.stored())!;
    {
      await using _ = other.writing();
      await until(
        () => `three positions stored; ${running.positions_sent - before} were`,
        () => running.positions_sent >= before + 3,
      );
      const most = before + (performance.now() - began_ms) / 1_000 + 1;
      const sent = running.positions_sent;
      assert.ok(sent <= most, `${sent} positions were sent where one a second is ${most}`);
    }
    const stored = (await lab.stored())!;
    assert.notDeepStrictEqual(stored.resume, resume);
    if (kind === "MySQL") return;
    const confirmed = async () => {
      const [row] = await lab.run(
        `SELECT confirmed_flush_lsn >= '${stored.resume["lsn"]}'::pg_lsn
         FROM pg_replication_slots WHERE slot_name = 'list_sync_${lab.name}'`,
      );
      return row![0] === "t";
    };
    await until(() => `the slot stands at ${stored.resume["lsn"]}`, confirmed);
  });
}

for (const kind of KINDS) {
  Deno.test(`${kind}: what a rule masks or leaves out never reaches the topic`, async () => {
    await using lab = await Lab.open(kind);
    await lab.run(`ALTER TABLE ${lab.quoted} ADD COLUMN w VARCHAR(100)`);
    const columns = [{ table: `*.${lab.table}`, exclude: ["w"], mask: ["v"] }];
    const running = await lab.started({ columns });
    await lab.run(`INSERT INTO ${lab.quoted} VALUES (1, 'secret v', 'secret w')`);
    await lab.run(`UPDATE ${lab.quoted} SET v = 'secret too' WHERE id = 1`);
    await lab.run(`INSERT INTO ${lab.quoted} VALUES (2, NULL, 'secret w')`);
    await lab.grows(3);
    await running.stop();
    const texts = await lab.texts();
    assert.deepEqual(texts.map((text) => JSON.parse(text).after).sort((a, b) => a.id - b.id), [
      { id: 1, v: "***" },
      { id: 1, v: "***" },
      { id: 2, v: null },
    ]);
    assert.doesNotMatch(texts.join("\n"), /secret/);
  });
}

/** Does `work` in hours that last a second each; shorter intervals are as they are. */
async function inShortHours<T>(work: () => Promise<T>): Promise<T> {
  const { setInterval } = globalThis;
  globalThis.setInterval =
    ((tick: () => void, ms: number) =>
      setInterval(tick, ms === 3_600_000 ? 1_000 : ms)) as typeof setInterval;
  try {
    return await work();
  } finally {
    globalThis.setInterval = setInterval;
  }
}

Deno.test("a capture keeps its fence hour by hour, and changes flow on", async () => {
  await using lab = await Lab.open("PostgreSQL");
  const running = await inShortHours(() => lab.started());
  {
    await using _ = lab.writing();
    await until(
      () => `the fence is kept twice; it was ${running.fences_kept} times`,
      () => running.fences_kept >= 2 || running.ended,
    );
  }
  await lab.holds(1, lab.rows);
  await running.stop();
});

Deno.test("a rule that stopped a capture before it sent anything can be corrected", async () => {
  await using lab = await Lab.open("PostgreSQL");
  const columns = [{ table: `*.${lab.table}`, mask: ["w"] }];
  const first = await lab.started({ columns });
  await lab.insert(3);
  await assert.rejects(first.done, /it has no column w; nearest is "v"/);
  const second = await lab.started({ columns: [{ ...columns[0]!, mask: ["v"] }] });
  await lab.holds(1, 3);
  await second.stop();
});

Deno.test("a topic may be called like a member of every object", async () => {
  await using lab = await Lab.open("PostgreSQL");
  const template = "constructor";
  const first = await lab.started({ template });
  await lab.insert(2);
  await lab.holds(1, 2, template);
  await first.cut();
  const second = await lab.started({ template });
  await lab.insert(2);
  await lab.holds(1, 4, template);
  await second.stop();
});

function refusedRouting(error: unknown): boolean {
  assert.ok(error instanceof ConfigError, describe(error));
  assert.match(error.message, /topic template, the format or the columns changed/);
  return true;
}

Deno.test("a capture starts again after bytes that are no change, and not after changes in another format", async () => {
  await using lab = await Lab.open("PostgreSQL");
  const first = await lab.started();
  await lab.insert(3);
  await lab.holds(1, 3);
  await first.stop();
  await lab.write("not a change");
  const second = await lab.started();
  await lab.insert(3);
  await lab.grows(7);
  await second.stop();
  const ids = (await lab.texts()).filter((text) => text.startsWith("{"))
    .map((text) => JSON.parse(text).after.id);
  assert.deepStrictEqual(ids.sort(), [1, 2, 3, 4, 5, 6]);

  await lab.write(encoded(protobuf, change(1, "c", { after: [1, "a", "b"] })).value);
  await assert.rejects(lab.start().done, RecordError);
});
