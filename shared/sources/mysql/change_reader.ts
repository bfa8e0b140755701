/** Binlog events -> changes: keeps the transaction, the tables and the place in the log. */
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { crc32, createZstdDecompress } from "node:zlib";
import type { Change, Row, SourceIdentity, TableSchema, Transaction, Value } from "../../change.ts";
import {
  ConfigError,
  HistoryLostError,
  placed,
  READ_ALL_AGAIN,
  RecordError,
} from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import { hex16, hex8 } from "../../position.ts";
import {
  ARTIFICIAL,
  type BinlogEvent,
  eventName,
  EventType,
  type GtidEvent,
  IGNORABLE_FLAG,
  readEvent,
  readFormatDescription,
  readGtid,
  readGtidList,
  readHeartbeat,
  readHeartbeatV2,
  readIncident,
  readMariadbGtid,
  readQuery,
  readRotate,
  readTaggedGtid,
  readTransactionPayload,
  type Rotation,
} from "../../wire/binlog_event.ts";
import {
  readRows,
  readRowsHead,
  type RowImage,
  ROWS_EVENTS,
  type RowsOp,
  type RowVisitor,
} from "../../wire/binlog_rows.ts";
import { readTableId, readTableMap, readTableName } from "../../wire/binlog_table_map.ts";
import { GtidPosition } from "../../wire/mariadb_gtid.ts";
import { readStatement, type TableName } from "../../wire/mysql_statement.ts";
import type { DroppedTable, ResumePoint } from "../source.ts";
import type { Catalog } from "./catalog.ts";
import { defineTable, type Definition, isSequence, schemaOfCatalog } from "./definition.ts";
import type { RawEvent } from "./dump.ts";
import type { Gtids } from "./flavour.ts";
import { changeOfNow } from "./row_history.ts";
import type { TableSelection } from "./tables.ts";

/** What the reader is made with. */
export interface ChangeReaderOptions {
  readonly identity: SourceIdentity;
  readonly generation: number;
  readonly selection: TableSelection;
  readonly catalog: Catalog;
  readonly start: { readonly gtid_set: Gtids; readonly file: string; readonly offset: number };
  /** What stands in a resume point for the server itself. */
  readonly server: ResumePoint;
  /** Names are stored in lower case: `lower_case_table_names = 1`. */
  readonly lower_case: boolean;
  readonly table_cache: number;
  readonly tinyint1_as_boolean: boolean;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** A table number of the log: its definition's bytes, and the definition when it is captured. */
interface MappedTable {
  readonly bytes: Buffer;
  readonly definition: Definition | undefined;
}

interface OpenTransaction {
  readonly shared: Transaction;
  /** As the GTID has it; undefined: the transaction is anonymous. */
  readonly source: string | undefined;
  readonly number: number;
  /** BEGIN has been seen: rows and an end follow. */
  begun: boolean;
  xa: boolean;
  order: number;
}

/** Where the events being read stand; inner events of a compressed transaction share one place. */
interface Place {
  /** `generation-major-minor-`. */
  prefix: string;
  file: string;
  pos: number;
  /** Inside a compressed transaction: what turns an index of the event's bytes into one of the payload. */
  payload_base: number | undefined;
}

const TWO_TO_32 = 0x1_0000_0000;

/** So much of a statement is told. */
const SHOWN_CHARACTERS = 300;

/** The last event of a statement may name no table; it has no rows. */
const NO_TABLE = 0xff_ffff;

/** Number of a binlog file: `binlog.000003` -> 3. Throws RecordError when the name has none. */
export function fileNumber(file: string): number {
  const digits = /\.(\d+)$/.exec(file)?.[1];
  if (digits === undefined) {
    throw new RecordError(
      `The binlog file ${
        JSON.stringify(file)
      } does not end in a dot and a number, as binlog.000003 does`,
    );
  }
  return Number(digits);
}

/** Reads events in order; `changes` and `resume` are what has come of them. */
export class ChangeReader {
  /** Changes since they were last taken. */
  changes: Change[] = [];
  /** Tables that were dropped since then. */
  dropped: DroppedTable[] = [];

  readonly #options: ChangeReaderOptions;
  #gtids: Gtids;
  readonly #tables = new Map<number, MappedTable>();
  readonly #definitions = new Map<string, Definition>();
  readonly #schemas = new Map<string, TableSchema>();
  readonly #place: Place = { prefix: "", file: "", pos: 0, payload_base: undefined };
  #checksums: boolean | undefined;
  /** Start of the transaction that is being read, or the end of the last one: never inside. */
  #resume_file: string;
  #resume_offset: number;
  #resume: ResumePoint | undefined;
  #transaction: OpenTransaction | undefined;

