/**
 * Incremental snapshots: tables are read again, chunk by chunk, while the stream goes on.
 *
 * After "DBLog: A Watermark Based Change-Data-Capture Framework" (Andreakis and Papapanagiotou, 2020),
 * with one difference. DBLog puts a chunk after the changes that came while it was read and takes out
 * the rows that they touched. Here the stream stands still at a boundary between transactions while a
 * chunk is read, and the chunk goes in front of all that comes after that boundary. Nothing has to be
 * taken out: a row that is newer than the boundary is overtaken by its own changes, as after an initial
 * snapshot (see snapshot.ts); a truncate, a changed key and an update that carries only some of its
 * values need no case of their own; and nothing is written into the source. What the chunk must see is
 * every transaction before the boundary, though a commit is in the log before others can see it.
 */
import { z } from "zod";
import type { Change, Coordinates, SourceIdentity } from "../change.ts";
import { unlessAborted } from "../backoff.ts";
import { ConfigError, describe } from "../errors.ts";
import type { Log } from "../observe/log.ts";
import { perTable } from "../per_table.ts";
import { hex8 } from "../position.ts";
import { tableName } from "../table_name.ts";
import type { ListedTable, Range, ReadableTable, SnapshotDatabase } from "./snapshot.ts";
import type { Key } from "./snapshot_progress.ts";
import type { ResumePoint, SnapshotState, SourceBatch } from "./source.ts";

/**
 * Between which keys rows are read, both included; undefined: no bound. Values as they stand in changes;
 * the first columns of a key may stand alone.
 */
export interface KeyRange {
  readonly from?: readonly string[] | undefined;
  readonly to?: readonly string[] | undefined;
}

/** A table that is to be read, and how far it has been. */
export interface Request {
  /** `schema.table` or `database.table`. */
  readonly table: string;
  /** Left out: all of it. */
  readonly range?: KeyRange;
  /** Key of the last row read, and the definition of the key; null: none yet. */
  readonly part: { readonly key_id: string; readonly after: Key } | null;
  readonly rows: number;
}

/** A boundary between transactions, where a chunk is put. */
export interface Boundary {
  /** `generation-major-minor-`: sorts after all that was handed on and before all that comes. */
  readonly prefix: string;
  /** Where the stream begins again. */
  readonly resume: ResumePoint;
  coordinates(row: number): Coordinates;
}

/** What incremental snapshots are made with. */
export interface IncrementalContext<Listed extends ListedTable, Table extends ReadableTable> {
  readonly source: SourceIdentity;
  /**
   * The table with a connection that sees everything before the boundary; undefined: not yet. Throws
   * UnreadableTableError; other errors, as of a connection that is refused, end the capture.
   */
  readonly open: (table: string) => Promise<SnapshotDatabase<Listed, Table> | undefined>;
  readonly batch_changes: number;
  readonly batch_bytes: number;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** A table that no later attempt can read either: its request is refused, and the capture goes on. */
export class UnreadableTableError extends ConfigError {}

/** While the stream has more to bring, chunks take this part of the time. */
const BUSY_SHARE = 1 / 5;

/** The tables of a capture that are to be read again. */
export class Incremental<Listed extends ListedTable, Table extends ReadableTable> {
  readonly #context: IncrementalContext<Listed, Table>;
  #requests: readonly Request[];
  /** Tables whose requests are kept and not followed. */
  readonly #held = new Set<string>();
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
    return this.#next !== undefined;
  }

