/**
 * Tables that appear while a capture runs and that its publication does not cover yet.
 *
 * From the moment at which a table joins the publication the stream brings its changes; what was
 * written before must be read. In this order, so that nothing is missed wherever it is broken off:
 * the request to read the table is stored, the table joins, the transactions that were under way then
 * come to their end, and the table is read at a boundary of the stream.
 */
import { ConfigError, describe } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import type { Request } from "../incremental.ts";
import type { ResumePoint } from "../source.ts";
import { describeTables, type TableName } from "./catalog.ts";
import type { Session } from "./connection.ts";
import { objectNames, type PostgresOptions } from "./options.ts";
import {
  ensurePublication,
  NotYetError,
  requirePublication,
  uncovered,
  wantedTables,
} from "./slot.ts";
import { currentSnapshot, type StreamedTransactions } from "./visibility.ts";

/** What joining works with. */
export interface JoiningContext {
  readonly session: Session;
  readonly options: PostgresOptions;
  /** The job's name. */
  readonly name: string;
  readonly streamed: StreamedTransactions;
  readonly log: Log;
  /** The tables that are read while the stream goes on. */
  readonly requests: {
    add(table: string): void;
    hold(table: string): void;
    release(table: string): void;
  };
}

/** The tables that are about to join. */
export class JoiningTables {
  readonly #context: JoiningContext;
  readonly #publication: string;
  /** Tables that were requested, and have not joined. */
  readonly #waiting = new Set<string>();
  /** The stored requests, as the position holds them. */
  #stored: string;
  /** Why tables could not join, as it was told. */
  readonly #refused = new Map<string, string>();
  #isNew = false;

  /** `resume`: the stored position. */
  constructor(resume: ResumePoint | undefined, context: JoiningContext) {
    this.#context = context;
    this.#publication = objectNames(context.options, context.name).publication;
    this.#stored = String(resume?.["incremental"] ?? "");
  }

  /** Whether tables were requested since the last call: the position is to be stored anew. */
  takeNews(): boolean {
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  /** The position is stored, with the requests in it. */
  stored(resume: ResumePoint): void {
    this.#stored = String(resume["incremental"] ?? "");
  }

  /** Reads a table, unless it has still to join: then answers undefined. */
  async joined<T>(table: string, read: () => Promise<T>): Promise<T | undefined> {
    if (this.#waiting.has(table) && this.#isStored(table)) await this.look();
    return this.#waiting.has(table) ? undefined : await read();
  }

  /** Looks for new tables, and lets those join whose request is stored. */
  async look(): Promise<void> {
    const { session, options } = this.#context;
    const wanted = await wantedTables(session, options);
    const found = await requirePublication(session, this.#publication, wanted, options);
    const missing = uncovered(found, wanted);
    await this.#release(missing.map(nameOf));
    if (missing.length === 0) return;
    const described = await describeTables(session, missing.map(({ oid }) => oid));
    const keyed = new Set(
      described.filter(({ primary_key, replica_identity }) =>
        primary_key.length > 0 && replica_identity !== "n" || replica_identity === "i"
      ).map(({ oid }) => oid),
    );
    for (const table of missing) {
      const isRead = keyed.has(table.oid) && options.snapshot !== "never";
      if (!isRead || this.#request(nameOf(table))) await this.#join(table, isRead);
    }
  }

  /** Those that wait and are no longer missing were dropped, or joined by another hand. */
  async #release(missing: readonly string[]): Promise<void> {
    const gone = [...this.#waiting].filter((name) => !missing.includes(name));
    if (gone.length === 0) return;
    this.#context.streamed.expect(await currentSnapshot(this.#context.session));
    for (const name of gone) this.#settle(name);
  }

  /** Nothing keeps the table from being read any more. */
  #settle(name: string): void {
    this.#refused.delete(name);
    this.#waiting.delete(name);
    this.#context.requests.release(name);
  }

  /** Whether reading all of the table is stored as a request. */
  #isStored(name: string): boolean {
    if (!this.#stored.includes(JSON.stringify(name))) return false;
    const requests = JSON.parse(this.#stored) as Request[];
    return requests.some(({ table, range }) => table === name && range === undefined);
  }

  /** Requests that the table be read; answers whether that is stored. */
  #request(name: string): boolean {
    if (!this.#waiting.has(name) && !this.#isStored(name)) {
      this.#isNew = true;
      this.#context.requests.add(name);
    }
    this.#waiting.add(name);
    return this.#isStored(name);
  }

  async #join(table: TableName, isRead: boolean): Promise<void> {
    const { session, streamed, options, log, requests } = this.#context;
    const name = nameOf(table);
    try {
      await ensurePublication(session, this.#publication, [table], log);
    } catch (error) {
      const isPassing = error instanceof NotYetError;
      if (!isPassing && !(error instanceof ConfigError)) throw error;
      requests.hold(name);
      const reason = describe(error);
      if (this.#refused.get(name) === reason) return;
      this.#refused.set(name, reason);
      log[isPassing ? "warn" : "error"]("table_not_captured", { table: name, error: reason });
      return;
    }
    streamed.expect(await currentSnapshot(session));
    this.#settle(name);
    if (isRead || options.snapshot === "never") return;
    log.warn("rows_not_read", {
      table: name,
      reason:
        "it has no key: rows from before it joined the publication cannot be told from later ones",
    });
  }
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
