/** Tables that are written while captures with snapshots come and go, and what their topics fold to. */
import assert from "node:assert/strict";
import type { DatabaseInfo } from "../../compose/native/state.ts";
import type { Change } from "../../shared/change.ts";
import { format } from "../../shared/formats/json.ts";
import { keyText } from "../../shared/formats/key.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import type { Admin, KafkaClient } from "../../shared/kafka/port.ts";
import type { Log } from "../../shared/observe/log.ts";
import { removePosition } from "../../shared/pipeline/moves.ts";
import { readPosition } from "../../shared/pipeline/positions.ts";
import { SchemaReader, SCHEMAS_TOPIC } from "../../shared/pipeline/schemas.ts";
import { Random } from "../../shared/seed/random.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MariadbSource, MysqlSource } from "../../shared/sources/mysql/source.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { Source } from "../../shared/sources/source.ts";
import { SILENT } from "../silent.ts";
import { testStack } from "../stack.ts";
import { until } from "../until.ts";
import { CaptureRun, USUAL_JOB, type Watch } from "./capture_run.ts";
import { connect, type Database } from "./database.ts";

/** What captures the tables, and how. */
export interface Way {
  /** No stack has a MariaDB: a lab of it is given a server. */
  readonly kind: "PostgreSQL" | "MySQL" | "MariaDB";
  readonly plugin?: "pgoutput" | "wal2json";
  /** The account that captures: MySQL's `replicator` may not lock. */
  readonly account?: "admin" | "replicator";
}

/** A kind of table. */
export interface TableSpec {
  readonly columns: string;
  /** Columns as text, null as `null`, for a row of the table. */
  readonly names: readonly string[];
  readonly keyed: boolean;
}

export const KEYED: TableSpec = {
  columns: "id BIGINT PRIMARY KEY, v VARCHAR(100), n INT",
  names: ["id", "v", "n"],
  keyed: true,
};

export const PAIRED: TableSpec = {
  columns: "n INT, b DECIMAL(12,3), a VARCHAR(10), PRIMARY KEY (a, b)",
  names: ["n", "b", "a"],
  keyed: true,
};

export const KEYLESS: TableSpec = {
  columns: "v VARCHAR(100), n INT",
  names: ["v", "n"],
  keyed: false,
};

/** Options of the source that a test changes. */
export type SourceChanges = Readonly<Record<string, unknown>>;

/** What a test changes of a capture. */
export interface RunChanges extends Pick<Watch, "sending"> {
  readonly mode?: "stream" | "batch";
  readonly on_history_lost?: "fail" | "resync";
  readonly include_schema_changes?: boolean;
  readonly provide_transaction_metadata?: boolean;
  readonly source?: SourceChanges;
  /** Breaks the source on purpose. */
  readonly sabotage?: (source: Source) => void;
}

const utf8 = new TextDecoder();
/** Tables of a test's own, and captures of them. */
export class SnapshotLab implements AsyncDisposable {
  readonly name = `snap_${crypto.randomUUID().slice(0, 8)}`;
  readonly way: Way;
  readonly admin: Admin;
  #server: DatabaseInfo;
  #database: Database;
  readonly #kafka: KafkaClient;
  readonly #tables = new Map<string, TableSpec>();
  readonly #runs: CaptureRun[] = [];

  private constructor(
    way: Way,
    server: DatabaseInfo,
    database: Database,
    kafka: KafkaClient,
    admin: Admin,
  ) {
    this.way = way;
    this.#server = server;
    this.#database = database;
    this.#kafka = kafka;
    this.admin = admin;
  }

  /** `server`: one of the test's own; left out: the stack's. */
  static async open(way: Way, tables: Record<string, TableSpec>, server?: DatabaseInfo) {
    const at = server ?? (way.kind === "MySQL" ? testStack().mysql : testStack().pg);
    const { brokers } = testStack().kafka;
    const kafka = await openKafka(kafkaOptions.parse({ brokers }), SILENT);
    const database = await connect(way.kind, at);
    const lab = new SnapshotLab(way, at, database, kafka, await kafka.admin());
    for (const [name, spec] of Object.entries(tables)) await lab.create(name, spec);
    return lab;
  }