  get #next(): Request | undefined {
    return this.#requests.find(({ table }) => !this.#held.has(table));
  }

  /** Reads the table too, or a range of it, after those that are waiting. */
  add(table: string, range?: KeyRange): void {
    this.#context.log.info("incremental_snapshot_requested", { table, ...range });
    const bounds = range === undefined ? {} : { range };
    this.#turn([...this.#requests, { table, ...bounds, part: null, rows: 0 }]);
  }

  /** Keeps the requests for a table that cannot be read yet, and goes on to others. */
  hold(table: string): void {
    this.#held.add(table);
  }

  /** Follows them after all. */
  release(table: string): void {
    this.#held.delete(table);
  }

  /** `resume` with what is still to be read. */
  with(resume: ResumePoint): ResumePoint {
    if (this.#requests.length === 0) return resume;
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
    const { now, open } = this.#context;
    const began_ms = now();
    const request = this.#next!;
    const opening = open(request.table);
    opening.catch(() => {}); // met below, or too late to matter
    let database: SnapshotDatabase<Listed, Table> | undefined;
    try {
      database = await unlessAborted(opening, signal);
    } catch (error) {
      if (!(error instanceof UnreadableTableError)) throw error;
      this.#refuse(request, error.message);
      yield { changes: [], resume: this.with(boundary.resume), whole: true };
      return true;
    }
    if (signal.aborted) void opening.then((late) => late?.close(), () => {});
    if (database === undefined || signal.aborted) return false;
    const close = () => void database.close();
    signal.addEventListener("abort", close);
    try {
      const [listed] = database.tables;
      const table = listed && await database.describe(listed);
      let snapshot: SnapshotState | undefined;
      if (table === undefined) this.#refuse(request, "it is not there");
      else if (table.schema.key.length === 0) this.#refuse(request, "it has no key");
      else snapshot = yield* this.#read(database, table, request, boundary);
      const resume = this.with(boundary.resume);
      yield { changes: [], resume, whole: true, ...snapshot && { snapshot } };
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

  #refuse(request: Request, reason: string): void {
    const { table, range } = request;
    this.#context.log.error("incremental_snapshot_refused", { table, ...range, reason });
    this.#replace(request);
  }

  /** The rest of a request's rows, and the key that ends its next chunk: undefined for the last one. */
  async #plan(
    database: SnapshotDatabase<Listed, Table>,
    table: Table,
    { part, range }: Request,
  ): Promise<{ rest: Range; end: Key | undefined }> {
    const after = part?.key_id === table.key_id ? part?.after : undefined;
    const key = async (values: readonly string[] | undefined) =>
      values === undefined ? undefined : await database.key(table, values);
    const from = after === undefined ? await key(range?.from) : undefined;
    const rest = { after, from, upto: await key(range?.to) };
    const end = table.key_id === undefined ? undefined : await database.boundary(table, rest);
    return { rest, end };
  }

  async *#read(
    database: SnapshotDatabase<Listed, Table>,
    table: Table,
    request: Request,
    boundary: Boundary,
  ): AsyncGenerator<SourceBatch, SnapshotState | undefined> {
    const { batch_changes, batch_bytes, log } = this.#context;
    let plan: { rest: Range; end: Key | undefined };
    try {
      plan = await this.#plan(database, table, request);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#refuse(request, error.message);
      return undefined;
    }
    const { rest, end } = plan;
    const reader = database.readers[0]!;
    reader.start(table, { ...rest, upto: end ?? rest.upto });
    const resume = this.with(boundary.resume);
    const { rows: estimate = 0 } = request.range === undefined ? database.tables[0]! : {};
    let rows = request.rows;
    const state = (finished: boolean): SnapshotState => ({
      rows,
      rows_estimated: Math.max(rows, estimate),
      finished,
    });
    for (let more = true; more;) {
      const changes: Change[] = [];
      const add = this.#adder(table, boundary, changes);
      more = await reader.read({ rows: batch_changes, bytes: batch_bytes }, add);
      rows += changes.length;
      if (changes.length > 0) yield { changes, resume, whole: false, snapshot: state(false) };
    }
    if (end === undefined) {
      const { table, range } = request;
      log.info("incremental_snapshot_finished", { table, ...range, rows });
      this.#replace(request);
    } else {
      const part = { key_id: table.key_id!, after: end };
      this.#replace(request, { ...request, part, rows });
    }
    return state(end === undefined);
  }

  #adder({ schema }: Table, { prefix, coordinates }: Boundary, changes: Change[]) {
    const { source, now } = this.#context;
    const ts_ms = now();
    const transaction = { id: "", ts_us: ts_ms * 1000 };
    if (prefix !== this.#prefix) [this.#prefix, this.#row] = [prefix, 0];
    return (after: NonNullable<Change["after"]>) => {
      const row = this.#row++;
      changes.push({
        op: "r",
        source,
        table: schema,
        before: null,
        after,
        position: prefix + hex8(row),
        coordinates: coordinates(row),
        transaction,
        total_order: 0,
        ts_ms,
        snapshot: "incremental",
      });
    };
  }

  #replace(request: Request, ...by: readonly Request[]): void {
    this.#turn(this.#requests.flatMap((other) => other === request ? by : [other]));
  }

  #turn(requests: readonly Request[]): void {
    this.#requests = requests;
    this.#text = undefined;
  }
}