  constructor(options: ChangeReaderOptions) {
    this.#options = options;
    this.#gtids = options.start.gtid_set.copy();
    this.#resume_file = options.start.file;
    this.#resume_offset = options.start.offset;
    this.#moveTo(options.start.file, options.start.offset);
  }

  /** What has come since the last call. */
  take(): { changes: Change[]; dropped: DroppedTable[] } {
    const { changes, dropped } = this;
    [this.changes, this.dropped] = [[], []];
    return { changes, dropped };
  }

  /** Where to start again once all changes so far are acknowledged. The same object while it has not moved. */
  get resume(): ResumePoint {
    return this.#resume ??= {
      gtid_set: this.#gtids.toString(),
      file: this.#resume_file,
      offset: this.#resume_offset,
      ...this.#options.server,
    };
  }

  /** Whether a transaction has begun and not yet ended. */
  get open(): boolean {
    return this.#transaction !== undefined;
  }

  /** Whether everything before `offset` of `file` has been read, to a transaction's end. */
  reached(file: string, offset: number): boolean {
    if (this.#transaction !== undefined) return false;
    const number = fileNumber(this.#resume_file) - fileNumber(file);
    return number > 0 || (number === 0 && this.#resume_offset >= offset);
  }

  /** The transactions that have been read. */
  get gtids(): Gtids {
    return this.#gtids;
  }

  /** Whether the event is a compressed transaction: then `payload` reads it, else `read`. */
  isPayload(raw: RawEvent): boolean {
    return raw.bytes[raw.at + 4] === EventType.TRANSACTION_PAYLOAD;
  }

  /** Reads one event. A promise only when information_schema has to be asked. */
  read(raw: RawEvent): void | Promise<void> {
    const event = this.#open(raw);
    this.#advance(event);
    return this.#handle(event);
  }

  /** Reads a compressed transaction, inner event by inner event: pull the next when `changes` has room. */
  async *payload(raw: RawEvent): AsyncGenerator<void> {
    const outer = this.#open(raw);
    this.#advance(outer);
    const place = this.#place;
    const { compression, payload } = readTransactionPayload(outer.body);
    const source = Readable.from([Buffer.from(payload)]);
    const chunks = compression === "zstd" ? source.pipe(createZstdDecompress()) : source;
    let base = 0;
    try {
      for await (const bytes of wholeEvents(chunks as AsyncIterable<Buffer>)) {
        place.payload_base = base;
        await this.#handle(readEvent(bytes, 0, bytes.length, false));
        base += bytes.length;
        yield;
      }
    } finally {
      place.payload_base = undefined;
    }
  }

  /** Header and body; checksums are as the file's format description said. */
  #open(raw: RawEvent): BinlogEvent {
    const { bytes, at, end } = raw;
    if (bytes[at + 4] === EventType.FORMAT_DESCRIPTION) {
      this.#checksums = readFormatDescription(bytes, at, end).checksums;
      return readEvent(bytes, at, end, this.#checksums);
    }
    return readEvent(bytes, at, end, this.#checksums ?? endsInChecksum(bytes, at, end));
  }

  #moveTo(file: string, offset: number): void {
    this.#place.file = file;
    this.#setPosition(offset);
  }

  #setPosition(pos: number): void {
    const place = this.#place;
    place.pos = pos;
    const major = fileNumber(place.file);
    place.prefix = `${hex8(this.#options.generation)}-${hex16(major)}-${hex16(pos)}-`;
  }

  /** Follows the header's end position, which is cut to 32 bits, in 64. */
  #advance(event: BinlogEvent): void {
    const { log_pos, flags, type } = event;
    if (log_pos === 0 || (flags & ARTIFICIAL) !== 0 || isHeartbeat(type)) return;
    const expected = this.#place.pos + event.size;
    // After a jump (the server left out transactions that we have) the next place with these low bits.
    const pos = expected % TWO_TO_32 === log_pos
      ? expected
      : nextWithLowBits(this.#place.pos, log_pos);
    this.#setPosition(pos);
  }

  #handle(event: BinlogEvent): void | Promise<void> {
    const op = ROWS_EVENTS.get(event.type);
    if (op !== undefined) return this.#rows(event, op);
    switch (event.type) {
      case EventType.TABLE_MAP:
        return this.#tableMap(event);
      case EventType.GTID:
      case EventType.ANONYMOUS_GTID:
        return this.#begin(readGtid(event));
      case EventType.GTID_TAGGED:
        return this.#begin(readTaggedGtid(event.body));
      case EventType.MARIADB_GTID: {
        const { standalone, xa, ...gtid } = readMariadbGtid(event);
        return this.#begin(gtid, { begun: !standalone, xa });
      }
      case EventType.QUERY:
      case EventType.QUERY_COMPRESSED:
        return this.#query(event);
      case EventType.XID:
        return this.#commit();
      case EventType.XA_PREPARE:
        return this.#commit(); // its rows, had there been any of ours, have stopped us already
      case EventType.ROTATE:
        return this.#rotate(readRotate(event.body));
      case EventType.HEARTBEAT:
        return this.#heartbeat(readHeartbeat(event));
      case EventType.HEARTBEAT_V2:
        return this.#heartbeat(readHeartbeatV2(event.body));
      case EventType.FORMAT_DESCRIPTION:
      case EventType.PREVIOUS_GTIDS:
      case EventType.STOP:
      case EventType.BINLOG_CHECKPOINT:
      case EventType.START_ENCRYPTION: // the server itself decrypts what stands after it
        if (this.#transaction === undefined) this.#moved();
        return;
      case EventType.GTID_LIST:
        return this.#gtidList(event);
      case EventType.ANNOTATE_ROWS:
      case EventType.ROWS_QUERY:
      case EventType.IGNORABLE:
      case EventType.INTVAR: // these three come before a statement, which will be seen
      case EventType.RAND:
      case EventType.USER_VAR:
      case EventType.VIEW_CHANGE:
      case EventType.TRANSACTION_CONTEXT:
        return;
      default:
        return this.#unknown(event);
    }
  }

  get #isMariadb(): boolean {
    return this.#options.identity.connector === "mariadb";
  }

  #where(): string {
    return `${this.#place.file}:${this.#place.pos}`;
  }

