/** `deno task check` and `deno task remove` on real servers. */
import assert from "node:assert/strict";
import mysql2 from "mysql2/promise";
import pg from "pg";
import type { Finding } from "../../shared/sources/source.ts";
import { commandRunner } from "../command.ts";
import { testFolder, testStack } from "../stack.ts";
import { WorkerProcess } from "../worker_process.ts";

const STACK = testStack();
const RUN = `check_${crypto.randomUUID().slice(0, 8)}`;
const TABLE = `public.${RUN}`;
const FOLDER = testFolder(RUN);
const command = commandRunner(FOLDER);

interface CaptureJob {
  name: string;
  source: Record<string, unknown>;
  kafka: Record<string, unknown>;
  mode: "stream" | "batch";
  columns?: { table: string; mask: string[] }[];
}

function captureJob(mode: "stream" | "batch"): CaptureJob & { job: string } {
  const { host, port, database, users } = STACK.pg;
  return {
    job: "capture-pg",
    name: RUN,
    mode,
    source: { host, port, database, ...users.replicator, tables: [TABLE], snapshot: "never" },
    kafka: { brokers: STACK.kafka.brokers },
  };
}

function mysqlJob(mode: "stream" | "batch"): CaptureJob & { job: string } {
  const { host, port, database, users } = STACK.mysql;
  return {
    job: "capture-mysql",
    name: `${RUN}_mysql`,
    mode,
    source: { host, port, ...users.replicator, tables: [`${database}.*`], snapshot: "never" },
    kafka: { brokers: STACK.kafka.brokers },
  };
}

async function findings(job: CaptureJob): Promise<[number, Finding[]]> {
  const { code, stdout, stderr } = await command("check", job, "--json");
  assert.notEqual(stdout, "", stderr);
  return [code, JSON.parse(stdout).findings as Finding[]];
}

async function sql(...statements: string[]): Promise<Record<string, unknown>[]> {
  const { host, port, database, users } = STACK.pg;
  const client = new pg.Client({ host, port, database, ...users.admin });
  await client.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows;
    return rows;
  } finally {
    await client.end();
  }
}

async function mysql(statement: string): Promise<void> {
  const { host, port, users } = STACK.mysql;
  const connection = await mysql2.createConnection({ host, port, ...users.admin });
  await connection.query(statement).finally(() => connection.end());
}

const slots = () =>
  sql(`SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'list_sync_${RUN}'`);

async function batch(job: { name: string; job: string }): Promise<{ changes: { c: number } }> {
  await using worker = new WorkerProcess(FOLDER, job.job, job, ["--json"]);
  return await worker.result();
}

Deno.test("check names what is missing before the table is there, with a cure for each error", async () => {
  const [code, found] = await findings(captureJob("batch"));
  assert.equal(code, 1);
  const errors = found.filter(({ level }) => level === "error");
  assert.ok(errors.some(({ subject }) => subject.includes(TABLE)), JSON.stringify(found));
  for (const error of errors) assert.ok(error.cure, JSON.stringify(error));
});

Deno.test("check finds a capture runnable once table and publication are there", async () => {
  await sql(
    `CREATE TABLE ${TABLE} (id bigint PRIMARY KEY, note text)`,
    `GRANT SELECT ON ${TABLE} TO "${STACK.pg.users.replicator.user}"`,
    `CREATE PUBLICATION list_sync_${RUN} FOR TABLE ${TABLE}`,
  );
  const [code, found] = await findings(captureJob("batch"));
  assert.equal(code, 0, JSON.stringify(found, undefined, 1));
  for (const broker of STACK.kafka.brokers) {
    assert.ok(
      found.some(({ level, subject }) => level === "ok" && subject === `broker ${broker}`),
      JSON.stringify(found),
    );
  }
});

Deno.test("check says what cannot be: more replicas than brokers, servers that do not answer", async () => {
  const job = captureJob("batch");
  const [code, found] = await findings({ ...job, kafka: { ...job.kafka, replication_factor: 9 } });
  assert.equal(code, 1);
  assert.deepEqual(found.find(({ subject }) => subject === "replication_factor"), {
    level: "error",
    subject: "replication_factor",
    found: "the job asks for 9, and the cluster has 3 brokers",
    cure: "kafka:\n  replication_factor: 3",
  });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = closed.addr.port;
  closed.close();
  const [failed, unreached] = await findings({
    ...job,
    source: { ...job.source, host: "127.0.0.1", port },
  });
  assert.equal(failed, 1);
  const source = unreached.find(({ subject }) => subject === "source");
  assert.match(source!.found, new RegExp(`ECONNREFUSED.*${port}`), JSON.stringify(unreached));
});

