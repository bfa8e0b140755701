/**
 * Incremental snapshots: tables are read again, chunk by chunk, while the stream goes on.
 *
 * After "DBLog: A Watermark Based Change-Data-Capture Framework" (Andreakis and Papapanagiotou, 2020),
 * with one difference. DBLog puts a chunk behind the changes that came while it was read and takes out
 * the rows that they touched. Here the stream stands still at a boundary between transactions while a
 * chunk is read, and the chunk goes in front of all that comes behind that boundary. Nothing has to be
 * taken out: a row that is newer than the boundary is overtaken by its own changes, as behind an initial
 * snapshot (see snapshot.ts); a truncate, a changed key and an update that carries only some of its
 * values need no case of their own; and nothing is written into the source. What the chunk must see is
 * every transaction before the boundary, though a commit is in the log before others can see it.
 */
import type { Change, Coordinates, SourceIdentity } from "../change.ts";
import type { Log } from "../observe/log.ts";
import { hex8 } from "../position.ts";
import type { ListedTable, ReadableTable, SnapshotDatabase } from "./snapshot.ts";
import type { Key } from "./snapshot_progress.ts";
import type { ResumePoint, SourceBatch } from "./source.ts";

/** A table that is to be read, and how far it has been. */
export interface Request {
  /** `schema.table` or `database.table`. */
  readonly table: string;
  /** Key of the last row read, and the definition of the key; null: none yet. */
  readonly part: { readonly key_id: string; readonly after: Key } | null;
  readonly rows: number;
}

/** A boundary between transactions, where a chunk is put. */
export interface Boundary {
  /** `generation-major-minor-`: sorts behind all that was handed on and before all that comes. */
  readonly prefix: string;
  /** Where the stream begins again. */
  readonly resume: ResumePoint;
  coordinates(row: number): Coordinates;
}

/** What incremental snapshots are made with. */
export interface IncrementalContext<Listed extends ListedTable, Table extends ReadableTable> {
  readonly source: SourceIdentity;
  /** The table with a connection that sees everything before the boundary; undefined: not yet. */
  readonly open: (table: string) => Promise<SnapshotDatabase<Listed, Table> | undefined>;
  readonly batch_changes: number;
  readonly batch_bytes: number;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** While the stream has more to bring, chunks take this part of the time. */
const BUSY_SHARE = 1 / 5;

/** The tables of a capture that are to be read again. */
export class Incremental<Listed extends ListedTable, Table extends ReadableTable> {
  readonly #context: IncrementalContext<Listed, Table>;
  #requests: readonly Request[];
  #text: string | undefined;
  /** Rows put at the boundary `#prefix`: chunks may share one. */
  #prefix = "";
  #row = 0;
  #chunk_ended_ms = -Infinity;
  #chunk_took_ms = 0;

  /** `resume`: the stored position, with the requests that were not finished. */
  constructor(resume: ResumePoint | undefined, context: IncrementalContext<Listed, Table>) {
    this.#context = context;
    const text = resume?.["incremental"];
    this.#requests = text === undefined ? [] : JSON.parse(String(text)) as Request[];
  }

  /** Whether a table is to be read. */
  get active(): boolean {
    return this.#requests.length > 0;
  }

  /** Reads the table too, behind those that are waiting. */
  add(table: string): void {
    this.#context.log.info("incremental_snapshot_requested", { table });
    this.#turn([...this.#requests, { table, part: null, rows: 0 }]);
  }

  /** Does not read the table after all. */
  drop(table: string): void {
    this.#turn(this.#requests.filter((request) => request.table !== table));
  }