  #unknown(event: BinlogEvent): void {
    const name = eventName(event.type);
    switch (event.type) {
      case EventType.BEGIN_LOAD_QUERY:
      case EventType.EXECUTE_LOAD_QUERY:
        throw this.#statementLogged("LOAD DATA");
      case EventType.INCIDENT:
        throw new HistoryLostError(
          `${this.#where()}: the server says that changes are missing from its binlog:` +
            ` ${readIncident(event.body)}`,
          { cure: READ_ALL_AGAIN },
        );
    }
    if ((event.flags & IGNORABLE_FLAG) !== 0) return;
    throw new RecordError(
      `${this.#where()}: ${name} is not known, and skipping it may lose changes`,
      { cure: "use a list-sync that supports this server's version" },
    );
  }

  #begin(gtid: GtidEvent, { begun, xa } = { begun: false, xa: false }): void {
    if (this.#transaction !== undefined) this.#cutOff(this.#transaction);
    const { source, number, original_commit_us } = gtid;
    const id = source === undefined ? this.#where() : this.#gtids.name(source, number);
    const shared = { id, ts_us: original_commit_us };
    this.#transaction = { shared, source, number, begun, xa, order: 0 };
  }

  /** A transaction that the server cut off (it crashed) ends where the next one begins. */
  #cutOff({ shared, order }: OpenTransaction): void {
    if (order === 0) return this.#commit();
    throw new HistoryLostError(
      `${this.#where()}: the binlog ends in transaction ${shared.id} and goes on with another: it was` +
        " never committed, and what has come of it was sent",
      { cure: READ_ALL_AGAIN },
    );
  }

  /** As each file of MariaDB's begins: the transactions before it, without domains that were given up. */
  #gtidList(event: BinlogEvent): void {
    if (this.#transaction !== undefined || (event.flags & ARTIFICIAL) !== 0) return;
    this.#gtids = GtidPosition.parse(readGtidList(event.body));
    this.#moved();
  }

  #commit(): void {
    const transaction = this.#transaction;
    this.#transaction = undefined;
    if (transaction?.source !== undefined) this.#gtids.add(transaction.source, transaction.number);
    this.#moved();
  }

  /** The resume point follows, but never back: by GTID the server begins at the start of a file. */
  #moved(): void {
    this.#resume = undefined;
    const { file, pos } = this.#place;
    if (file === this.#resume_file && pos < this.#resume_offset) return;
    if (fileNumber(file) < fileNumber(this.#resume_file)) return;
    this.#resume_file = file;
    this.#resume_offset = pos;
  }

  #rotate({ file, offset }: Rotation): void {
    this.#moveTo(file, offset);
    if (this.#transaction === undefined) this.#moved();
  }

  #heartbeat({ file, offset }: Rotation): void {
    const place = this.#place;
    if (this.#transaction !== undefined || file !== place.file || offset <= place.pos) return;
    this.#setPosition(offset);
    this.#moved();
  }

  #query(event: BinlogEvent): void | Promise<void> {
    const { database, text } = readQuery(event);
    const statement = readStatement(text, database, this.#isMariadb);
    const transaction = this.#transaction;
    switch (statement.kind) {
      case "begin":
      case "create_with_rows":
        if (transaction) transaction.begun = true;
        return;
      case "xa_start":
        if (transaction) transaction.begun = transaction.xa = true;
        return;
      case "inside":
        return;
      case "end":
        return this.#commit();
      case "dml":
        throw this.#statementLogged(statement.verb);
      case "truncate":
        return this.#truncate(statement.db, statement.table);
      case "unreadable_truncate":
        throw this.#truncateRefused(text.slice(0, SHOWN_CHARACTERS));
      case "drop":
        this.#drop(statement.tables, text.slice(0, SHOWN_CHARACTERS));
        this.#ddl(database, text);
        return;
      case "ddl":
        if (statement.table) {
          this.#ddl(database, text);
          this.#forget();
        }
        this.#endStatement();
    }
  }

  /** The rows that follow may belong to another definition, though their TABLE_MAP has the same bytes. */
  #forget(): void {
    this.#tables.clear();
    this.#definitions.clear();
  }

  #ddl(database: string, text: string): void {
    const statement = text.slice(0, SHOWN_CHARACTERS);
    this.#options.log.info("ddl", { database, statement, at: this.#where() });
  }

  #drop(tables: readonly TableName[], statement: string): void {
    const { selection, lower_case, now } = this.#options;
    const { ts_us } = this.#transaction!.shared;
    for (const [row, { db, table }] of tables.entries()) {
      const name = lower_case
        ? { db: db.toLowerCase(), table: table.toLowerCase() }
        : { db, table };
      if (!selection.has(name.db, name.table)) continue;
      this.#schemas.delete(`${name.db}\0${name.table}`);
      this.#forget();
      const position = this.#place.prefix + hex8(row);
      this.dropped.push({ ...name, schema: null, position, ts_us, ts_ms: now(), statement });
    }
    this.#endStatement();
  }

  /** A statement outside BEGIN is a transaction of its own. */
  #endStatement(): void {
    if (this.#transaction?.begun !== true) this.#commit();
  }

  #statementLogged(verb: string): ConfigError {
    return new ConfigError(
      `${this.#where()}: the binlog holds a statement (${verb}) instead of the rows that it changed`,
      {
        cure: "SET GLOBAL binlog_format = ROW, let sessions that set their own reconnect, and" +
          ` ${READ_ALL_AGAIN}.` +
          " MariaDB logs every statement so that changes a" +
          " table with a history by transactions (GENERATED ALWAYS AS ROW START of type BIGINT): give" +
          " that TIMESTAMP(6)",
      },
    );
  }

  async #truncate(db: string, table: string): Promise<void> {
    const { selection, catalog, lower_case, tinyint1_as_boolean } = this.#options;
    if (lower_case) [db, table] = [db.toLowerCase(), table.toLowerCase()];
    if (selection.has(db, table)) {
      const name = `${db}\0${table}`;
      const schema = this.#schemas.get(name) ??
        schemaOfCatalog(db, table, await catalog.table(db, table), tinyint1_as_boolean);
      this.#emit("t", schema, null, null, 0, this.#options.now());
    }
    this.#endStatement();
  }

  #truncateRefused(statement: string): RecordError {
    return new RecordError(
      `${this.#where()}: it cannot be told which table this empties: ${JSON.stringify(statement)}`,
      {
        cure:
          `write TRUNCATE TABLE and the name alone, in a session with SET NAMES utf8mb4; and ${READ_ALL_AGAIN}`,
      },
    );
  }

  #tableMap(event: BinlogEvent): void | Promise<void> {
    const { body } = event;
    const id = readTableId(event);
    const start = body.at;
    const bytes = Buffer.from(body.bytes.buffer, body.bytes.byteOffset + start, body.end - start);
    const before = this.#tables.get(id);
    if (before?.bytes.equals(bytes)) return this.#remember(id, before);
    const { db, table } = readTableName(body);
    if (!this.#options.selection.has(db, table)) {
      return this.#remember(id, { bytes: Buffer.from(bytes), definition: undefined });
    }
    const text = bytes.toString("latin1");
    const known = this.#definitions.get(text);
    if (known !== undefined) {
      return this.#remember(id, { bytes: Buffer.from(bytes), definition: known });
    }
    body.at = start;
    return this.#define(id, event, Buffer.from(bytes), text);
  }

  async #define(id: number, event: BinlogEvent, bytes: Buffer, text: string): Promise<void> {
    const { catalog, tinyint1_as_boolean, table_cache, log } = this.#options;
    const map = readTableMap(event.body, this.#isMariadb);
    const now = await catalog.table(map.db, map.table);
    const definition = defineTable(map, now, tinyint1_as_boolean);
    if (isSequence(definition.schema)) return this.#remember(id, { bytes, definition: undefined });
    if (this.#definitions.size >= table_cache) {
      this.#definitions.clear();
      this.#schemas.clear();
    }
    const { schema } = definition;
    const told = this.#schemas.get(`${map.db}\0${map.table}`);
    this.#definitions.set(text, definition);
    this.#remember(id, { bytes, definition });
    if (told?.id === schema.id) return;
    log.info("table_definition", { table: `${map.db}.${map.table}`, schema_id: schema.id });
  }

  /** The table longest unused makes room: never one of the statement being read. */
  #remember(id: number, table: MappedTable): void {
    this.#tables.delete(id);
    this.#tables.set(id, table);
    if (this.#tables.size > this.#options.table_cache) {
      this.#tables.delete(this.#tables.keys().next().value!);
    }
    if (table.definition === undefined) return;
    const { schema } = table.definition;
    if (this.#schemas.size >= this.#options.table_cache) this.#schemas.clear();
    this.#schemas.set(`${schema.db}\0${schema.table}`, schema);
  }

  #rows(event: BinlogEvent, op: RowsOp): void {
    const { table_id, partial_json, compressed } = readRowsHead(event);
    const table = this.#tables.get(table_id);
    if (table_id === NO_TABLE) return;
    if (table === undefined) {
      throw new RecordError(`${this.#where()}: rows of table number ${table_id} without TABLE_MAP`);
    }
    const { definition } = table;
    if (definition === undefined) return;
    const transaction = this.#transaction;
    if (transaction === undefined) {
      throw new RecordError(`${this.#where()}: rows outside a transaction`);
    }
    if (transaction.xa) throw this.#xaRefused(definition.schema);
    const { schema, layout, versioned } = definition;
    const now_ms = this.#options.now();
    const base = this.#place.payload_base;
    let row = 0;
    // Inside a compressed transaction an image's place in the payload tells it apart: that holds
    // whichever tables are captured.
    const number = (at: number) => base === undefined ? row++ : base + at;
    const take = (
      op: RowsOp,
      before: RowImage | null,
      after: RowImage | null,
      before_at: number,
      after_at: number,
    ) => {
      if (op === "u" && keyChanged(schema.key, before!, after!)) {
        complete(schema, before!, after!);
        this.#emit("d", schema, before, null, number(before_at), now_ms);
        this.#emit("c", schema, null, after, number(after_at), now_ms);
      } else this.#emit(op, schema, before, after, number(after_at), now_ms);
    };
    const visit: RowVisitor = versioned
      ? (before, after, before_at, after_at) => {
        const now = changeOfNow(before, after);
        if (now !== undefined) take(now.op, now.before, now.after, before_at, after_at);
      }
      : (before, after, before_at, after_at) => take(op, before, after, before_at, after_at);
    try {
      readRows(event.body, { op, partial_json, compressed }, layout, visit);
    } catch (error) {
      throw placed(`${this.#where()}, table ${schema.db}.${schema.table}`, error);
    }
  }

  #xaRefused(schema: TableSchema): ConfigError {
    return new ConfigError(
      `${this.#where()}: an XA transaction changes table ${schema.db}.${schema.table}; the binlog` +
        ` holds its rows before it is known whether it commits`,
      {
        cure:
          `write captured tables in ordinary transactions; once this one is over, ${READ_ALL_AGAIN}`,
      },
    );
  }

  #emit(
    op: Change["op"],
    table: TableSchema,
    before: Row | null,
    after: Row | null,
    row: number,
    ts_ms: number,
  ): void {
    if (row >= TWO_TO_32) {
      throw new RecordError(`${this.#where()}: a compressed transaction exceeds 4 GiB`, {
        cure: "SET GLOBAL binlog_transaction_compression = OFF, or write smaller transactions",
      });
    }
    const { prefix, file, pos } = this.#place;
    const transaction = this.#transaction!;
    this.changes.push({
      op,
      source: this.#options.identity,
      table,
      before,
      after,
      position: prefix + hex8(row),
      coordinates: {
        gtid: transaction.source === undefined ? null : transaction.shared.id,
        file,
        pos,
        row,
      },
      transaction: transaction.shared,
      total_order: ++transaction.order,
      ts_ms,
    });
  }
}

