/** Reads a PostgreSQL table: a cursor in one read-only snapshot. */
import { Buffer } from "node:buffer";
import { quoteIdentifier } from "../connect/postgres.ts";
import { connectPostgres, type PgClient, pgTable } from "../database/postgres.ts";
import type { DatabaseOptions } from "../database/options.ts";
import { ConfigError } from "../errors.ts";
import { base64, floatText, jsonWriter } from "../wire/value_text.ts";
import { arrayConversion, conversionOf, OID } from "../wire/postgres_value.ts";
import type { TableReader, TableShape } from "./table.ts";

/**
 * Rows of one FETCH: large enough to hide the round trip, small enough for any row width, and for their
 * texts to die among V8's young objects.
 */
const PAGE_ROWS = 2000;

/** Connects a reader of `table` (`name` or `schema.name`). */
export async function openPostgresTable(
  database: DatabaseOptions,
  table: string,
): Promise<TableReader> {
  return new PostgresTable(await connectPostgres(database, "list-sync verify"), table);
}

interface Column {
  readonly name: string;
  readonly text: (value: string) => string;
}

class PostgresTable implements TableReader {
  readonly #client: PgClient;
  readonly #table: string;
  #columns = new Map<string, Column>();

  constructor(client: PgClient, table: string) {
    this.#client = client;
    this.#table = pgTable(table);
  }

  async shape(): Promise<TableShape> {
    const columns = await this.#query(
      `SELECT attname, atttypid::bigint FROM pg_attribute
       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
       ORDER BY attnum`,
      [this.#table],
    );
    if (columns.length === 0) {
      throw new ConfigError(`Table ${this.#table} does not exist, or has no columns`, {
        cure: "correct table, or database.database",
      });
    }
    for (const [name, type] of columns) {
      this.#columns.set(name!, { name: name!, text: await this.#textOf(Number(type)) });
    }
    const key = await this.#query(
      `SELECT a.attname FROM pg_index i
       CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
       WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.place`,
      [this.#table],
    );
    return { columns: columns.map((row) => row[0]!), key: key.map((row) => row[0]!) };
  }

  async estimate(): Promise<number> {
    const rows = await this.#query(
      "SELECT n_live_tup FROM pg_stat_all_tables WHERE relid = to_regclass($1)",
      [this.#table],
    );
    return Number(rows[0]?.[0] ?? 0);
  }

  async *rows(columns: readonly string[]): AsyncIterable<(string | null)[][]> {
    const texts = columns.map((name) => this.#columns.get(name)!.text);
    const names = columns.map(quoteIdentifier).join(", ");
    await this.#query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await this.#query(`DECLARE list NO SCROLL CURSOR FOR SELECT ${names} FROM ${this.#table}`);
    const fetch = () => this.#query(`FETCH FORWARD ${PAGE_ROWS} FROM list`);
    let next = fetch();
    for (;;) {
      const page = await next;
      if (page.length === 0) break;
      next = fetch(); // the server works on it while this page is read
      next.catch(() => {}); // its error is thrown where it is awaited, if it is
      for (const row of page) {
        for (let at = 0; at < row.length; at++) {
          const value = row[at]!;
          if (value !== null) row[at] = texts[at]!(value);
        }
      }
      yield page;
    }
    await this.#query("COMMIT");
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  /** How the CSV sink writes the server's text of a type. */
  async #textOf(oid: number): Promise<(value: string) => string> {
    const base = await this.#baseOf(oid);
    const [element] = await this.#query(
      "SELECT oid::bigint, typdelim FROM pg_type WHERE typarray = $1",
      [base],
    );
    if (element === undefined) return TEXTS[base] ?? ((value) => value);
    const [of, delimiter] = element;
    const conversion = arrayConversion(conversionOf(await this.#baseOf(Number(of))), delimiter!);
    const json = jsonWriter({ name: "", type: "", ...conversion });
    return (value) => json(conversion.fromText(value));
  }

  /** The type that a domain is made of in the end; any other type is its own. */
  async #baseOf(oid: number): Promise<number> {
    const [row] = await this.#query(
      "SELECT typbasetype::bigint FROM pg_type WHERE oid = $1 AND typtype = 'd'",
      [oid],
    );
    return row === undefined ? oid : await this.#baseOf(Number(row[0]));
  }

  async #query(text: string, values: readonly unknown[] = []): Promise<(string | null)[][]> {
    return (await this.#client.query({ text, values })).rows;
  }
}

/** The types that the server writes otherwise than the files do. */
const TEXTS: Readonly<Record<number, (value: string) => string>> = {
  [OID.bool]: (value) => value === "t" ? "true" : "false",
  [OID.bytea]: (value) => base64(Buffer.from(value.slice(2), "hex")),
  [OID.float4]: (value) => floatText(Math.fround(Number(value)), "float32"),
  [OID.float8]: (value) => floatText(Number(value), "float64"),
  [OID.timestamp]: isoText,
  [OID.timestamptz]: (value) => isoText(value).replace(/\+00$/, "Z"),
};

/** ISO 8601, but for infinities and years before Christ, which keep the server's own text. */
function isoText(value: string): string {
  return value.endsWith("infinity") || value.endsWith(" BC") ? value : value.replace(" ", "T");
}
