/** The rows that a table already holds on their way to Kafka, beside Debezium. */
import { connectMysql } from "../../shared/database/mysql.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import type { TestDatabase } from "../../tests/databases.ts";
import { Scenario } from "../../tests/scenario.ts";
import type { Round, RoundOptions, Row } from "../bench.ts";
import { Debezium } from "../peers/debezium.ts";
import { BenchTopic } from "../topic.ts";
import { capture } from "./capture.ts";
import { type DatabaseName, discard, stackDatabase } from "./database.ts";

/** The row of one database. */
export function snapshotRow(name: DatabaseName): Row {
  return {
    work: `snapshot ${name} → Kafka`,
    peer: "Debezium",
    aim: "2 times its rate",
    figures: ["per_second", "wall_seconds"],
    prepare: (options) => prepare(stackDatabase(name), options),
  };
}

async function prepare(
  db: TestDatabase,
  { changes: rows, with_peer }: RoundOptions,
): Promise<Round> {
  const scenario = new Scenario(db, { format: "json", mode: "batch", snapshot: "initial" });
  await scenario.createTable();
  await fill(db, scenario.name, rows);
  const topic = await BenchTopic.make(scenario.topic);
  const debezium = with_peer ? await Debezium.make(db, scenario.name, "snapshot") : undefined;
  return {
    ours: () => capture(scenario, topic, rows),
    theirs: () => debezium!.write(rows),
    [Symbol.asyncDispose]: () => discard(db, scenario.name, [topic, debezium]),
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