function isHeartbeat(type: number): boolean {
  return type === EventType.HEARTBEAT || type === EventType.HEARTBEAT_V2;
}

/** The smallest position from `pos` on whose low 32 bits are `low`. */
function nextWithLowBits(pos: number, low: number): number {
  const candidate = Math.floor(pos / TWO_TO_32) * TWO_TO_32 + low;
  return candidate >= pos ? candidate : candidate + TWO_TO_32;
}

/** Before the first format description only the bytes themselves tell whether they end in a CRC-32. */
function endsInChecksum(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < 23) return false;
  const tail = new DataView(bytes.buffer, bytes.byteOffset + end - 4, 4).getUint32(0, true);
  return crc32(bytes.subarray(at, end - 4)) === tail;
}

/**
 * Whether an update moved the row to another key; without a key the whole row is the key. Key columns
 * that the image after leaves out (partial row images) did not change: they are filled from the image
 * before.
 */
function keyChanged(key: readonly number[], before: RowImage, after: RowImage): boolean {
  let changed = false;
  for (const i of key.length === 0 ? before.keys() : key) {
    if (after[i] === undefined) after[i] = before[i];
    else if (!sameValue(before[i], after[i])) changed = true;
  }
  return changed;
}

function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.from(a).equals(b);
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, at) => Object.is(item, b[at]));
  }
  return Object.is(a, b);
}