/** The type of a signal that asks for tables to be read; the words are Debezium's, but for `ranges`. */
const EXECUTE = "execute-snapshot";

const key = z.array(z.union([z.string(), z.int()]).transform(String)).min(1);

/** The data of such a signal. */
const executeData = z.strictObject({
  "data-collections": z.array(z.string()),
  type: z.string().regex(/^incremental$/i, "only incremental snapshots can be asked for")
    .optional(),
  ranges: z.array(
    z.strictObject({ "data-collection": z.string(), from: key.optional(), to: key.optional() }),
  ).optional(),
});

const nameOf = perTable(tableName);

/**
 * Takes the rows of the signal table out of `changes` and adds the tables that they name
 * to `requests`. A signal that says something else is logged and left.
 * @param signal_table `schema.table` or `database.table`; undefined: there is none.
 */
export function takeSignals(
  changes: Change[],
  signal_table: string | undefined,
  requests: { add(table: string, range?: KeyRange): void },
  log: Log,
): Change[] {
  if (signal_table === undefined) return changes;
  const isSignal = ({ table }: Change) => nameOf(table) === signal_table;
  if (!changes.some(isSignal)) return changes;
  for (const change of changes) {
    if (!isSignal(change) || change.op !== "c") continue;
    const value = (name: string) =>
      change.after?.[change.table.columns.findIndex((column) => column.name === name)];
    const [id, type, data] = ["id", "type", "data"].map(value);
    try {
      for (const { table, range } of requestsOf(type, data)) requests.add(table, range);
    } catch (error) {
      log.error("signal_refused", { id, type, data, reason: describe(error) });
    }
  }
  return changes.filter((change) => !isSignal(change));
}

/** What a signal asks for; throws what is wrong with it. */
function requestsOf(type: unknown, data: unknown): { table: string; range?: KeyRange }[] {
  if (type !== EXECUTE) throw new ConfigError(`the type is not ${EXECUTE}`);
  const read = executeData.safeParse(JSON.parse(String(data)));
  if (!read.success) throw new ConfigError(z.prettifyError(read.error));
  const { "data-collections": tables, ranges = [] } = read.data;
  const stray = ranges.find((range) => !tables.includes(range["data-collection"]));
  if (stray !== undefined) {
    throw new ConfigError(`${stray["data-collection"]} is not among the data-collections`);
  }
  return tables.flatMap((table) => {
    const own = ranges.filter((range) => range["data-collection"] === table);
    return own.length === 0 ? [{ table }] : own.map(({ from, to }) => ({
      table,
      range: { ...from && { from }, ...to && { to } },
    }));
  });
}

/** `type` and `data` of the signal that asks for tables, or for a range of each, to be read. */
export function executeSignal(
  tables: readonly string[],
  range?: KeyRange,
): { type: string; data: string } {
  const ranges = range && tables.map((table) => ({ "data-collection": table, ...range }));
  const data = JSON.stringify({ "data-collections": tables, type: "incremental", ranges });
  return { type: EXECUTE, data };
}

/**
 * The first of `candidates` under which a row sorts after `held`, the highest position that a topic
 * had at the start; undefined: the stream must come further first. What stands between was sent by a
 * predecessor, and rows in front of it would be taken for repetitions.
 */
export function firstBehind(held: string, candidates: Iterable<string>): string | undefined {
  for (const prefix of candidates) if (prefix + hex8(0) > held) return prefix;
  return undefined;
}
