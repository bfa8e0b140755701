/** `verify` as a user runs it: real tables, files of the real CSV sink, and files that were tampered with. */
import assert from "node:assert/strict";
import type { Change, Row, TableSchema } from "../../shared/change.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import type { DatabaseOptions } from "../../shared/database/options.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { createHealth } from "../../shared/observe/health.ts";
import { createLog } from "../../shared/observe/log.ts";
import { formatPosition } from "../../shared/position.ts";
import { Random } from "../../shared/seed/random.ts";
import { listRow } from "../../shared/seed/values.ts";
import { sink } from "../../shared/sinks/csv.ts";
import { type CsvOptions, csvOptions } from "../../shared/sinks/csv/options.ts";
import type { Sink } from "../../shared/sinks/sink.ts";
import type { VerifyResult } from "../../shared/verify/result.ts";
import { databases } from "../databases.ts";
import { WorkerProcess } from "../worker_process.ts";

const TOPIC = "orders.list";
const PARTITIONS = 2;
const COLUMNS = ["id", "category", "domain", "timestamp"] as const;
type ListRow = [id: number, category: string, domain: string, timestamp: string];

const schema: TableSchema = {
  id: "00000001",
  db: "shop",
  schema: null,
  table: "list",
  columns: COLUMNS.map((name) => ({
    name,
    type: name === "id" ? "bigint" : "text",
    kind: name === "id" ? "integer" : "string",
  })),
  key: [0],
};

/** 300 changes of a list: what a capture would tell, and the rows that are left. */
function history(full: boolean): { changes: Change[]; rows: ListRow[] } {
  const random = new Random(full ? 1 : 2);
  const rows = new Map<number, ListRow>();
  const changes: Change[] = [];
  for (let at = 1; at <= 300; at++) {
    const id = 1 + random.below(60);
    const old = rows.get(id);
    const { category, domain: name, timestamp } = listRow(random);
    const domain = id % 7 === 0 ? `=${name}` : name; // to a spreadsheet a formula
    // PostgreSQL writes no zeros at a fraction's end, MySQL does: here none ends in one.
    const moment = timestamp.replace(" ", "T").replace(/0$/, "1");
    const row: ListRow = [id, category, domain, moment];
    const op = old === undefined ? "c" : random.below(3) === 0 ? "d" : "u";
    changes.push(changeOf(at, op, old === undefined ? null : full ? old : keyOnly(old), row));
    if (op === "d") rows.delete(id);
    else rows.set(id, row);
  }
  return { changes, rows: [...rows.values()] };
}

function keyOnly([id]: ListRow): Row {
  return [id, undefined, undefined, undefined];
}

function changeOf(at: number, op: "c" | "u" | "d", before: Row | null, after: Row): Change {
  return {
    op,
    source: { connector: "mysql", name: "orders", version: "0.1.0" },
    table: schema,
    before,
    after: op === "d" ? null : after,
    position: formatPosition({ generation: 1, major: 1n, minor: BigInt(at), row: 0 }),
    coordinates: {},
    transaction: { id: String(at), ts_us: at },
    total_order: 1,
    ts_ms: at,
  };
}

/** Writes the changes with a CSV sink; until that is closed, the last files end in `.part`. */
async function writeFiles(options: CsvOptions, changes: readonly Change[]): Promise<Sink> {
  const csv = sink.create(options, {
    consumer_id: "test",
    log: createLog({ job: "test", write: () => {}, now: () => 0 }),
    health: createHealth(),
    now: () => 0,
  });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const at = { topic: TOPIC, partition, topic_id: "1" };
    await csv.open(at, new AbortController().signal);
    const own = changes.filter(({ before, after }) =>
      Number((after ?? before)![0]) % PARTITIONS === partition
    );
    for (let from = 0; from < own.length; from += 20) {
      const batch = own.slice(from, from + 20);
      await csv.write(at, {
        changes: batch,
        standing: {
          next_offset: from + batch.length,
          positions: new Map([["mysql/orders", batch.at(-1)!.position]]),
        },
      });
      await csv.flush(at);
    }
  }
  return csv;
}