Deno.test("a worker refuses to start for what check calls an error", async () => {
  const job = captureJob("batch");
  const impossible = { ...job, kafka: { ...job.kafka, replication_factor: 9 } };
  await using worker = new WorkerProcess(FOLDER, "capture-pg", impossible);
  await worker.ended(2);
  const { error } = await worker.event("failed");
  assert.match(String(error), /replication_factor: the job asks for 9/);
});

for (const makeJob of [captureJob, mysqlJob]) {
  const job = makeJob("batch");
  Deno.test(`${job.job}: check names rules of columns that cannot be applied, or fit no table`, async () => {
    const table = `${STACK.mysql.database}.${RUN}`;
    if (makeJob === mysqlJob) await mysql(`CREATE TABLE ${table} (id INT PRIMARY KEY, note TEXT)`);
    const rule = makeJob === mysqlJob ? table : TABLE;
    const tables = makeJob === mysqlJob ? job.source.tables : ["public.*"];
    const columns = [{ table: rule, mask: ["noted"] }, { table: `${rule}_later`, mask: ["note"] }];
    const [code, found] = await findings({ ...job, source: { ...job.source, tables }, columns });
    if (makeJob === mysqlJob) await mysql(`DROP TABLE ${table}`);
    assert.equal(code, 1);
    const [fault, idle] = found.filter(({ subject }) => subject.startsWith("columns "));
    assert.equal(fault?.level, "error", JSON.stringify(found));
    assert.match(fault!.found, /no column noted; nearest is "note"; its columns are id, note/);
    assert.equal(idle?.level, "warning");
    assert.match(idle!.found, /no captured table/);
  });
}

Deno.test("remove is refused while the capture runs, and the capture goes on", async () => {
  const job = captureJob("stream");
  await using worker = new WorkerProcess(FOLDER, "capture-pg", job);
  await worker.event("capture_started");
  const { code, stderr, stdout } = await command("remove", job);
  assert.notEqual(code, 0, stdout);
  assert.match(stderr, new RegExp(`list_sync_${RUN}`));
  assert.equal((await slots()).length, 1);
  await worker.stop();
});

Deno.test("remove keeps the topics, and a capture afterwards begins anew", async () => {
  await sql(`INSERT INTO ${TABLE} SELECT n, 'x' FROM generate_series(1, 10) AS n`);
  const { changes } = await batch(captureJob("batch"));
  assert.equal(changes.c, 10);
  const { code, stdout, stderr } = await command("remove", captureJob("batch"));
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`slot list_sync_${RUN}`));
  assert.match(stdout, new RegExp(`Forgot the position of postgresql/${RUN}`));
  assert.equal((await slots()).length, 0);
  await sql(`INSERT INTO ${TABLE} VALUES (11, 'not captured: the slot is made after it')`);
  assert.equal((await batch(captureJob("batch"))).changes.c, 0);
});

Deno.test("topics are removed only with --yes, and then are gone", async () => {
  await sql(`INSERT INTO ${TABLE} VALUES (12, 'x')`);
  assert.equal((await batch(captureJob("batch"))).changes.c, 1);
  const refused = await command("remove", captureJob("batch"), "--topics");
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, new RegExp(`--topics deletes ${RUN}\\.${TABLE}.*add --yes`));
  assert.equal((await slots()).length, 1, "what is refused has removed nothing");
  const done = await command("remove", captureJob("batch"), "--topics", "--yes", "--json");
  assert.equal(done.code, 0, done.stderr);
  const { removed } = JSON.parse(done.stdout) as { removed: string[] };
  assert.ok(removed.includes(`Deleted topic ${RUN}.${TABLE}.`), done.stdout);
  const [, found] = await findings(captureJob("batch"));
  assert.ok(
    found.some(({ subject, found }) =>
      subject.startsWith("topics ") && found.startsWith("none exists yet")
    ),
    JSON.stringify(found),
  );
});

Deno.test("MySQL: remove is refused while the capture runs, and forgets the position after", async () => {
  const job = mysqlJob("stream");
  await using worker = new WorkerProcess(FOLDER, "capture-mysql", job);
  await worker.event("capture_started");
  const refused = await command("remove", job);
  assert.equal(refused.code, 2, refused.stdout);
  assert.match(refused.stderr, /Another capture of job/);
  await worker.stop();
  const { code, stdout, stderr } = await command("remove", job, "--topics", "--yes");
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`Forgot the position of mysql/${RUN}_mysql`));
});

Deno.test("what the tests made is dropped again", async () => {
  await sql(`DROP PUBLICATION list_sync_${RUN}`, `DROP TABLE ${TABLE}`);
  assert.equal((await slots()).length, 0);
});