  /** Goes on with another server, which has the tables: as a job does whose host is changed. */
  async moveTo(server: DatabaseInfo): Promise<void> {
    await this.#database.close().catch(() => {}); // it may have gone with its server
    this.#server = server;
    this.#database = await connect(this.way.kind, server);
  }

  async create(table: string, spec: TableSpec): Promise<void> {
    this.#tables.set(table, spec);
    await this.run(`CREATE TABLE ${this.quoted(table)} (${spec.columns})`);
    if (this.way.kind !== "PostgreSQL") return;
    await this.run(`ALTER TABLE ${this.quoted(table)} REPLICA IDENTITY FULL`);
  }

  /** The table's name in statements. */
  quoted(table: string): string {
    return `${this.name}_${table}`;
  }

  topic(table: string): string {
    return `${this.name}.${this.quoted(table)}`;
  }

  /** The server's port on this machine. */
  get port(): number {
    return this.#server.port;
  }

  run(sql: string): Promise<(string | null)[][]> {
    return this.#database.run(sql);
  }

  /** Another session, for transactions that stay open. */
  async connect(): Promise<Pick<Database, "run"> & AsyncDisposable> {
    const { run, close } = await connect(this.way.kind, this.#server);
    return { run, [Symbol.asyncDispose]: close };
  }

  /** The table's name as jobs and signals write it. */
  qualified(table: string): string {
    const { database } = this.#server;
    return `${this.way.kind === "PostgreSQL" ? "public" : database}.${this.quoted(table)}`;
  }

  source(log: Log, changes: SourceChanges = {}): Source {
    const context = { name: this.name, version: "0", log, now: Date.now };
    const options = this.#sourceOptions(changes);
    const { kind } = this.way;
    if (kind === "PostgreSQL") return new PostgresSource(postgresOptions.parse(options), context);
    const Source = kind === "MySQL" ? MysqlSource : MariadbSource;
    return new Source(mysqlOptions.parse(options), context);
  }

  #sourceOptions(changes: SourceChanges) {
    const { host, port, database, users } = this.#server;
    const account = users[this.way.account ?? "admin"];
    const common = {
      host,
      port,
      ...account,
      heartbeat_interval_ms: 500,
      snapshot_chunk_rows: 37,
      batch_changes: 50,
      ...changes,
    };
    if (this.way.kind !== "PostgreSQL") {
      return { ...common, tables: [`${database}.${this.name}_*`] };
    }
    const more = { database, tables: [`public.${this.name}_*`], plugin: this.way.plugin };
    return { ...common, ...more, status_interval_ms: 100 };
  }

  /** The job of the same capture, for commands. */
  job(source: SourceChanges = {}): { job: string; name: string } {
    const job = {
      job: { MySQL: "capture-mysql", MariaDB: "capture-mariadb", PostgreSQL: "capture-pg" }[
        this.way.kind
      ],
      name: this.name,
      source: this.#sourceOptions(source),
      kafka: { brokers: testStack().kafka.brokers, topic: "{name}.{table}" },
    };
    return job;
  }

