/** Seeds a MySQL table: values are bound, in prepared statements. */
import type { Connection, ResultSetHeader, RowDataPacket } from "mysql2/promise";
import { connectMysql, mysqlTable } from "../database/mysql.ts";
import type { ListRow, ListUpdate } from "./values.ts";
import type { SeedOptions } from "./options.ts";
import type { SeedWriter } from "./writer.ts";

const PAGE_ROWS = 50_000;

/** Connects a writer to the table. */
export async function openMysqlWriter(options: SeedOptions): Promise<SeedWriter> {
  const connection = await connectMysql(options.database);
  // Rows of other connections are never looked at, so gaps between keys need no locks.
  await connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  const [rows] = await connection.query<RowDataPacket[][]>("SELECT @@auto_increment_increment");
  return new MysqlWriter(connection, mysqlTable(options.table), Number(rows[0]![0]));
}

class MysqlWriter implements SeedWriter {
  readonly #connection: Connection;
  readonly #table: string;
  /** Distance between the ids of one statement's rows. */
  readonly #increment: number;

  constructor(connection: Connection, table: string, increment: number) {
    this.#connection = connection;
    this.#table = table;
    this.#increment = increment;
  }

  async create(): Promise<void> {
    await this.#connection.query(`CREATE TABLE IF NOT EXISTS ${this.#table} (
      id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
      category VARCHAR(64) NOT NULL,
      domain VARCHAR(255) NOT NULL,
      \`timestamp\` DATETIME(6) NOT NULL,
      INDEX list_domain_idx (domain)
    ) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  }

  async *ids(): AsyncIterable<number[]> {
    let last = "-9223372036854775808";
    while (true) {
      const [rows]: [RowDataPacket[][], unknown] = await this.#connection.query<RowDataPacket[][]>(
        `SELECT id FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
        [last],
      );
      if (rows.length === 0) return;
      yield rows.map((row) => Number(row[0]));
      last = String(rows.at(-1)![0]);
    }
  }

  async begin(): Promise<void> {
    await this.#connection.query("START TRANSACTION");
  }

  /** An insert whose number of rows is known gets consecutive ids in every lock mode of InnoDB. */
  async insert(rows: readonly ListRow[]): Promise<number[]> {
    const result = await this.#execute(
      `INSERT INTO ${this.#table} (category, domain, \`timestamp\`) VALUES ${
        places(rows, "(?,?,?)")
      }`,
      rows.flatMap((row) => [row.category, row.domain, row.timestamp]),
    );
    return rows.map((_, index) => result.insertId + index * this.#increment);
  }

  /** The binary collation of the new texts mixes with whichever the table has. */
  async update(rows: readonly ListUpdate[]): Promise<number> {
    const result = await this.#execute(
      `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
         id BIGINT PATH '$.id',
         category VARCHAR(64) COLLATE utf8mb4_bin PATH '$.category',
         other_category VARCHAR(64) COLLATE utf8mb4_bin PATH '$.other_category',
         domain VARCHAR(255) COLLATE utf8mb4_bin PATH '$.domain',
         moment DATETIME(6) PATH '$.timestamp'
       )) AS new STRAIGHT_JOIN ${this.#table} AS old ON old.id = new.id
       SET old.category = COALESCE(NULLIF(new.category, old.category), new.other_category),
         old.domain = COALESCE(new.domain, old.domain),
         old.\`timestamp\` = new.moment`,
      [JSON.stringify(rows)],
    );
    return result.changedRows;
  }

  /**
   * Rows are found by key, always: of a small table a scan is thought cheaper, and two connections
   * that scan wait for each other's rows, which ends in a deadlock.
   */
  async delete(ids: readonly number[]): Promise<number> {
    const result = await this.#execute(
      `DELETE old FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) AS gone
       STRAIGHT_JOIN ${this.#table} AS old ON old.id = gone.id`,
      [JSON.stringify(ids)],
    );
    return result.affectedRows;
  }

  async commit(): Promise<void> {
    await this.#connection.query("COMMIT");
  }

  async rollback(): Promise<void> {
    await this.#connection.query("ROLLBACK");
  }

  close(): Promise<void> {
    return this.#connection.end();
  }

  async #execute(sql: string, values: readonly (string | number)[]): Promise<ResultSetHeader> {
    const [result] = await this.#connection.execute<ResultSetHeader>(sql, [...values]);
    return result;
  }
}

function places(items: readonly unknown[], place: string): string {
  return items.map(() => place).join(",");
}