  /** `resume` with what is still to be read. */
  with(resume: ResumePoint): ResumePoint {
    if (!this.active) return resume;
    this.#text ??= JSON.stringify(this.#requests);
    return { ...resume, incremental: this.#text };
  }

  /** Whether it is time for a chunk. `busy`: the stream has more to bring. */
  due(busy: boolean): boolean {
    if (!this.active) return false;
    const rest_ms = this.#chunk_took_ms * (1 / BUSY_SHARE - 1);
    return !busy || this.#context.now() - this.#chunk_ended_ms >= rest_ms;
  }

  /** The next chunk at a boundary, in batches; answers false while the database does not show enough yet. */
  async *chunk(
    boundary: Boundary,
    signal: AbortSignal,
  ): AsyncGenerator<SourceBatch, boolean> {
    const { log, now, open } = this.#context;
    const began_ms = now();
    const request = this.#requests[0]!;
    const database = await open(request.table);
    if (database === undefined) return false;
    const close = () => void database.close();
    signal.addEventListener("abort", close);
    try {
      const [listed] = database.tables;
      const table = listed && await database.describe(listed);
      if (table === undefined || table.schema.key.length === 0) {
        const reason = table === undefined ? "it is not there" : "it has no key";
        log.error("incremental_snapshot_refused", { table: request.table, reason });
        this.#turn(this.#requests.slice(1));
      } else yield* this.#read(database, table, request, boundary);
      yield { changes: [], resume: this.with(boundary.resume), whole: true };
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", close);
      await database.close();
      this.#chunk_ended_ms = now();
      this.#chunk_took_ms = now() - began_ms;
    }
    return true;
  }

  async *#read(
    database: SnapshotDatabase<Listed, Table>,
    table: Table,
    request: Request,
    boundary: Boundary,
  ): AsyncGenerator<SourceBatch> {
    const { batch_changes, batch_bytes, log } = this.#context;
    const { part } = request;
    const after = part?.key_id === table.key_id ? part?.after : undefined;
    const upto = table.key_id === undefined ? undefined : await database.boundary(table, after);
    const reader = database.readers[0]!;
    reader.start(table, { after, upto });
    const resume = this.with(boundary.resume);
    let rows = request.rows;
    for (let more = true; more;) {
      const changes: Change[] = [];
      const add = this.#adder(table, boundary, changes);
      more = await reader.read({ rows: batch_changes, bytes: batch_bytes }, add);
      rows += changes.length;
      if (changes.length > 0) yield { changes, resume, whole: false };
    }
    const rest = this.#requests.slice(1);
    if (upto === undefined) {
      log.info("incremental_snapshot_finished", { table: request.table, rows });
      this.#turn(rest);
    } else {
      const part = { key_id: table.key_id!, after: upto };
      this.#turn([{ table: request.table, part, rows }, ...rest]);
    }
  }

  #adder({ schema }: Table, { prefix, coordinates }: Boundary, changes: Change[]) {
    const { source, now } = this.#context;
    const ts_ms = now();
    const transaction = { id: "", ts_us: ts_ms * 1000 };
    if (prefix !== this.#prefix) [this.#prefix, this.#row] = [prefix, 0];
    return (after: NonNullable<Change["after"]>) => {
      const row = this.#row++;
      changes.push({
        ...{ op: "r", source, table: schema, before: null, after },
        ...{ position: prefix + hex8(row), coordinates: coordinates(row), transaction },
        ...{ total_order: 0, ts_ms, snapshot: "incremental" },
      });
    };
  }

  #turn(requests: readonly Request[]): void {
    this.#requests = requests;
    this.#text = undefined;
  }
}

/** The type of a signal that asks for tables to be read; the word is Debezium's. */
const EXECUTE = "execute-snapshot";

/**
 * Takes the rows of the signal table out of `changes` and calls `request` with the tables that they
 * name. A signal that says something else is logged and left.
 */
export function takeSignals(
  changes: Change[],
  isSignal: (change: Change) => boolean,
  request: (table: string) => void,
  log: Log,
): Change[] {
  if (!changes.some(isSignal)) return changes;
  for (const change of changes) {
    if (!isSignal(change) || change.op !== "c") continue;
    const value = (name: string) =>
      change.after?.[change.table.columns.findIndex((column) => column.name === name)];
    const [id, type, data] = ["id", "type", "data"].map(value);
    const tables = tablesOf(type, data);
    if (tables === undefined) log.error("signal_refused", { id, type, data });
    else for (const table of tables) request(table);
  }
  return changes.filter((change) => !isSignal(change));
}

/** The tables that a signal names; undefined: it is none that is known. */
function tablesOf(type: unknown, data: unknown): string[] | undefined {
  if (type !== EXECUTE || typeof data !== "string") return undefined;
  try {
    const tables = (JSON.parse(data) as Record<string, unknown> | null)?.["data-collections"];
    const isList = Array.isArray(tables) && tables.every((name) => typeof name === "string");
    return isList ? tables as string[] : undefined;
  } catch {
    return undefined;
  }
}

/** `type` and `data` of the signal that asks for tables to be read. */
export function executeSignal(tables: readonly string[]): { type: string; data: string } {
  const data = JSON.stringify({ "data-collections": tables, type: "incremental" });
  return { type: EXECUTE, data };
}

/**
 * The first of `candidates` under which a row sorts behind `held`, the highest position that a topic
 * had at the start; undefined: the stream must come further first. What stands between was sent by a
 * predecessor, and rows in front of it would be taken for repetitions.
 */
export function firstBehind(held: string, candidates: Iterable<string>): string | undefined {
  for (const prefix of candidates) if (prefix + hex8(0) > held) return prefix;
  return undefined;
}
