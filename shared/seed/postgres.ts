/** Seeds a PostgreSQL table: values are bound as arrays, one for each column. */
import { quoteIdentifier } from "../connect/postgres.ts";
import { connectPostgres, type PgClient, pgTable, pgTableName } from "../database/postgres.ts";
import type { ListRow, ListUpdate } from "./values.ts";
import type { SeedOptions } from "./options.ts";
import type { SeedWriter } from "./writer.ts";

const PAGE_ROWS = 50_000;

/** Connects a writer to the table. */
export async function openPostgresWriter(options: SeedOptions): Promise<SeedWriter> {
  const client = await connectPostgres(options.database, "list-sync seed");
  // Rows are found by key, always: statistics of a table that grows under the planner's feet
  // would otherwise bring a scan of the whole table for each statement.
  await client.query({ text: "SET enable_seqscan = off" });
  await client.query({ text: "SET enable_hashjoin = off" });
  await client.query({ text: "SET enable_mergejoin = off" });
  return new PostgresWriter(client, options);
}

class PostgresWriter implements SeedWriter {
  readonly #client: PgClient;
  readonly #options: SeedOptions;
  readonly #table: string;

  constructor(client: PgClient, options: SeedOptions) {
    this.#client = client;
    this.#options = options;
    this.#table = pgTable(options.table);
  }

  async create(): Promise<void> {
    const { table } = pgTableName(this.#options.table);
    const { rows } = await this.#query("SELECT to_regclass($1)", [this.#table]);
    if (rows[0]?.[0] != null) return;
    await this.#query(`CREATE TABLE ${this.#table} (
      id BIGSERIAL PRIMARY KEY,
      category TEXT NOT NULL,
      domain TEXT NOT NULL,
      "timestamp" TIMESTAMP(6) NOT NULL
    )`);
    await this.#query(
      `CREATE INDEX ${quoteIdentifier(`${table}_domain_idx`)} ON ${this.#table} (domain)`,
    );
    if (this.#options.replica_identity === "full") {
      await this.#query(`ALTER TABLE ${this.#table} REPLICA IDENTITY FULL`);
    }
  }

  async *ids(): AsyncIterable<number[]> {
    let last = "-9223372036854775808";
    while (true) {
      const { rows } = await this.#query(
        `SELECT id FROM ${this.#table} WHERE id > $1 ORDER BY id LIMIT ${PAGE_ROWS}`,
        [last],
      );
      if (rows.length === 0) return;
      yield rows.map((row) => Number(row[0]));
      last = rows.at(-1)![0]!;
    }
  }

  async begin(): Promise<void> {
    await this.#query("BEGIN");
  }

  async insert(rows: readonly ListRow[]): Promise<number[]> {
    const result = await this.#named(
      "insert",
      `INSERT INTO ${this.#table} (category, domain, "timestamp")
       SELECT * FROM unnest($1::text[], $2::text[], $3::timestamp[]) RETURNING id`,
      [
        rows.map((row) => row.category),
        rows.map((row) => row.domain),
        rows.map((row) => row.timestamp),
      ],
    );
    return result.rows.map((row) => Number(row[0]));
  }

  async update(rows: readonly ListUpdate[]): Promise<number> {
    const result = await this.#named(
      "update",
      `UPDATE ${this.#table} AS old SET
         category = coalesce(nullif(new.category, old.category), new.other_category),
         domain = coalesce(new.domain, old.domain),
         "timestamp" = new.moment
       FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamp[])
         AS new (id, category, other_category, domain, moment)
       WHERE old.id = new.id`,
      [
        rows.map((row) => row.id),
        rows.map((row) => row.category),
        rows.map((row) => row.other_category),
        rows.map((row) => row.domain),
        rows.map((row) => row.timestamp),
      ],
    );
    return result.rowCount ?? 0;
  }

  async delete(ids: readonly number[]): Promise<number> {
    const result = await this.#named(
      "delete",
      `DELETE FROM ${this.#table} WHERE id = ANY ($1::bigint[])`,
      [ids],
    );
    return result.rowCount ?? 0;
  }

  async commit(): Promise<void> {
    await this.#query("COMMIT");
  }

  async rollback(): Promise<void> {
    await this.#query("ROLLBACK");
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  #query(text: string, values: readonly unknown[] = []) {
    return this.#client.query({ text, values });
  }

  /** Prepared once per connection under `name`. */
  #named(name: string, text: string, values: readonly unknown[]) {
    return this.#client.query({ name, text, values });
  }
}
