/** Every type of PostgreSQL 15 and 18 by pgoutput, wal2json and a snapshot: as the server's own SQL has it. */
import assert from "node:assert/strict";
import pg from "pg";
import type { DatabaseInfo } from "../../compose/native/state.ts";
import type { Change } from "../../shared/change.ts";
import { Random } from "../../shared/seed/random.ts";
import { type PostgresOptions, postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import { openPostgresTable } from "../../shared/verify/postgres.ts";
import { withOwnPostgres } from "../own_postgres.ts";
import { SILENT } from "../silent.ts";
import { captured } from "../source_rows.ts";
import { testStack } from "../stack.ts";
import { compareFiles, compareSnapshot, compareStream, Count } from "./agreement.ts";
import { writersGoOn } from "./generated_columns.ts";
import { NAMES_OF_POSTGRES } from "./names.ts";
import { DEFINITIONS, postgresTypes, WITHOUT_VALUES } from "./postgres_types.ts";
import { Deck, type Dialect, RandomTable } from "./random_table.ts";
import { ROUNDS, SEED } from "./rounds.ts";
import { same, type TypeCase } from "./type_case.ts";

const NAME = `types_${crypto.randomUUID().slice(0, 8)}`;
/** Tables whose values both plugins carry, and those that take pgoutput. */
const SCHEMAS = { both: 'Bo"th', special: "special" } as const;

/** Settings that would change text if a session of ours left them as they are. */
const HOSTILE: Readonly<Record<string, string>> = {
  DateStyle: "'SQL, DMY'",
  IntervalStyle: "'sql_standard'",
  TimeZone: "'Asia/Kolkata'",
  bytea_output: "'escape'",
  extra_float_digits: "-10",
  search_path: "''",
  standard_conforming_strings: "off",
  idle_in_transaction_session_timeout: "'1s'",
};

/** What the type table pins, for the server's own text. */
const PINNED = "SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'UTC';" +
  " SET extra_float_digits = 3; SET search_path = pg_catalog; SET standard_conforming_strings = on;" +
  " SET lc_monetary = 'C'; SET bytea_output = 'hex'; SET idle_in_transaction_session_timeout = 0";

/** First version with virtual generated columns; with whole old rows their tables cannot be published. */
const FIRST_VIRTUAL = 18;

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** A server that all statements go to by one session. */
class Server {
  readonly #client: pg.Client;
  readonly #info: DatabaseInfo;
  readonly major: number;

  constructor(client: pg.Client, info: DatabaseInfo, major: number) {
    this.#client = client;
    this.#info = info;
    this.major = major;
  }

  async rows(text: string): Promise<(string | null)[][]> {
    const types = { getTypeParser: () => (text: string) => text } as never;
    try {
      return (await this.#client.query({ text, rowMode: "array", types })).rows;
    } catch (cause) {
      throw new Error(`The server refuses ${text}: ${(cause as Error).message}`, { cause });
    }
  }

  get dialect(): Dialect {
    return {
      quote,
      run: async (sql) => void await this.rows(sql),
      rows: (sql) => this.rows(sql),
      types: async ({ qualified }) => {
        const rows = await this.rows(
          `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = '${qualified.replaceAll("'", "''")}'::regclass`,
        );
        return new Map(rows.map(([name, type]) => [name!, type!]));
      },
      generated: ({ identity }, handle) => [
        `stored_one int GENERATED ALWAYS AS (${handle} + 1) STORED`,
        ...this.major < FIRST_VIRTUAL || identity === "full"
          ? []
          : [`virtual_one int GENERATED ALWAYS AS (${handle} + 2) VIRTUAL`],
      ],
      identities: ["full", "default", "index"],
      identify,
      large: LARGE,
      hidden: "",
    };
  }

  source(name: string, changed: Partial<PostgresOptions>): PostgresSource {
    const { host, port, users } = this.#info;
    const options = {
      host,
      port,
      database: NAME,
      ...users.admin,
      snapshot_chunk_rows: 3,
      slot: `${NAME}_${name}`,
      publication: `${NAME}_${name}`,
      ...changed,
    };
    const context = { name: NAME, version: "0", log: SILENT, now: Date.now };
    return new PostgresSource(postgresOptions.parse(options), context);
  }

  reader({ schema, name }: RandomTable) {
    const { host, port, users } = this.#info;
    const at = { kind: "postgresql", host, port, database: NAME, ...users.admin } as const;
    const options = { ...at, tls: false, connect_timeout_ms: 5_000 };
    return openPostgresTable(options, `${schema}.${name}`);
  }
}

/** Text that is stored out of line, as it is. */
const LARGE: TypeCase = {
  type: "text",
  values: ["repeat('x', 9000)", "NULL"],
  any: (random) => `repeat('${random.pick([..."äb"])}', ${4_000 + random.below(4_000)})`,
  select: (column) => column,
  text: same,
  key: false,
};

function identify(table: RandomTable): string[] {
  const { identity, columns, qualified, name, key } = table;
  const alter = (what: string) => `ALTER TABLE ${qualified} ${what}`;
  const storage = columns.flatMap(({ type }, at) =>
    type === LARGE ? [alter(`ALTER ${table.quoted(at)} SET STORAGE EXTERNAL`)] : []
  );
  if (identity === "default") return storage;
  if (identity === "full") return [...storage, alter("REPLICA IDENTITY FULL")];
  const index = quote(`by ${name}`.slice(0, 20));
  const indexed = key.map((at) => table.quoted(at)).join(", ");
  return [
    ...storage,
    `CREATE UNIQUE INDEX ${index} ON ${qualified} (${indexed})`,
    alter(`REPLICA IDENTITY USING INDEX ${index}`),
  ];
}

/** Tables over which all types are spread, once for each schema. */
function randomTables(seed: number, database: Dialect): RandomTable[] {
  const random = new Random(seed);
  return Object.entries(SCHEMAS).flatMap(([kind, schema]) => {
    const types = new Deck(postgresTypes({ wal2json: kind === "both" }), random);
    const names = new Deck(NAMES_OF_POSTGRES, random);
    const taken = new Set<string>();
    const tables: RandomTable[] = [];
    while (!types.dealt) {
      const drawn = Array.from({ length: 10 }, () => types.draw());
      tables.push(new RandomTable(database, schema, drawn, names, random, taken));
    }
    return tables;
  });
}

/** What each way captures of the tables that `write` writes. */
async function capturedBy(
  server: Server,
  write: () => Promise<void>,
): Promise<Record<"pgoutput" | "wal2json" | "snapshot", Change[]>> {
  const all = Object.values(SCHEMAS).map((schema) => `${schema}.*`);
  const stream = (plugin: "pgoutput" | "wal2json") =>
    server.source(plugin, {
      plugin,
      snapshot: "never",
      tables: plugin === "pgoutput" ? all : [`${SCHEMAS.both}.*`],
    });
  const begins = [];
  for (const source of [stream("pgoutput"), stream("wal2json")]) {
    begins.push(await source.open({ resume: undefined, generation: 1 }));
    await source.close();
  }
  await write();
  const changes = {
    pgoutput: await captured(stream("pgoutput"), begins[0]),
    wal2json: await captured(stream("wal2json"), begins[1]),
    snapshot: await captured(server.source("rows", { snapshot: "only", tables: all }), undefined),
  };
  for (const name of ["pgoutput", "wal2json", "rows"]) {
    await server.source(name, { tables: all }).remove();
  }
  return changes;
}

async function compareRound(seed: number, server: Server, count: Count): Promise<void> {
  for (const schema of Object.values(SCHEMAS)) await server.rows(`CREATE SCHEMA ${quote(schema)}`);
  const tables = randomTables(seed, server.dialect);
  for (const table of tables) await table.create();
  const changes = await capturedBy(server, async () => {
    for (const table of tables) await table.write();
  });
  for (const table of tables) {
    const own = (changes: readonly Change[]) =>
      changes.filter(({ table: { schema, table: name } }) =>
        schema === table.schema && name === table.name
      );
    compareStream(table, own(changes.pgoutput), "pgoutput", count);
    if (table.schema === SCHEMAS.both) {
      compareStream(table, own(changes.wal2json), "wal2json", count);
    }
    compareSnapshot(table, own(changes.snapshot), "a snapshot", count);
    await compareFiles(table, own(changes.snapshot), await server.reader(table));
  }
  for (const schema of Object.values(SCHEMAS)) {
    await server.rows(`DROP SCHEMA ${quote(schema)} CASCADE`);
  }
}

/** The catalogue's types for columns are those of the list: a new version may bring others. */
async function everyTypeIsListed(server: Server): Promise<void> {
  const listed = postgresTypes({ wal2json: false })
    .map(({ type }) => `'${type.replace(/ COLLATE .*/, "")}'::regtype`);
  const rows = await server.rows(
    `SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
     AND typtype IN ('b', 'r', 'm') AND typcategory <> 'A' AND oid NOT IN (${listed}) ORDER BY 1`,
  );
  assert.deepStrictEqual(rows.flat(), WITHOUT_VALUES);
}

async function compareRounds(server: Server): Promise<void> {
  await everyTypeIsListed(server);
  for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
    const count = new Count();
    await compareRound(seed, server, count).catch((cause) => {
      throw new Error(`LIST_SYNC_TYPES_SEED=${seed}: ${cause.message}`, { cause });
    });
    count.refuseMissing(postgresTypes({ wal2json: false }));
    assert.ok(count.absent > 0, "no log left out a value");
    console.log(`PostgreSQL ${server.major}, seed ${seed}: ${count}`);
  }
}

async function connect(info: DatabaseInfo, database: string): Promise<pg.Client> {
  const { host, port, users } = info;
  const client = new pg.Client({ host, port, database, ...users.admin });
  client.on("error", () => {}); // the database is dropped under it where a test failed
  await client.connect();
  return client;
}

/** Compares in a database of its own, whose settings are hostile. */
async function compareOn(info: DatabaseInfo): Promise<void> {
  const admin = await connect(info, info.database);
  await admin.query(`CREATE DATABASE ${NAME}`);
  try {
    for (const [name, value] of Object.entries(HOSTILE)) {
      await admin.query(`ALTER DATABASE ${NAME} SET ${name} = ${value}`);
    }
    const client = await connect(info, NAME);
    await client.query(PINNED);
    const { rows } = await client.query("SHOW server_version_num");
    const version = Number((rows as [Record<string, string>])[0]["server_version_num"]);
    const server = new Server(client, info, Math.floor(version / 10_000));
    for (const sql of DEFINITIONS) await server.rows(sql);
    await compareRounds(server);
    await client.end();
  } finally {
    await admin.query(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1",
      [NAME],
    );
    await admin.query(`DROP DATABASE ${NAME} WITH (FORCE)`);
    await admin.end();
  }
}

Deno.test("PostgreSQL 15: every type, by both plugins and a snapshot, is what the server says", async () => {
  await compareOn(testStack().pg);
});

Deno.test("PostgreSQL 18", async (t) => {
  await withOwnPostgres(async (info) => {
    await t.step(
      "every type, by both plugins and a snapshot, is what the server says",
      () => compareOn(info),
    );
    await t.step(
      "generated columns never keep writers of captured tables from writing",
      () => writersGoOn(info),
    );
  }, 18);
});
