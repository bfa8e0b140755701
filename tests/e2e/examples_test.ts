/** Every example job is run as it stands, by its task, with the environment that `deno task stack env` gives. */
import assert from "node:assert/strict";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { runDeno } from "../command.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import { type DatabaseInfo, testStack } from "../stack.ts";

const STACK = testStack();
const OUTPUT = Deno.makeTempDirSync({ prefix: "list-sync-examples-" });
const ROWS = 400;

/** How jobs reach a database whose variables begin with `prefix`. */
function variables(prefix: string, { host, port, database, users }: DatabaseInfo) {
  return {
    [`${prefix}_HOST`]: host,
    [`${prefix}_PORT`]: String(port),
    [`${prefix}_DATABASE`]: database,
    [`${prefix}_USER`]: users.replicator.user,
    [`${prefix}_PASSWORD`]: users.replicator.password,
    [`${prefix}_WRITER_USER`]: users.writer.user,
    [`${prefix}_WRITER_PASSWORD`]: users.writer.password,
  };
}

/** What `deno task stack env` exports, and a folder for the files. */
const environment: Record<string, string> = {
  ...variables("PG", STACK.pg),
  ...variables("MYSQL", STACK.mysql),
  KAFKA_BROKERS: STACK.kafka.brokers.join(","),
  CSV_OUTPUT: OUTPUT,
};

/** Runs `deno task NAME JOB…` to its end, and answers the JSON objects on stdout. */
async function task(name: string, ...args: string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runDeno(["task", "--quiet", name, ...args], environment);
  assert.equal(code, 0, `deno task ${name} ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

async function postgres(...statements: string[]): Promise<void> {
  const { host, port, database, users } = STACK.pg;
  const client = new pg.Client({ host, port, database, ...users.admin });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function mysql(...statements: string[]): Promise<void> {
  const { host, port, database, users } = STACK.mysql;
  const connection = await createConnection({ host, port, database, ...users.admin });
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    await connection.end();
  }
}

const CAPTURES = [
  "jobs/capture-pg.yaml",
  "jobs/capture-pg-wal2json.toml",
  "jobs/capture-mysql.yaml",
];

Deno.test("the seed examples make their tables, which are then empty for the captures", async () => {
  await task("seed", "--rows", "8", "jobs/seed-pg.yaml", "jobs/seed-mysql.yaml");
  await postgres(
    "TRUNCATE public.list",
    "CREATE PUBLICATION list_sync_orders FOR TABLE public.list",
  );
  await mysql("TRUNCATE list");
});

Deno.test("the capture examples begin side by side at the end of the log", async () => {
  const results = await task("capture", "--mode", "batch", "--json", ...CAPTURES);
  assert.equal(results.length, CAPTURES.length);
});

Deno.test("what the seed examples write, all capture examples bring to Kafka", async () => {
  const seeded = await task(
    "seed",
    "--json",
    "--rows",
    String(ROWS),
    "jobs/seed-pg.yaml",
    "jobs/seed-mysql.yaml",
  );
  assert.equal(seeded.length, 2);
  const results = await task("capture", "--mode", "batch", "--json", ...CAPTURES);
  for (const { changes } of results as { changes: Record<string, number> }[]) {
    assert.equal(changes.c! + changes.u! + changes.d!, ROWS, JSON.stringify(results));
  }
});

Deno.test("the consume examples write files that the verify examples find equal to the tables", async () => {
  await task(
    "consume",
    "--mode",
    "batch",
    "jobs/consume-csv.yaml",
    "jobs/consume-csv-one-file.toml",
  );
  const results = await task("verify", "--json", "jobs/verify-pg.yaml", "jobs/verify-mysql.yaml");
  assert.deepEqual(results.map(({ verified }) => verified), [true, true], JSON.stringify(results));
});

Deno.test("the same jobs go on as threads of one process", async () => {
  const threads = (...args: string[]) => task("list-sync", ...args);
  const seeds = ["jobs/seed-pg.yaml", "jobs/seed-mysql.yaml"];
  await threads("seed", "--json", "--rows", String(ROWS), ...seeds);
  const captured = await threads("capture", "--mode", "batch", "--json", ...CAPTURES);
  for (const { changes } of captured as { changes: Record<string, number> }[]) {
    assert.equal(changes.c! + changes.u! + changes.d!, ROWS, JSON.stringify(captured));
  }
  const consumers = ["jobs/consume-csv.yaml", "jobs/consume-csv-one-file.toml"];
  await threads("consume", "--mode", "batch", ...consumers);
  const results = await threads(
    "verify",
    "--json",
    "jobs/verify-pg.yaml",
    "jobs/verify-mysql.yaml",
  );
  assert.deepEqual(results.map(({ verified }) => verified), [true, true], JSON.stringify(results));
});

Deno.test("the MariaDB example captures rows of a server that no stack has", async () => {
  await withOwnMariadb(async ({ info, run }) => {
    Object.assign(environment, variables("MARIADB", info));
    const example = "jobs/capture-mariadb.yaml";
    await run("CREATE TABLE list (id INT PRIMARY KEY)");
    await run("INSERT INTO list VALUES (1), (2)");
    await task("check", example);
    const [first] = await task("capture", "--mode", "batch", "--json", example);
    await run("DELETE FROM list WHERE id = 1");
    const [second] = await task("capture", "--mode", "batch", "--json", example);
    await task("remove", "--topics", "--yes", example);
    const changes = [first, second].map((summary) =>
      summary!["changes"] as { r: number; d: number }
    );
    assert.deepEqual(changes.map(({ r, d }) => [r, d]), [[2, 0], [0, 1]]);
  });
});

Deno.test("remove drops what the capture examples made", async () => {
  for (const path of CAPTURES) await task("remove", "--topics", "--yes", path);
  await postgres("DROP PUBLICATION list_sync_orders", "DROP TABLE public.list");
  await mysql("DROP TABLE list");
  Deno.removeSync(OUTPUT, { recursive: true });
});