/** Makes the table hold just `rows`. */
function fillTable(database: DatabaseOptions, table: string, rows: readonly ListRow[]) {
  const timestamp = database.kind === "mysql" ? "DATETIME(6)" : "TIMESTAMP(6)";
  const values = rows.map(([id, ...texts]) => `(${id}, ${texts.map((text) => `'${text}'`)})`);
  return statements(database, [
    `DROP TABLE IF EXISTS ${table}`,
    `CREATE TABLE ${table} (id BIGINT PRIMARY KEY, category VARCHAR(64), domain VARCHAR(255),
      timestamp ${timestamp})`,
    `INSERT INTO ${table} VALUES ${values.join(", ")}`,
  ]);
}

async function statements(database: DatabaseOptions, sql: readonly string[]): Promise<void> {
  if (database.kind === "postgresql") {
    const client = await connectPostgres(database, "list-sync test");
    for (const text of sql) await client.query({ text });
    return await client.end();
  }
  const connection = await connectMysql(database);
  for (const text of sql) await connection.query(text);
  await connection.end();
}

/** A folder of files, and the job that compares them with the table. */
interface Setting {
  readonly folder: string;
  readonly output: string;
  readonly rows: readonly ListRow[];
  /** Runs the worker; fails when its exit code is not the one that `verified` asks for. */
  verify(verified: boolean): Promise<VerifyResult>;
}

/** What a case changes of the usual. */
interface Case {
  readonly name: string;
  readonly sink?: Partial<CsvOptions>;
  /** Whether old rows are whole. @default true */
  readonly full?: boolean;
  /** Whether the consumer still has the files while they are compared. @default false */
  readonly open?: boolean;
}

async function withFiles(
  { name, sink = {}, full = true, open = false }: Case,
  body: (setting: Setting) => Promise<void>,
  { database, reader, qualified } = databases()[0]!,
): Promise<void> {
  const table = qualified(`verify_test_${name}`);
  const folder = Deno.makeTempDirSync();
  const output = `${folder}/out`;
  const { changes, rows } = history(full);
  const consumer = await writeFiles(csvOptions.parse({ output, ...sink }), changes);
  if (!open) await consumer.close();
  await fillTable(database, table, rows);
  const { rotate_bytes: _b, rotate_rows: _r, rotate_interval_ms: _i, ...files } = csvOptions.parse({
    output,
    ...sink,
  });
  const job = {
    job: "verify",
    name: "verify-test",
    database: reader,
    table,
    topic: TOPIC,
    files,
  };
  const verify = async (verified: boolean) => {
    await using worker = new WorkerProcess(folder, "verify", job, ["--json"]);
    const result = JSON.parse(await worker.ended(verified ? 0 : 1)) as VerifyResult;
    assert.equal(result.verified, verified);
    return result;
  };
  try {
    await body({ folder, output, rows, verify });
  } finally {
    await consumer.close();
    await statements(database, [`DROP TABLE ${table}`]);
    Deno.removeSync(folder, { recursive: true });
  }
}

const LAYOUTS: Case[] = [
  { name: "default" },
  { name: "key_images", full: false },
  { name: "one_file", sink: { split_files: false } },
  { name: "rotated", sink: { rotate_rows: 17 } },
  { name: "no_meta", sink: { meta: [] } },
  { name: "no_formulas", sink: { escape_formulas: true } },
  {
    name: "no_header",
    sink: { header: false, columns: ["timestamp", "id", "category", "domain"] },
  },
];

for (const target of databases()) {
  for (const layout of LAYOUTS) {
    Deno.test(`${target.name}, ${layout.name}: files that hold all changes are verified`, async () => {
      await withFiles(layout, async ({ rows, verify, output }) => {
        const result = await verify(true);
        assert.equal(result.rows_expected, rows.length);
        assert.equal(result.rows_compared, rows.length);
        assert.deepEqual(result.differences, []);
        const hidden = [...Deno.readDirSync(output)].map(({ name }) => name);
        assert.ok(!hidden.includes(".verify"), "temporary files are gone");
      }, target);
    });
  }
}

/** Lines of a data file, the header's first; `split_files` puts the operation into its name. */
function dataFiles(output: string, operation: string): string[] {
  return [...Deno.readDirSync(`${output}/${TOPIC}`)]
    .filter(({ name }) => name.startsWith(operation))
    .map(({ name }) => `${output}/${TOPIC}/${name}`).sort();
}

/** Changes the lines of a complete file; of a `.part` the journal knows the length and the end. */
function tamper(path: string, change: (lines: string[]) => string[]): void {
  const lines = Deno.readTextFileSync(path).split("\n");
  Deno.writeTextFileSync(path, change(lines).join("\n"));
}

