/** Every example job is run as it stands, by its task, with the environment that `deno task stack env` gives. */
import assert from "node:assert/strict";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { runDeno } from "../command.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import { type DatabaseInfo, testStack } from "../stack.ts";
import { inTurn } from "../steps.ts";

const STACK = testStack();
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

/** What `deno task stack env` exports. */
const environment: Record<string, string> = {
  ...variables("PG", STACK.pg),
  ...variables("MYSQL", STACK.mysql),
  KAFKA_BROKERS: STACK.kafka.brokers.join(","),
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

const SEEDS = ["jobs/seed-pg.yaml", "jobs/seed-mysql.yaml"];
const CONSUMERS = ["jobs/consume-csv.yaml", "jobs/consume-csv-one-file.toml"];
const VERIFIES = ["jobs/verify-pg.yaml", "jobs/verify-mysql.yaml"];

/** Runs a task of the examples. */
type Run = typeof task;

/** Captures up to the end of the logs; answers how many changes each capture has brought. */
async function captured(run: Run): Promise<number[]> {
  const results = await run("capture", "--mode", "batch", "--json", ...CAPTURES);
  return results.map(({ changes }) =>
    Object.values(changes as Record<string, number>).reduce((sum, count) => sum + count, 0)
  );
}

/** What the seeds write comes to Kafka through every capture, and to files that are equal to the tables. */
async function passOn(run: Run): Promise<void> {
  const seeded = await run("seed", "--json", "--rows", String(ROWS), ...SEEDS);
  assert.equal(seeded.length, SEEDS.length);
  assert.deepEqual(await captured(run), CAPTURES.map(() => ROWS));
  await run("consume", "--mode", "batch", ...CONSUMERS);
  const results = await run("verify", "--json", ...VERIFIES);
  assert.deepEqual(results.map(({ verified }) => verified), [true, true], JSON.stringify(results));
}

async function dropAll(): Promise<void> {
  for (const path of CAPTURES) await task("remove", "--topics", "--yes", path);
  await postgres(
    "DROP PUBLICATION IF EXISTS list_sync_orders",
    "DROP TABLE IF EXISTS public.list",
  );
  await mysql("DROP TABLE IF EXISTS list");
}

Deno.test("the examples for PostgreSQL and MySQL work together", async (t) => {
  const output = environment["CSV_OUTPUT"] = Deno.makeTempDirSync();
  try {
    await inTurn(t, {
      async "the seeds make their tables, which are then empty for the captures"() {
        await task("seed", "--rows", "8", ...SEEDS);
        await postgres(
          "TRUNCATE public.list",
          "CREATE PUBLICATION list_sync_orders FOR TABLE public.list",
        );
        await mysql("TRUNCATE list");
      },
      async "the captures begin side by side at the end of the log"() {
        assert.deepEqual(await captured(task), CAPTURES.map(() => 0));
      },
      "what the seeds write comes into files that the verifies find equal to the tables": () =>
        passOn(task),
      "the same jobs go on as threads of one process": () =>
        passOn((...args) => task("list-sync", ...args)),
    });
  } finally {
    await dropAll();
    Deno.removeSync(output, { recursive: true });
  }
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
