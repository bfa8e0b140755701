/**
 * A snapshot: the rows that are there already, as changes `r` that sort before the stream.
 *
 * The stream begins at a point S that was fixed before the first row was read, and every row is read
 * at S or later. So the topic comes to hold the table's content whenever a row was read, even where an
 * interrupted snapshot goes on with what the table holds by then:
 * - A row that nobody changes after S is the same at all times. Its key lies in exactly one chunk.
 * - A row that is inserted, updated, deleted or moved to another key after S has its last change in
 *   the stream, which has the greater position. What an update leaves out because it did not change
 *   since S is as it was read.
 * - A truncate after S stands in the stream, and so does every row that came after it.
 * - A table is described by the catalogue while its definition is locked, so that no value stands
 *   under another column's name; what the log tells of rows under older definitions comes later.
 * This needs a key by which readings of one row find each other. Tables without one are read first and
 * must be read at S itself: broken off among them, a snapshot begins again in a new generation.
 *
 * Positions: major 0, which sorts before any place in a log; minor = attempt · 2^40 + number of the
 * chunk, so that all that a later attempt reads outranks what an earlier one sent, whichever chunks
 * the rows were in then; row = index in the chunk.
 */
import type {
  Change,
  Coordinates,
  Row,
  SnapshotMark,
  SourceIdentity,
  TableSchema,
  Transaction,
} from "../change.ts";
import { ConfigError, RetryableError } from "../errors.ts";
import type { Log } from "../observe/log.ts";
import { hex16, hex8 } from "../position.ts";
import { type Key, type SnapshotProgress, withProgress } from "./snapshot_progress.ts";
import type { ResumePoint, SnapshotState, SourceBatch } from "./source.ts";

/** A table that a snapshot reads. */
export interface ListedTable {
  /** `schema.table` or `database.table`. */
  readonly name: string;
  /** Nothing identifies its rows. */
  readonly keyless: boolean;
  /** The database's estimate. */
  readonly rows: number;
}

/** A table whose definition stays as it is until the snapshot's connections are closed. */
export interface ReadableTable {
  readonly schema: TableSchema;
  /** Definition of the key by which the table is cut into chunks; undefined: it is read in one piece. */
  readonly key_id: string | undefined;
}

/**
 * Rows with `after` < key, or `from` <= key, up to key <= `upto`; undefined: no bound. Of `from` and `upto`
 * the first columns of the key may stand alone.
 */
export interface Range {
  readonly after: Key | undefined;
  readonly from?: Key | undefined;
  readonly upto: Key | undefined;
}

/** One connection that reads rows. */
export interface RangeReader<Table> {
  /** Begins to read a range; rows arrive, up to a bound of bytes, whether they are asked for or not. */
  start(table: Table, range: Range): void;
  /**
   * Hands on rows until `rows` or `bytes` of them have come; waits for the first. False: the range
   * has ended. Throws what ended the connection.
   */
  read(limits: { rows: number; bytes: number }, take: (row: Row) => void): Promise<boolean>;
}

/** The database's part in a snapshot. */
export interface SnapshotDatabase<Listed extends ListedTable, Table extends ReadableTable> {
  readonly tables: readonly Listed[];
  readonly readers: readonly RangeReader<Table>[];
  /** Locks the table's definition and reads it; undefined: the table is gone. */
  describe(table: Listed): Promise<Table | undefined>;
  /** Key of the row that ends the first chunk of a range; undefined: it is no larger than a chunk. */
  boundary(table: Table, range: Range): Promise<Key | undefined>;
  /**
   * A key, or its first columns, from values as they stand in changes. Throws ConfigError where they
   * are none of their types, or the table cannot be cut by its key.
   */
  key(table: Table, values: readonly string[]): Promise<Key>;
  /** Where in the log the snapshot stands, for the row of this number in its chunk. */
  coordinates(row: number): Coordinates;
  close(): Promise<void>;
}

/** Throws ConfigError where `values` cannot be a key of a table that is cut by so many columns. */
export function refuseUncut(
  { schema, key_id }: ReadableTable,
  values: readonly string[],
  columns: number,
): void {
  const names = schema.key.map((index) => schema.columns[index]!.name).join(", ");
  if (key_id === undefined) {
    throw new ConfigError(`the table cannot be cut by its key (${names}): read it whole`);
  }
  if (values.length > 0 && values.length <= columns) return;
  throw new ConfigError(
    `${JSON.stringify(values)} has ${values.length} values, and the key (${names}) ${columns}`,
  );
}