/** The id in a line: `op,position,id,…`. */
function idOf(line: string): string {
  return line.split(",")[2]!;
}

// Every set but the last is complete, so that its files may be edited.
const rotated = { rotate_rows: 40 };

Deno.test("one changed cell gives exit code 1 and names row, column and both values", async () => {
  await withFiles({ name: "cell", sink: rotated }, async ({ output, rows, verify }) => {
    const { path, at } = lastInsertOfARow(output, rows);
    let id = "";
    tamper(path, (lines) => {
      id = idOf(lines[at]!);
      const fields = lines[at]!.split(",");
      fields[3] = "tampered";
      return lines.with(at, fields.join(","));
    });
    const result = await verify(false);
    const [difference] = result.differences;
    assert.equal(result.difference_count, 1);
    assert.equal(difference?.kind, "different");
    assert.deepEqual(difference.key, { id });
    assert.equal(difference.found?.category, "tampered");
    assert.equal(difference.expected?.category, rows.find((row) => String(row[0]) === id)![1]);
    assert.match(difference.reason, /category/);
    assert.deepEqual(difference.places, [`${path} row ${at}`]);
  });
});

for (const operation of ["inserts", "deletes"]) {
  Deno.test(`a line removed from the ${operation} gives exit code 1 and names the row`, async () => {
    await withFiles({ name: "removed", sink: rotated }, async ({ output, verify }) => {
      let id = "";
      tamper(dataFiles(output, operation)[0]!, (lines) => {
        id = idOf(lines[5]!);
        return lines.toSpliced(5, 1);
      });
      const { differences } = await verify(false);
      assert.ok(differences.some(({ key }) => key.id === id), JSON.stringify(differences));
    });
  });

  Deno.test(`a line doubled in the ${operation} gives exit code 1 and names the row`, async () => {
    await withFiles({ name: "doubled", sink: rotated }, async ({ output, verify }) => {
      let id = "";
      tamper(dataFiles(output, operation)[0]!, (lines) => {
        id = idOf(lines[5]!);
        return lines.toSpliced(5, 0, lines[5]!);
      });
      const { differences, repetitions } = await verify(false);
      assert.equal(repetitions, 1);
      assert.deepEqual(differences.map(({ kind, key }) => [kind, key]), [["repeated", { id }]]);
    });
  });
}

for (const kind of ["cell", "removed", "doubled"] as const) {
  Deno.test(`without positions, one ${kind} gives exit code 1 and names the row`, async () => {
    const layout = { name: `no_meta_${kind}`, sink: { ...rotated, meta: [] } };
    await withFiles(layout, async ({ output, verify }) => {
      let id = "";
      tamper(dataFiles(output, "inserts")[0]!, (lines) => {
        const fields = lines[5]!.split(",");
        id = fields[0]!;
        if (kind === "removed") return lines.toSpliced(5, 1);
        if (kind === "doubled") return lines.toSpliced(5, 0, lines[5]!);
        return lines.with(5, fields.with(1, "tampered").join(","));
      });
      const { differences } = await verify(false);
      assert.ok(differences.length > 0);
      for (const { key } of differences) assert.equal(key.id, id);
    });
  });
}

Deno.test("bytes after what the journal vouches for do not count", async () => {
  await withFiles({ name: "unvouched", open: true }, async ({ output, verify }) => {
    const part = dataFiles(output, "inserts").find((path) => path.endsWith(".part"))!;
    const { size } = Deno.statSync(part);
    Deno.writeTextFileSync(part, "u,half a li", { append: true });
    await verify(true);
    Deno.truncateSync(part, size);
  });
});

/** The line of a complete file that holds the last state of a row that is still there. */
function lastInsertOfARow(output: string, rows: readonly ListRow[]): { path: string; at: number } {
  const state = new Set(rows.map(([id, category, domain]) => `${id},${category},${domain}`));
  for (const path of dataFiles(output, "inserts").filter((name) => name.endsWith(".csv"))) {
    const lines = Deno.readTextFileSync(path).split("\n");
    const at = lines.findIndex((line) => state.has(line.split(",").slice(2, 5).join(",")));
    if (at > 0) return { path, at };
  }
  throw new Error("No complete file holds a row that is still there: choose another seed");
}
