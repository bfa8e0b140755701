/** Reads a MySQL table: one statement, streamed, so that all rows are of one moment. */
import type { Buffer } from "node:buffer";
import type { Connection as CoreConnection, TypeCastField } from "mysql2";
import type { Connection, RowDataPacket } from "mysql2/promise";
import { quoteIdentifier } from "../connect/mysql.ts";
import { connectMysql, mysqlTable, mysqlTableName } from "../database/mysql.ts";
import type { DatabaseOptions } from "../database/options.ts";
import { ConfigError } from "../errors.ts";
import { capturedColumns, ServerCatalog } from "../sources/mysql/catalog.ts";
import { BinlogReader } from "../wire/binlog_reader.ts";
import { readVector } from "../wire/mysql_vector.ts";
import { base64, floatText, jsonWriter } from "../wire/value_text.ts";
import type { TableOptions, TableReader, TableShape } from "./table.ts";

/** Rows handed on at a time: few enough for their texts to die among V8's young objects. */
const PAGE_ROWS = 2000;
/** Rows that the client library reads ahead of us. */
const AHEAD_ROWS = 1000;

/** Connects a reader of `table` (`name` or `database.name`). */
export async function openMysqlTable(
  database: DatabaseOptions,
  table: string,
  options: TableOptions,
): Promise<TableReader> {
  const connection = await connectMysql(database);
  // A mode may change values' text (PAD_CHAR_TO_FULL_LENGTH).
  await connection.query("SET SESSION sql_mode = ''");
  return new MysqlTable(connection, table, database.database, options);
}

/** How a column is asked for, and how the answer becomes text. */
interface Reading {
  readonly expression: string;
  readonly text: (field: TypeCastField) => string | null;
}

class MysqlTable implements TableReader {
  readonly #connection: Connection;
  readonly #table: string;
  readonly #name: readonly [db: string, table: string];
  readonly #options: TableOptions;
  readonly #readings = new Map<string, Reading>();

  constructor(connection: Connection, table: string, database: string, options: TableOptions) {
    const name = mysqlTableName(table, database);
    this.#connection = connection;
    this.#table = mysqlTable(table);
    this.#name = [name.db, name.table];
    this.#options = options;
  }

  async shape(): Promise<TableShape> {
    const query = (sql: string) => this.#query(sql);
    const found = await new ServerCatalog({ query }).table(...this.#name);
    if (found === undefined) {
      throw new ConfigError(`Table ${this.#table} does not exist, or this user may not read it`, {
        cure: `correct table and database.database, or: GRANT SELECT ON ${this.#table} TO ...;`,
      });
    }
    const columns = capturedColumns(found);
    for (const { name, type } of columns) {
      const reading = readingOf(name, type, this.#options);
      this.#readings.set(name, type.endsWith(" zerofill") ? withoutZeros(reading) : reading);
    }
    return { columns: columns.map(({ name }) => name), key: found.key };
  }

  async estimate(): Promise<number> {
    const [row] = await this.#query(
      "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
    );
    return Number(row?.[0] ?? 0);
  }

  async *rows(columns: readonly string[]): AsyncIterable<(string | null)[][]> {
    const readings = columns.map((name) => this.#readings.get(name)!);
    // Named by their place, which is all that the library tells of a field's column.
    const selected = readings.map(({ expression }, at) => `${expression} AS c${at}`).join(", ");
    const core = (this.#connection as unknown as { connection: CoreConnection }).connection;
    const stream = core.query({
      sql: `SELECT ${selected} FROM ${this.#table}`,
      rowsAsArray: true,
      typeCast: (field: TypeCastField) => readings[Number(field.name.slice(1))]!.text(field),
    }).stream({ highWaterMark: AHEAD_ROWS });
    let page: (string | null)[][] = [];
    for await (const row of stream as AsyncIterable<(string | null)[]>) {
      page.push(row);
      if (page.length < PAGE_ROWS) continue;
      yield page;
      page = [];
    }
    yield page;
  }

  close(): Promise<void> {
    return this.#connection.end();
  }

  /** Cells of a query whose parameters are the table's database and name. */
  async #query(sql: string): Promise<(string | null)[][]> {
    const [rows] = await this.#connection.query<RowDataPacket[][]>(sql, [...this.#name]);
    return rows as unknown as (string | null)[][];
  }
}

/** How values of a column of COLUMN_TYPE `type` get the text that the CSV sink writes. */
function readingOf(name: string, type: string, { tinyint1_as_boolean }: TableOptions): Reading {
  const column = quoteIdentifier(name);
  const read = (text: (value: string) => string): Reading["text"] => (field) => {
    const value = field.string();
    return value === null ? null : text(value);
  };
  if (tinyint1_as_boolean && type === "tinyint(1)") {
    return { expression: column, text: read((value) => BOOLEANS[value] ?? value) };
  }
  const [, base, size] = /^(\w+)(?:\((\d+)\))?/.exec(type) ?? [];
  switch (base) {
    case "datetime":
      return { expression: column, text: read(isoText) };
    case "timestamp":
      return { expression: column, text: read((value) => zoned(isoText(value))) };
    case "float":
      // As FLOAT the server rounds the text to six digits.
      return {
        expression: `CAST(${column} AS DOUBLE)`,
        text: read((value) => floatText(Math.fround(Number(value)), "float32")),
      };
    case "double":
      return { expression: column, text: read((value) => floatText(Number(value), "float64")) };
    case "bit":
      return {
        expression: `BIN(${column} + 0)`,
        text: read((value) => value.padStart(Number(size), "0")),
      };
    case "binary":
    case "varbinary":
    case "tinyblob":
    case "blob":
    case "mediumblob":
    case "longblob":
    case "geometry":
    case "point":
    case "linestring":
    case "polygon":
    case "multipoint":
    case "multilinestring":
    case "multipolygon":
    case "geomcollection":
    case "geometrycollection":
      return { expression: column, text: (field) => bytesText(field.buffer()) };
    case "vector":
      return { expression: column, text: (field) => vectorText(field.buffer()) };
    case "json":
      // The server calls these bytes binary, which the library takes for latin1.
      return { expression: column, text: (field) => field.buffer()?.toString("utf8") ?? null };
    default:
      return { expression: column, text: (field) => field.string() };
  }
}

/** The capture stops at any other number: it stays what it is, and differs from whatever files hold. */
const BOOLEANS: Readonly<Record<string, string>> = { 0: "false", 1: "true" };

function bytesText(value: Buffer | null): string | null {
  return value === null ? null : base64(value);
}

const vectorJson = jsonWriter({ name: "", type: "", kind: "array", element: "float32" });

function vectorText(value: Buffer | null): string | null {
  return value && vectorJson(readVector(new BinlogReader(value), value.length));
}

/** Neither the log nor files have the zeros that ZEROFILL shows. */
function withoutZeros({ expression, text }: Reading): Reading {
  return { expression, text: (field) => text(field)?.replace(/^0+(?=\d)/, "") ?? null };
}

/** ISO 8601; a date with a zero month or day has none and keeps the server's own text. */
function isoText(value: string): string {
  return /^\d+-00-|^\d+-\d+-00/.test(value) ? value : value.replace(" ", "T");
}

function zoned(value: string): string {
  return value.includes("T") ? `${value}Z` : value;
}
