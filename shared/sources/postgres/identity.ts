/** The replica identity of a table: whether the log says which row an update or delete was of. */
import type { CatalogTable } from "./catalog.ts";
import { quoteIdentifier, quoteTable } from "./connection.ts";
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
  const { replica_identity: identity, columns, primary_key, identity_index } = table;
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  if (identity === "n" || identity === "d" && primary_key.length === 0) {
    return { found: "no replica identity", cure: `${alter} REPLICA IDENTITY FULL` };
  }
  const names = (some: typeof columns) => some.map(({ name }) => quoteIdentifier(name)).join(", ");
  const key = identity === "i" ? identity_index : primary_key;
  const computed = columns.filter(({ number, generated }) => generated && key.includes(number));
  if (computed.length > 0) {
    return {
      found: `its key has the generated column ${names(computed)}, which the log does not carry`,
      cure: `${alter} REPLICA IDENTITY USING INDEX … with a unique index on other columns`,
    };
  }
  const virtual = columns.filter((column) => column.virtual);
  if (plugin !== "pgoutput" || identity !== "f" || virtual.length === 0) return undefined;
  return {
    found: `REPLICA IDENTITY FULL with the virtual generated column ${names(virtual)}, which` +
      " PostgreSQL does not publish",
    cure: primary_key.length > 0
      ? `${alter} REPLICA IDENTITY DEFAULT`
      : `${alter} ADD PRIMARY KEY (…), REPLICA IDENTITY DEFAULT, or make the column STORED`,
  };
}