/** What a snapshot is made with. */
export interface SnapshotContext {
  readonly source: SourceIdentity;
  readonly generation: number;
  readonly progress: SnapshotProgress;
  /** Where the stream begins after the snapshot. */
  readonly stream: ResumePoint;
  readonly batch_changes: number;
  readonly batch_bytes: number;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** How often the log tells how far a snapshot has come. */
const TELL_INTERVAL_MS = 10_000;

const ATTEMPT_SHIFT = 40n;

/** Reads the tables that are not done yet. `batches` is called once. */
export class Snapshot<Listed extends ListedTable, Table extends ReadableTable> {
  readonly #database: SnapshotDatabase<Listed, Table>;
  readonly #context: SnapshotContext;
  #progress: SnapshotProgress;
  #resume: ResumePoint;
  #changes: Change[] = [];
  /** The row read last: whether it is the last of its table or of all is known by what follows. */
  #held: Change | undefined;
  /** The progress that holds once `#held` has been handed on. */
  #next: SnapshotProgress | undefined;
  /** Changes in `#changes` that `#resume` does not cover. */
  #uncovered = 0;
  #chunk = 0;
  #rows = 0;
  #anything: boolean;
  #told_ms: number;

  constructor(database: SnapshotDatabase<Listed, Table>, context: SnapshotContext) {
    this.#database = database;
    this.#context = context;
    this.#progress = context.progress;
    this.#resume = withProgress(context.stream, context.progress);
    this.#rows = context.progress.rows;
    this.#anything = context.progress.rows > 0;
    this.#told_ms = context.now();
  }

