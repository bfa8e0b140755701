/** What information_schema says of a table now, for what the binlog does not say. */
import type { MysqlSession } from "./connection.ts";

/** A column as information_schema describes it. */
export interface CatalogColumn {
  readonly name: string;
  /** COLUMN_TYPE: `int(10) unsigned zerofill`, `enum('a','b')`. */
  readonly type: string;
  /** Computed by the server, stored or not. */
  readonly generated: boolean;
  /** Undefined where the column has no characters. */
  readonly charset: string | undefined;
}

/** A table as information_schema describes it. */
export interface CatalogTable {
  readonly columns: readonly CatalogColumn[];
  /** Names of the primary key's columns, in the key's order. */
  readonly key: readonly string[];
  /** MariaDB's tables that keep a history: the column that tells when a row ended. */
  readonly row_end?: string | undefined;
}

/** The columns that are captured: those that the server computes only where the key needs them. */
export function capturedColumns({ columns, key }: CatalogTable): CatalogColumn[] {
  return columns.filter(({ generated, name }) => !generated || key.includes(name));
}

/** Asks for tables, one at a time. */
export interface Catalog {
  /** Undefined: the table is no longer there, or may not be seen. */
  table(db: string, table: string): Promise<CatalogTable | undefined>;
}

const COLUMNS = `
  SELECT COLUMN_NAME, COLUMN_TYPE, EXTRA, CHARACTER_SET_NAME, GENERATION_EXPRESSION
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?
  ORDER BY ORDINAL_POSITION`;

const KEY = `
  SELECT COLUMN_NAME FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY'
  ORDER BY SEQ_IN_INDEX`;

const TYPE = `
  SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`;

/** Its name where the table's definition does not give it one. */
const HIDDEN_ROW_END = "row_end";

/** The catalogue behind a connection. */
export class ServerCatalog implements Catalog {
  readonly #session: Pick<MysqlSession, "query">;

  constructor(session: Pick<MysqlSession, "query">) {
    this.#session = session;
  }

  async table(db: string, table: string): Promise<CatalogTable | undefined> {
    const rows = await this.#session.query(COLUMNS, [db, table]);
    if (rows.length === 0) return undefined;
    const key = await this.#session.query(KEY, [db, table]);
    const [type] = await this.#session.query(TYPE, [db, table]);
    const isVersioned = type?.[0] === "SYSTEM VERSIONED";
    const end = rows.find(([, , , , expression]) => expression === "ROW END");
    const row_end = isVersioned ? end?.[0] ?? HIDDEN_ROW_END : undefined;
    return {
      columns: rows.map(([name, type, extra, charset]) => ({
        name: name ?? "",
        type: type ?? "",
        generated: /\b(VIRTUAL|STORED) GENERATED\b/.test(extra ?? ""),
        charset: charset ?? undefined,
      })),
      key: key.map(([name]) => name ?? "").filter((name) => name !== row_end),
      row_end,
    };
  }
}