  start({ sending, sabotage, source = {}, ...changes }: RunChanges = {}): CaptureRun {
    const made = (log: Log) => {
      const made = this.source(log, source);
      sabotage?.(made);
      return made;
    };
    const parts = { source: made, kafka: this.#kafka };
    const snapshot = (source["snapshot"] ?? "initial") as "initial";
    const kafka = { partitions: 3, replication_factor: 3, send_bytes: 1024 };
    const run = new CaptureRun(
      {
        ...USUAL_JOB,
        name: this.name,
        source: { snapshot },
        ...changes,
        kafka: { topic: "{name}.{table}", ...kafka },
      },
      parts,
      { sending },
    );
    this.#runs.push(run);
    return run;
  }

  stored() {
    return readPosition(this.admin, this.#identity);
  }

  get #identity() {
    return { connector: this.source(SILENT).connector, name: this.name };
  }

  /** As `deno task remove` does. @param generation that of the capture; default: as it is stored */
  async forget(generation?: number): Promise<void> {
    const last = generation ?? (await this.stored())!.generation;
    await this.source(SILENT).remove();
    await removePosition(this.#kafka, this.#identity, last, Date.now());
  }

  /** All changes of a topic, partition by partition in order. */
  async changes(table: string): Promise<Change[]> {
    return (await this.#read(table)).map(({ change }) => change);
  }

  /** Throws where positions do not grow. A table without rows has no topic. */
  async #read(table: string): Promise<{ partition: number; change: Change }[]> {
    const topic = this.topic(table);
    if ((await this.admin.topics((name) => name === topic)).length === 0) return [];
    const offsets = await this.admin.offsets(topic); // before the definitions, which come first
    const schemas = new SchemaReader(this.admin);
    await schemas.refresh();
    const read: { partition: number; change: Change }[] = [];
    for (const [partition, { first, end }] of offsets.entries()) {
      let last = "";
      for await (const { records } of this.admin.read({ topic, partition }, first, end)) {
        for (const record of records) {
          const change = format.decode(record, schemas.lookup);
          const { position } = change;
          assert.ok(position > last, `${position} stands after ${last} in ${topic}/${partition}`);
          last = position;
          read.push({ partition, change });
        }
      }
    }
    return read;
  }

  /** Keys and values of a topic with one partition; empty where there is no topic. */
  async texts(topic: string): Promise<{ key: string; value: string }[]> {
    if ((await this.admin.topics((name) => name === topic)).length === 0) return [];
    const [partition] = await this.admin.offsets(topic);
    const texts: { key: string; value: string }[] = [];
    const at = { topic, partition: 0 };
    for await (const { records } of this.admin.read(at, partition!.first, partition!.end)) {
      for (const { key, value } of records) {
        texts.push({ key: utf8.decode(key!), value: utf8.decode(value!) });
      }
    }
    return texts;
  }

  /** Ids of the lab's table definitions that are published. */
  async definitions(): Promise<ReadonlySet<string>> {
    const keys = (await this.texts(SCHEMAS_TOPIC)).map(({ key }) => JSON.parse(key) as string[]);
    const own = keys.filter(([source]) => source!.endsWith(`/${this.name}`));
    return new Set(own.map(([, , , , id]) => id!));
  }

  /** The rows that a reader of the topic ends up with, as `content` writes them. */
  async folded(table: string): Promise<string[]> {
    const { keyed } = this.#tables.get(table)!;
    const rows = new Map<string, { row: string; count: number }>();
    for (const { partition, change } of await this.#read(table)) {
      const key = `${partition} ${keyText(change)}`;
      if (change.op === "t") {
        for (const held of rows.keys()) if (held.startsWith(`${partition} `)) rows.delete(held);
      } else if (keyed && change.op === "d") rows.delete(key);
      else {
        const row = (change.after ?? change.before)!.map(String).join("|");
        const before = keyed ? 0 : rows.get(key)?.count ?? 0;
        rows.set(key, { row, count: before + (change.op === "d" ? -1 : 1) });
      }
    }
    return [...rows.values()].flatMap(({ row, count }) => {
      assert.ok(count >= 0, `${row} went ${-count} times more often than it came`);
      return Array<string>(count).fill(row);
    }).sort();
  }

  /** The rows of the table. */
  async content(table: string): Promise<string[]> {
    const { names } = this.#tables.get(table)!;
    const rows = await this.run(`SELECT ${names.join(", ")} FROM ${this.quoted(table)}`);
    return rows.map((row) => row.map(String).join("|")).sort();
  }

  /** Captures to the end of the log, then holds that the topics fold to the tables. */
  async settle(changes: RunChanges = {}): Promise<void> {
    await this.start({ ...changes, mode: "batch" }).done;
    for (const table of this.#tables.keys()) {
      assert.deepStrictEqual(
        await this.folded(table),
        await this.content(table),
        this.topic(table),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#runs) await running.stop().catch(() => {});
    await this.source(SILENT).remove();
    for (const table of this.#tables.keys()) {
      await this.run(`DROP TABLE IF EXISTS ${this.quoted(table)}`);
    }
    await this.run(`DROP TABLE IF EXISTS ${this.quoted("signal")}`);
    await this.admin.close();
    await this.#database.close();
  }
}

/** Writes both keyed tables, one transaction after another, until it is disposed of. */
export class Writer implements AsyncDisposable {
  readonly #lab: SnapshotLab;
  readonly #random: Random;
  readonly #tables: { readonly keyed: string; readonly paired: string };
  #next = 1_000_000;
  #more = true;
  readonly #written: Promise<void>;
  readonly #midway: (() => Promise<void>) | undefined;
  transactions = 0;

  /** `midway`: done between two of the first transactions. */
  constructor(lab: SnapshotLab, seed: number, midway?: () => Promise<void>) {
    this.#lab = lab;
    this.#midway = midway;
    this.#random = new Random(seed);
    this.#tables = { keyed: lab.quoted("keyed"), paired: lab.quoted("paired") };
    this.#written = this.#write();
    this.#written.catch(() => {}); // thrown when it is disposed of
  }

  /** Resolves when so many more transactions have been written. */
  async more(transactions: number): Promise<void> {
    const wanted = this.transactions + transactions;
    await until(
      () => `${wanted} transactions; ${this.transactions} were written`,
      async () => this.transactions >= wanted || !this.#more,
    );
  }

  async #write(): Promise<void> {
    while (this.#more) {
      await this.#lab.run("BEGIN");
      for (let left = 1 + this.#random.below(5); left > 0; left--) {
        await this.#lab.run(this.#statement());
      }
      await this.#lab.run(this.#random.below(10) === 0 ? "ROLLBACK" : "COMMIT");
      if (++this.transactions === 5) await this.#midway?.();
    }
  }

  #statement(): string {
    const { keyed, paired } = this.#tables;
    const random = this.#random;
    const n = random.below(1_000);
    const old = random.below(5) === 0 ? this.#next - random.below(200) : 1 + random.below(1_500);
    const fresh = this.#next++;
    const letter = literal(this.#lab, random.pick(LETTERS));
    return random.pick([
      `INSERT INTO ${keyed} VALUES (${random.below(2) ? fresh : -fresh}, 'new ${n}', ${n})`,
      `UPDATE ${keyed} SET v = 'changed ${n}', n = ${n} WHERE id = ${old}`,
      `UPDATE ${keyed} SET n = ${n} WHERE id BETWEEN ${old} AND ${old + 3}`,
      `DELETE FROM ${keyed} WHERE id = ${old}`,
      `UPDATE ${keyed} SET id = ${fresh} WHERE id = ${old}`,
      `UPDATE ${keyed} SET id = ${-fresh} WHERE id = ${old}`,
      `INSERT INTO ${paired} VALUES (${n}, ${fresh}.250, ${letter})`,
      `UPDATE ${paired} SET n = ${n} WHERE b = ${old}.500`,
      `UPDATE ${paired} SET a = ${letter} WHERE b = ${old}.500`,
      `DELETE FROM ${paired} WHERE b = ${old}.500`,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#more = false;
    await this.#written;
  }
}

/** Texts that collations order in another way than bytes do. */
const LETTERS = ["a1", "A2", "é3", "ß4", "z5", "Z 6", "_7", "'8", "ü\\9"];

/** Inserts `rows` rows into a table of each kind. */
export async function fill(lab: SnapshotLab, table: "keyed" | "paired" | "keyless", rows: number) {
  const value = {
    keyed: (id: number) => `(${id}, 'row ${id}', ${id % 7})`,
    paired: (id: number) => `(${id}, ${id}.500, ${literal(lab, LETTERS[id % LETTERS.length]!)})`,
    keyless: (id: number) => `('row ${id % 3}', ${id % 5})`,
  }[table];
  for (let from = 1; from <= rows; from += 500) {
    const ids = Array.from({ length: Math.min(500, rows - from + 1) }, (_, at) => from + at);
    await lab.run(`INSERT INTO ${lab.quoted(table)} VALUES ${ids.map(value).join(",")}`);
  }
}

function literal({ way }: SnapshotLab, text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return way.kind !== "PostgreSQL" ? quoted.replaceAll("\\", "\\\\") : quoted;
}
