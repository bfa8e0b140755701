/** The replica identity of a table: whether the log says which row an update or delete was of. */
import { quoteIdentifier, quoteTable } from "../../connect/postgres.ts";
import type { CatalogTable } from "./catalog.ts";
import type { PostgresOptions } from "./options.ts";

/** What is wrong with a table's replica identity. */
export interface IdentityFault {
  readonly found: string;
  readonly cure: string;
}

/**
 * Why updates and deletes of the table would be refused by the server once it is published, left out
 * by the plugin, or come without their key; undefined: none of these.
 */
export function identityFault(
  table: CatalogTable,
  plugin: PostgresOptions["plugin"],
): IdentityFault | undefined {
  const { replica_identity: identity, columns, primary_key } = table;
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  const refuses = "PostgreSQL refuses every UPDATE and DELETE of the table while it is published";
  if (identity === "n" || identity === "d" && primary_key.length === 0) {
    const then = plugin === "pgoutput"
      ? refuses
      : "wal2json drops every UPDATE and DELETE of the table without a word";
    return { found: `no replica identity: ${then}`, cure: `${alter} REPLICA IDENTITY FULL` };
  }
  const virtual = columns.filter((column) => column.virtual);
  if (plugin !== "pgoutput" || identity !== "f" || virtual.length === 0) return keyFault(table);
  return {
    found: `REPLICA IDENTITY FULL with the virtual generated column ${named(virtual)}: ${refuses}`,
    cure: primary_key.length > 0
      ? `${alter} REPLICA IDENTITY DEFAULT`
      : `${alter} ADD PRIMARY KEY (...), REPLICA IDENTITY DEFAULT, or make the column STORED`,
  };
}

/** Why rows in the log are without their key; undefined: they have it. */
export function keyFault(table: CatalogTable): IdentityFault | undefined {
  const { replica_identity, columns, primary_key, identity_index } = table;
  const key = replica_identity === "i" ? identity_index : primary_key;
  const computed = columns.filter(({ number, generated }) => generated && key.includes(number));
  return computed.length === 0 ? undefined : {
    found: `its key has the generated column ${named(computed)}, which the log does not carry`,
    cure:
      `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY USING INDEX ... with a unique index on` +
      " other columns, or add the table to source.exclude_tables",
  };
}

function named(columns: CatalogTable["columns"]): string {
  return columns.map(({ name }) => quoteIdentifier(name)).join(", ");
}