/**
 * Fills what the image after leaves out from the image before: under a new key the row is another one,
 * of which readers know nothing. Throws RecordError where neither image has a value.
 */
function complete({ columns }: TableSchema, before: RowImage, after: RowImage): void {
  const missing: string[] = [];
  for (const [i, { name }] of columns.entries()) {
    if (after[i] === undefined) after[i] = before[i];
    if (after[i] === undefined) missing.push(name);
  }
  if (missing.length === 0) return;
  throw new RecordError(
    `a row got another key, and the log leaves out its values of ${missing.join(", ")}`,
    {
      cure:
        `SET GLOBAL binlog_row_image = FULL, let sessions that set their own reconnect, and ${READ_ALL_AGAIN}`,
    },
  );
}

/** Cuts a stream of bytes into events: each begins with its header, length at byte 9. */
async function* wholeEvents(chunks: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
  let parts: Buffer[] = [];
  let held = 0;
  let wanted = 13;
  try {
    for await (const chunk of chunks) {
      parts.push(chunk);
      held += chunk.length;
      if (held < wanted) continue;
      let bytes = parts.length === 1 ? chunk : Buffer.concat(parts);
      wanted = 13;
      while (bytes.length >= 13) {
        const size = bytes.readUInt32LE(9);
        if (size < 19) {
          throw new RecordError(`An event in a compressed transaction has ${size} bytes`);
        }
        if (bytes.length < size) {
          wanted = size;
          break;
        }
        yield bytes.subarray(0, size);
        bytes = bytes.subarray(size);
      }
      parts = bytes.length > 0 ? [bytes] : [];
      held = bytes.length;
    }
  } catch (cause) {
    if (cause instanceof RecordError || !isZlib(cause)) throw cause;
    throw new RecordError("A compressed transaction cannot be decompressed", { cause });
  }
  if (held > 0) throw new RecordError(`A compressed transaction ends ${held} bytes into an event`);
}

function isZlib(error: unknown): boolean {
  return /^(Z_|ZSTD|ERR_(Z|BUFFER))/.test(String((error as { code?: unknown } | null)?.code));
}
