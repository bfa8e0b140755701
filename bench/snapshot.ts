/** How fast the rows that are there already come to the topic, and what memory that takes. */
import { connectMysql } from "../shared/database/mysql.ts";
import { connectPostgres } from "../shared/database/postgres.ts";
import type { CaptureSummary } from "../shared/pipeline/capture.ts";
import { databases, type TestDatabase } from "../tests/databases.ts";
import { Scenario } from "../tests/scenario.ts";
import type { Bench } from "./bench.ts";

/** Rows of each database that are not measured: brokers that have just started run interpreted code. */
const WARM_UP = 200_000;

/** Measures both databases. */
export const bench: Bench = async ({ changes, tell }) => {
  for (const db of databases()) await snapshot(db, WARM_UP);
  for (const db of databases()) tell(await snapshot(db, changes));
};

async function snapshot(db: TestDatabase, rows: number) {
  const scenario = new Scenario(db, { format: "json", mode: "batch", snapshot: "initial" });
  await scenario.createTable();
  await fill(db, scenario.name, rows);
  const capture = scenario.capture();
  const { changes, seconds } = await capture.result<CaptureSummary>();
  if (changes.r !== rows) throw new Error(`${changes.r} of ${rows} rows; see ${capture.log_file}`);
  return {
    database: db.name,
    work: "snapshot",
    rows,
    seconds,
    per_second: rows / seconds,
    peak_megabytes: capture.peak_bytes / 1e6,
  };
}

/** Rows as the seed writes them, made by the server itself. */
async function fill(db: TestDatabase, table: string, rows: number): Promise<void> {
  if (db.name === "PostgreSQL") {
    const client = await connectPostgres(db.database, "list-sync bench");
    await client.query({
      text: `insert into public.${table} select id, 'category ' || id % 40, 'www.' || md5(id::text)
             || '.example', timestamp '2026-11-21' + id * interval '1 second'
             from generate_series(1, ${rows}) id`,
    });
    await client.query({ text: `analyze public.${table}` });
    return await client.end();
  }
  const client = await connectMysql(db.database);
  await client.query(`SET SESSION cte_max_recursion_depth = ${rows}`);
  await client.query(
    `INSERT INTO ${table} WITH RECURSIVE ids AS (SELECT 1 id UNION ALL SELECT id + 1 FROM ids WHERE id < ${rows})
     SELECT id, CONCAT('category ', id % 40), CONCAT('www.', LEFT(SHA2(id, 256), 32), '.example'),
            TIMESTAMP'2026-11-21 00:00:00' + INTERVAL id SECOND FROM ids`,
  );
  await client.end();
}
