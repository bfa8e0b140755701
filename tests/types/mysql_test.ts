/** Every type of MySQL by the binlog and a snapshot: as the server's own SQL has it. */
import { connectMysql } from "../../shared/database/mysql.ts";
import type { DatabaseOptions } from "../../shared/database/options.ts";
import { Random } from "../../shared/seed/random.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import { openMysqlTable } from "../../shared/verify/mysql.ts";
import { SILENT } from "../silent.ts";
import { captured } from "../source_rows.ts";
import { testStack } from "../stack.ts";
import { compareFiles, compareSnapshot, compareStream, Count } from "./agreement.ts";
import { literal, MYSQL_TYPES } from "./mysql_types.ts";
import { NAMES_OF_MYSQL } from "./names.ts";
import { Deck, type Dialect, RandomTable } from "./random_table.ts";
import { ROUNDS, SEED } from "./rounds.ts";
import type { TypeCase } from "./type_case.ts";

const NAME = `types_${crypto.randomUUID().slice(0, 8)}`;
/** Zero dates and values out of range are let in; times are written in another zone than they are told in. */
const SESSION = "SET SESSION sql_mode = '', time_zone = 'SYSTEM', time_zone = '+05:30'," +
  " binlog_row_value_options = PARTIAL_JSON";

type Session = Awaited<ReturnType<typeof connectMysql>>;

/** Updates of parts have more ways to differ than values have. */
const CHANGES_OF_JSON = 80;

const quote = (name: string) => `\`${name.replaceAll("`", "``")}\``;

function dialect(session: Session): Dialect {
  const query = async (sql: string) => {
    try {
      return (await session.query(sql))[0] as unknown as (string | null)[][];
    } catch (cause) {
      throw new Error(`The server refuses ${sql}: ${(cause as Error).message}`, { cause });
    }
  };
  return {
    quote,
    run: async (sql) => void await query(sql),
    rows: (sql) => query(sql.replace(/^SELECT/, "SELECT /*+ SET_VAR(time_zone = '+00:00') */")),
    async types({ schema, name }) {
      const rows = await query(
        `SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = '${schema}' AND TABLE_NAME = ${literal(name)}`,
      );
      return new Map(rows.map(([column, type]) => [column!, loggedType(type!)]));
    },
    generated: (_table, handle) => [
      `stored_one INT AS (${handle} + 1) STORED`,
      `virtual_one INT AS (${handle} + 2)`,
      `KEY functional ((${handle} * 2))`,
    ],
    identities: ["full"],
    identify: () => [],
    large: MYSQL_TYPES.find(({ type }) => type === "longtext")!,
    hidden: " INVISIBLE",
  };
}

/** Without display widths and ZEROFILL, which the log does not hold. */
function loggedType(type: string): string {
  if (/^(enum|set)/.test(type)) return type;
  return type.replace(/^([a-z]*int|float|double)\([\d,]+\)/, "$1").replace(" zerofill", "");
}

/** The first has documents alone; the types are spread over the others. */
function randomTables(seed: number, database: Dialect): RandomTable[] {
  const random = new Random(seed);
  const types = new Deck(MYSQL_TYPES, random);
  const names = new Deck(NAMES_OF_MYSQL, random);
  const taken = new Set<string>();
  const make = (types: readonly TypeCase[]) =>
    new RandomTable(database, NAME, types, names, random, taken);
  const json = MYSQL_TYPES.find(({ type }) => type === "json")!;
  const tables = [make([json, json, json, json])];
  while (!types.dealt) tables.push(make(Array.from({ length: 8 }, () => types.draw())));
  return tables;
}

function client(): DatabaseOptions {
  const { host, port, database, users } = testStack().mysql;
  const at = { kind: "mysql", host, port, database, ...users.admin } as const;
  return { ...at, tls: false, connect_timeout_ms: 5_000 };
}

function newSource(snapshot: "never" | "only"): MysqlSource {
  const { host, port, users } = testStack().mysql;
  const options = mysqlOptions.parse({
    host,
    port,
    ...users.admin,
    tables: [`${NAME}.*`],
    snapshot,
    snapshot_chunk_rows: 3,
  });
  return new MysqlSource(options, { name: NAME, version: "0", log: SILENT, now: Date.now });
}

async function compareRound(seed: number, session: Session, count: Count): Promise<void> {
  const database = dialect(session);
  await database.run(`CREATE DATABASE ${NAME} CHARACTER SET utf8mb4`);
  try {
    const tables = randomTables(seed, database);
    for (const table of tables) await table.create();
    const source = newSource("never");
    const begin = await source.open({ resume: undefined, generation: 1 });
    await source.close();
    for (const [at, table] of tables.entries()) {
      await database.run(`SET SESSION binlog_transaction_compression = ${at % 2}`);
      await table.write(at === 0 ? CHANGES_OF_JSON : undefined);
    }
    const stream = Map.groupBy(await captured(newSource("never"), begin), tableName);
    const snapshot = Map.groupBy(await captured(newSource("only"), undefined), tableName);
    for (const table of tables) {
      compareStream(table, stream.get(table.name) ?? [], "the binlog", count);
      compareSnapshot(table, snapshot.get(table.name) ?? [], "a snapshot", count);
      const reader = await openMysqlTable(client(), `${NAME}.${table.name}`, {
        tinyint1_as_boolean: false,
      });
      await compareFiles(table, snapshot.get(table.name) ?? [], reader);
    }
  } finally {
    await database.run(`DROP DATABASE ${NAME}`);
  }
}

function tableName({ table }: { readonly table: { readonly table: string } }): string {
  return table.table;
}

Deno.test("MySQL: every type, by the binlog and a snapshot, is what the server says", async () => {
  const session = await connectMysql(client());
  try {
    await session.query(SESSION);
    for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
      const count = new Count();
      await compareRound(seed, session, count).catch((cause) => {
        throw new Error(`LIST_SYNC_TYPES_SEED=${seed}: ${cause.message}`, { cause });
      });
      count.refuseMissing(MYSQL_TYPES);
      console.log(`MySQL, seed ${seed}: ${count}`);
    }
  } finally {
    session.destroy();
  }
});
