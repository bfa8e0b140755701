/** The demo's tables: in a schema (MySQL: a database) `demo` of their own, made anew for each run. */
import type { DatabaseInfo } from "../../compose/native/state.ts";
import type { StackInfo } from "../../compose/native/stack.ts";
import { quoteIdentifier } from "../../shared/connect/postgres.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import { databaseOptions } from "../../shared/database/options.ts";
import { connectPostgres, type PgClient, pgTable } from "../../shared/database/postgres.ts";
import { writers } from "../../shared/seed/mod.ts";
import type { SeedOptions } from "../../shared/seed/options.ts";
import { objectNames } from "../../shared/sources/postgres/options.ts";
import type { SourceName } from "./sources.ts";

/** What one demo leaves in the databases is named after this. */
const PREFIX = "list_sync_demo";

/** Makes the tables of the seed jobs, empty, and what only their owner can make for the capture. */
export async function prepareDatabase(
  source: SourceName,
  info: StackInfo,
  seeds: readonly SeedOptions[],
  capture_name: string,
): Promise<void> {
  if (source === "pg") await preparePostgres(info.pg!, seeds, capture_name);
  else await prepareMysql(info.mysql!, seeds);
}

/** Drops what would burden a server that stays: a slot keeps its log. Tables stay. */
export async function leaveDatabase(source: SourceName, info: StackInfo): Promise<void> {
  if (source !== "pg") return;
  const admin = await postgres(info.pg!, "admin");
  try {
    await dropSlots(admin);
  } finally {
    await admin.end();
  }
}

async function preparePostgres(
  info: DatabaseInfo,
  seeds: readonly SeedOptions[],
  capture_name: string,
): Promise<void> {
  const { replicator, writer } = info.users;
  const admin = await postgres(info, "admin");
  try {
    await dropSlots(admin);
    const owner = quoteIdentifier(writer.user);
    const reader = quoteIdentifier(replicator.user);
    for (
      const text of [
        "DROP SCHEMA IF EXISTS demo CASCADE",
        `CREATE SCHEMA demo AUTHORIZATION ${owner}`,
        `GRANT USAGE ON SCHEMA demo TO ${reader}`,
        `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} IN SCHEMA demo GRANT SELECT ON TABLES TO ${reader}`,
      ]
    ) await admin.query({ text });
  } finally {
    await admin.end();
  }
  await createTables(seeds);
  const { publication } = objectNames({}, capture_name);
  const tables = seeds.map(({ table }) => pgTable(table)).join(", ");
  const client = await postgres(info, "writer");
  try {
    await client.query({
      text: `CREATE PUBLICATION ${quoteIdentifier(publication)} FOR TABLE ${tables}`,
    });
  } finally {
    await client.end();
  }
}

/** Slots and publications of earlier demos; a slot that is in use belongs to one that runs. */
async function dropSlots(admin: PgClient): Promise<void> {
  await admin.query({
    text: `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
      WHERE starts_with(slot_name, $1) AND NOT active`,
    values: [PREFIX],
  });
  const { rows } = await admin.query({
    text: "SELECT pubname FROM pg_publication WHERE starts_with(pubname, $1)",
    values: [PREFIX],
  });
  for (const [name] of rows) {
    await admin.query({ text: `DROP PUBLICATION ${quoteIdentifier(name!)}` });
  }
}

async function prepareMysql(info: DatabaseInfo, seeds: readonly SeedOptions[]): Promise<void> {
  const { replicator, writer, admin } = info.users;
  const { host, port, database } = info;
  const connection = await connectMysql(
    databaseOptions.parse({ kind: "mysql", host, port, database, ...admin }),
  );
  try {
    const account = async (user: string) => {
      const [rows] = await connection.query("SELECT host FROM mysql.user WHERE user = ?", [user]);
      return `${connection.escape(user)}@${connection.escape((rows as string[][])[0]![0])}`;
    };
    await connection.query("DROP DATABASE IF EXISTS demo");
    await connection.query("CREATE DATABASE demo");
    await connection.query(`GRANT SELECT ON demo.* TO ${await account(replicator.user)}`);
    await connection.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON demo.* TO ${await account(
        writer.user,
      )}`,
    );
  } finally {
    await connection.end();
  }
  await createTables(seeds);
}

async function createTables(seeds: readonly SeedOptions[]): Promise<void> {
  for (const seed of seeds) {
    const writer = await writers[seed.database.kind](seed);
    try {
      await writer.create();
    } finally {
      await writer.close();
    }
  }
}

function postgres(info: DatabaseInfo, user: "admin" | "writer"): Promise<PgClient> {
  const { host, port, database, users } = info;
  const options = { kind: "postgresql", host, port, database, ...users[user] };
  return connectPostgres(databaseOptions.parse(options), "list-sync demo");
}