  /** All rows; the last batch's `resume` is where the stream begins. Closes the connections. */
  async *batches(signal: AbortSignal): AsyncGenerator<SourceBatch> {
    const { log, progress, stream, now } = this.#context;
    const tables = remaining(this.#database.tables, progress);
    const began_ms = now();
    if (signal.aborted) return await this.#database.close();
    const close = () => void this.#database.close();
    signal.addEventListener("abort", close); // a reader that waits for rows waits no longer
    try {
      log.info("snapshot_started", {
        attempt: progress.attempt,
        tables: tables.length,
        rows: progress.rows,
        rows_estimated: this.#estimated(),
      });
      for (const table of tables) {
        yield* this.#table(table, signal);
        if (signal.aborted) return;
      }
      if (this.#held !== undefined) this.#release("last");
      this.#resume = stream;
      this.#uncovered = 0;
      yield this.#batch(undefined);
      const seconds = (now() - began_ms) / 1000;
      log.info("snapshot_finished", { rows: this.#rows, seconds });
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", close);
      await this.#database.close();
    }
  }

  /** Ends the connections. */
  async close(): Promise<void> {
    await this.#database.close();
  }

  async *#table(listed: Listed, signal: AbortSignal): AsyncGenerator<SourceBatch> {
    const table = await this.#database.describe(listed);
    if (table === undefined) return;
    const isKeyless = table.schema.key.length === 0;
    if (isKeyless !== listed.keyless) {
      throw new RetryableError(`The key of table ${listed.name} changed as its snapshot began`);
    }
    const { part } = this.#progress;
    const isPart = part?.table === listed.name && part.key_id === table.key_id;
    const from = isPart ? part.after : undefined;
    const rows_before = this.#rows;
    let isFirst = from === undefined;
    for await (const { range, reader } of this.#ranges(table, from)) {
      const add = this.#adder(table.schema, () => {
        const mark = !this.#anything ? "first" : isFirst ? "first_in_data_collection" : "true";
        this.#anything = true;
        isFirst = false;
        return mark;
      });
      const { batch_changes: rows, batch_bytes: bytes } = this.#context;
      for (let more = true; more;) {
        more = await reader.read({ rows, bytes }, add);
        if (signal.aborted) return;
        if (this.#changes.length > 0) yield this.#batch(listed);
      }
      if (range.upto !== undefined) {
        this.#advance({
          part: { table: listed.name, key_id: table.key_id!, after: range.upto },
        });
      }
    }
    this.#advance(
      isKeyless
        ? { keyless: [...(this.#next ?? this.#progress).keyless, listed.name] }
        : { done: listed.name, part: null },
    );
    const { log } = this.#context;
    log.info("snapshot_table_read", { table: listed.name, rows: this.#rows - rows_before });
  }

  /**
   * The ranges of a table in order, each being read by the time it is answered: while one is handed
   * on, the other readers fill up with those after it.
   */
  async *#ranges(table: Table, from: Key | undefined) {
    const { readers } = this.#database;
    const isCut = table.key_id !== undefined;
    let planned: Promise<Range | undefined> = Promise.resolve(undefined);
    let isBegun = false;
    const launch = (reader: RangeReader<Table>) => {
      const before = planned;
      const isFirst = !isBegun;
      isBegun = true;
      planned = (async () => {
        const previous = await before;
        if (!isFirst && previous?.upto === undefined) return undefined;
        const after = isFirst ? from : previous!.upto;
        const rest = { after, upto: undefined };
        const upto = isCut ? await this.#database.boundary(table, rest) : undefined;
        reader.start(table, { after, upto });
        return { after, upto };
      })();
      planned.catch(() => {}); // thrown where it is awaited
      return planned;
    };
    const started = readers.map((reader) => ({ reader, range: launch(reader) }));
    for (let next = started.shift()!;; next = started.shift()!) {
      const { reader } = next;
      const range = await next.range;
      if (range === undefined) return;
      yield { range, reader };
      started.push({ reader, range: launch(reader) });
    }
  }

  /** Takes the rows of the next chunk. */
  #adder(schema: TableSchema, mark: () => SnapshotMark): (row: Row) => void {
    const { source, generation, progress, now } = this.#context;
    const minor = (BigInt(progress.attempt) << ATTEMPT_SHIFT) + BigInt(++this.#chunk);
    const prefix = `${hex8(generation)}-${hex16(0)}-${hex16(minor)}-`;
    const ts_ms = now();
    const transaction: Transaction = { id: "", ts_us: ts_ms * 1000 };
    let number = 0;
    return (after) => {
      if (this.#held !== undefined) this.#release();
      this.#rows++;
      this.#held = {
        op: "r",
        source,
        table: schema,
        before: null,
        after,
        position: prefix + hex8(number),
        coordinates: this.#database.coordinates(number),
        transaction,
        total_order: 0,
        ts_ms,
        snapshot: mark(),
      };
      number++;
    };
  }

  /** Hands the held row on: the next one has come, or none comes. */
  #release(mark?: SnapshotMark): void {
    const held = this.#held!;
    const endsTable = this.#next?.part === null && held.snapshot !== "first";
    const last = mark ?? (endsTable ? "last_in_data_collection" : held.snapshot!);
    this.#changes.push(last === held.snapshot ? held : { ...held, snapshot: last });
    this.#held = undefined;
    this.#uncovered++;
    if (this.#next === undefined) return;
    this.#cover(this.#next);
    this.#next = undefined;
  }

  #advance(step: Partial<SnapshotProgress>): void {
    const next = { ...this.#next ?? this.#progress, ...step, rows: this.#rows };
    if (this.#held === undefined) this.#cover(next);
    else this.#next = next;
  }

  #cover(progress: SnapshotProgress): void {
    this.#progress = progress;
    this.#resume = withProgress(this.#context.stream, progress);
    this.#uncovered = 0;
  }

  #batch(table: Listed | undefined): SourceBatch {
    const changes = this.#changes;
    this.#changes = [];
    const figures = { rows: this.#rows, rows_estimated: this.#estimated() };
    this.#tell(table, figures);
    const state: SnapshotState = { ...figures, finished: table === undefined };
    const whole = this.#uncovered === 0;
    return { changes, resume: this.#resume, whole, snapshot: state };
  }

  /** Never below what has been read: estimates are old. */
  #estimated(): number {
    return Math.max(this.#rows, this.#database.tables.reduce((sum, { rows }) => sum + rows, 0));
  }

  #tell(table: Listed | undefined, state: Omit<SnapshotState, "finished">): void {
    const { log, now } = this.#context;
    if (table === undefined || now() - this.#told_ms < TELL_INTERVAL_MS) return;
    this.#told_ms = now();
    log.info("snapshot_progress", { table: table.name, ...state });
  }
}

/** The tables that are not done yet, in the order in which they are read. */
function remaining<Listed extends ListedTable>(
  tables: readonly Listed[],
  { keyless, done }: SnapshotProgress,
): Listed[] {
  const left = tables.filter(({ name, keyless: isKeyless }) =>
    isKeyless ? !keyless.includes(name) : done === null || name > done
  );
  const byName = (a: Listed, b: Listed) => a.name < b.name ? -1 : 1;
  return [
    ...left.filter(({ keyless }) => keyless).sort(byName),
    ...left.filter(({ keyless }) => !keyless).sort(byName),
  ];
}
