/** The events of MySQL's and MariaDB's binary logs, but for those about rows: bytes -> plain objects. */
import { crc32, inflateRawSync, inflateSync } from "node:zlib";
import { RecordError } from "../errors.ts";
import { BinlogReader } from "./binlog_reader.ts";
import { charsetOf } from "./mysql_charset.ts";

/** Type codes, as in the servers' `Log_event_type`; from 160 on they are MariaDB's own. */
export const EventType = {
  QUERY: 2,
  STOP: 3,
  ROTATE: 4,
  INTVAR: 5,
  RAND: 13,
  USER_VAR: 14,
  FORMAT_DESCRIPTION: 15,
  XID: 16,
  BEGIN_LOAD_QUERY: 17,
  EXECUTE_LOAD_QUERY: 18,
  TABLE_MAP: 19,
  WRITE_ROWS_V1: 23,
  UPDATE_ROWS_V1: 24,
  DELETE_ROWS_V1: 25,
  INCIDENT: 26,
  HEARTBEAT: 27,
  IGNORABLE: 28,
  ROWS_QUERY: 29,
  WRITE_ROWS: 30,
  UPDATE_ROWS: 31,
  DELETE_ROWS: 32,
  GTID: 33,
  ANONYMOUS_GTID: 34,
  PREVIOUS_GTIDS: 35,
  TRANSACTION_CONTEXT: 36,
  VIEW_CHANGE: 37,
  XA_PREPARE: 38,
  PARTIAL_UPDATE_ROWS: 39,
  TRANSACTION_PAYLOAD: 40,
  HEARTBEAT_V2: 41,
  GTID_TAGGED: 42,
  ANNOTATE_ROWS: 160,
  BINLOG_CHECKPOINT: 161,
  MARIADB_GTID: 162,
  GTID_LIST: 163,
  START_ENCRYPTION: 164,
  QUERY_COMPRESSED: 165,
  WRITE_ROWS_COMPRESSED_V1: 166,
  UPDATE_ROWS_COMPRESSED_V1: 167,
  DELETE_ROWS_COMPRESSED_V1: 168,
  WRITE_ROWS_COMPRESSED: 169,
  UPDATE_ROWS_COMPRESSED: 170,
  DELETE_ROWS_COMPRESSED: 171,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(EventType).map(([name, code]) => [code, name]),
);

/** The event's name for people. */
export function eventName(type: number): string {
  return NAMES.get(type) ?? `event type ${type}`;
}

/** The server made the event up for this connection; it stands in no file. */
export const ARTIFICIAL = 0x20;
/** A reader that does not know the event may skip it. */
export const IGNORABLE_FLAG = 0x80;

const HEADER_BYTES = 19;
const CHECKSUM_BYTES = 4;

/** One event: its header's fields, and a reader at the start of its body (checksum left out). */
export interface BinlogEvent {
  readonly type: number;
  /** When the statement began, seconds since the Unix epoch. */
  readonly timestamp_s: number;
  readonly server_id: number;
  /** Length of the whole event. */
  readonly size: number;
  /** End of the event in its file, modulo 2^32; 0 where it has none. */
  readonly log_pos: number;
  readonly flags: number;
  readonly body: BinlogReader;
}

/**
 * Reads the event at `at`. `checksums`: the event ends in a CRC-32, which is verified.
 * Throws RecordError when the bytes are no whole event or its checksum is wrong.
 */
export function readEvent(
  bytes: Uint8Array,
  at: number,
  end: number,
  checksums: boolean,
): BinlogEvent {
  const reader = new BinlogReader(bytes, at, end);
  const timestamp_s = reader.u32();
  const type = reader.u8();
  const server_id = reader.u32();
  const size = reader.u32();
  const log_pos = reader.u32();
  const flags = reader.u16();
  const tail = checksums ? CHECKSUM_BYTES : 0;
  if (size < HEADER_BYTES + tail || at + size > end) {
    throw new RecordError(
      `A ${eventName(type)} event calls itself ${size} bytes long where ${end - at} are there`,
    );
  }
  const body_end = at + size - tail;
  if (checksums) verify(bytes, at, body_end, type);
  const body = new BinlogReader(bytes, at + HEADER_BYTES, body_end);
  return { type, timestamp_s, server_id, size, log_pos, flags, body };
}

function verify(bytes: Uint8Array, at: number, end: number, type: number): void {
  const found = new BinlogReader(bytes, end, end + CHECKSUM_BYTES).u32();
  const computed = crc32(bytes.subarray(at, end));
  if (found !== computed) {
    throw new RecordError(
      `The checksum of a ${eventName(type)} event is ${found.toString(16)}, computed` +
        ` ${computed.toString(16)}: the event was damaged on its way or in the file`,
      { cure: "read the file on the server with mysqlbinlog --verify-binlog-checksum" },
    );
  }
}

/** What FORMAT_DESCRIPTION tells about the events after it. */
export interface FormatDescription {
  readonly server_version: string;
  readonly checksums: boolean;
}

/** The server's version and the checksum algorithm; `bytes` is the whole event, its own checksum included. */
export function readFormatDescription(
  bytes: Uint8Array,
  at: number,
  end: number,
): FormatDescription {
  const reader = new BinlogReader(bytes, at + HEADER_BYTES, end);
  const version = reader.u16();
  const server_version = reader.utf8(50).replace(/\0.*$/, "");
  reader.take(4); // when the file was begun
  const header_bytes = reader.u8();
  if (version !== 4 || header_bytes !== HEADER_BYTES) {
    throw new RecordError(
      `The binlog has format ${version} with headers of ${header_bytes} bytes;` +
        ` only format 4 with headers of ${HEADER_BYTES} is known`,
    );
  }
  // The last five bytes are the algorithm and this event's own checksum, whichever the algorithm.
  if (reader.left < 1 + CHECKSUM_BYTES) reader.take(1 + CHECKSUM_BYTES);
  const algorithm = bytes[end - CHECKSUM_BYTES - 1]!;
  if (algorithm > 1) {
    throw new RecordError(`The binlog has checksums of unknown algorithm ${algorithm}`, {
      cure: "SET GLOBAL binlog_checksum = CRC32",
    });
  }
  return { server_version, checksums: algorithm === 1 };
}

/** Where the log goes on. */
export interface Rotation {
  readonly file: string;
  readonly offset: number;
}

/** ROTATE: the next file. */
export function readRotate(body: BinlogReader): Rotation {
  const offset = body.size64();
  return { offset, file: body.utf8(body.left) };
}

/** HEARTBEAT: where the server stands; `log_pos` is the header's, 32 bits. */
export function readHeartbeat(event: BinlogEvent): Rotation {
  return { file: event.body.utf8(event.body.left), offset: event.log_pos };
}

/** HEARTBEAT_V2: where the server stands, in 64 bits. */
export function readHeartbeatV2(body: BinlogReader): Rotation {
  let file = "";
  let offset = 0;
  while (body.left > 0) {
    const field = body.lenenc();
    if (field === 0) break; // end mark
    const length = body.lenenc();
    if (field === 1) file = body.utf8(length);
    else if (field === 2) {
      offset = new BinlogReader(body.bytes, body.take(length), body.at).lenenc();
    } else body.take(length);
  }
  return { file, offset };
}

/** A transaction's first event. */
export interface GtidEvent {
  /** `uuid` or `uuid:tag`, MariaDB: `domain-server`; undefined for an anonymous transaction. */
  readonly source: string | undefined;
  readonly number: number;
  /** When it was committed on the server where it began, microseconds since the Unix epoch. */
  readonly original_commit_us: number;
  /** When it was committed on this server. */
  readonly immediate_commit_us: number;
  /** Bytes of the transaction in the log, this event included; 0 when not told. */
  readonly transaction_length: number;
}

const LOGICAL_CLOCK = 2;
const HIGH_BIT_OF_55 = 0x80;

/** GTID and ANONYMOUS_GTID. */
export function readGtid(event: BinlogEvent): GtidEvent {
  const { body } = event;
  body.take(1); // flags
  const uuid = uuidText(body.view(16));
  const number = body.size64();
  let immediate_commit_us = event.timestamp_s * 1_000_000;
  let original_commit_us = immediate_commit_us;
  let transaction_length = 0;
  if (body.left >= 17 && body.u8() === LOGICAL_CLOCK) {
    body.take(16); // last_committed, sequence_number
    if (body.left >= 7) {
      immediate_commit_us = timestamp55(body);
      original_commit_us = (body.bytes[body.at - 1]! & HIGH_BIT_OF_55) === 0
        ? immediate_commit_us
        : timestamp55(body);
    }
    if (body.left > 0) transaction_length = body.lenenc();
  }
  return {
    source: event.type === EventType.ANONYMOUS_GTID ? undefined : uuid,
    number,
    original_commit_us,
    immediate_commit_us,
    transaction_length,
  };
}

/** A MariaDB transaction's first event; it stands for the BEGIN that MySQL writes after its own. */
export interface MariadbGtidEvent extends GtidEvent {
  /** One statement follows, and nothing that ends it. */
  readonly standalone: boolean;
  /** The rows are of an XA transaction that is prepared: its end comes later. */
  readonly xa: boolean;
}

// Flags of MARIADB_GTID, from "GTID_EVENT" in MariaDB's description of its replication protocol.
const STANDALONE = 1;
const PREPARED_XA = 64;

/** MARIADB_GTID. The server tells whole seconds only. */
export function readMariadbGtid(event: BinlogEvent): MariadbGtidEvent {
  const { body } = event;
  const number = body.size64();
  const domain = body.u32();
  const flags = body.u8();
  const commit_us = event.timestamp_s * 1_000_000;
  return {
    source: `${domain}-${event.server_id}`,
    number,
    original_commit_us: commit_us,
    immediate_commit_us: commit_us,
    transaction_length: 0,
    standalone: (flags & STANDALONE) !== 0,
    xa: (flags & PREPARED_XA) !== 0,
  };
}

/** The count's upper four bits are flags. */
const GTID_LIST_COUNT = 0x0fff_ffff;

/** GTID_LIST: the last transactions before a file, in the text form; of each domain the last entry counts. */
export function readGtidList(body: BinlogReader): string {
  let left = body.u32() & GTID_LIST_COUNT;
  const gtids: string[] = [];
  while (left-- > 0) gtids.push(`${body.u32()}-${body.u32()}-${body.size64()}`);
  return gtids.join(",");
}

const ZLIB_MARK = 0x80;

/**
 * The rest of a body as it was before MariaDB compressed it: a byte of mark and length of the length,
 * the length before compression, highest byte first, and a zlib stream. Throws RecordError when it
 * is not.
 */
export function inflateRest(body: BinlogReader): BinlogReader {
  const head = body.u8();
  const length_bytes = head & 7;
  if ((head & 0xf0) !== ZLIB_MARK || length_bytes < 1 || length_bytes > 4) {
    throw new RecordError(
      `A compressed event begins with 0x${head.toString(16)}, which is not known`,
      {
        cure: "SET GLOBAL log_bin_compress = OFF",
      },
    );
  }
  const length = body.beUint(length_bytes);
  const bytes = inflated(body.view(body.left), length, true);
  return new BinlogReader(bytes);
}

/** `packed` through zlib, or through raw deflate. Throws RecordError unless just `length` bytes come. */
export function inflated(packed: Uint8Array, length: number, wrapped: boolean): Uint8Array {
  let bytes: Uint8Array;
  try {
    const inflate = wrapped ? inflateSync : inflateRawSync;
    bytes = inflate(packed, { maxOutputLength: Math.max(1, length) });
  } catch (cause) {
    throw new RecordError(`Cannot decompress ${packed.length} bytes into ${length}`, { cause });
  }
  if (bytes.length === length) return bytes;
  throw new RecordError(`Compressed bytes hold ${bytes.length} where ${length} are announced`);
}

function timestamp55(body: BinlogReader): number {
  const low = body.u48();
  return (body.u8() & 0x7f) * 0x1_0000_0000_0000 + low;
}

/**
 * GTID_TAGGED (server 8.3 and later): one message of MySQL's serialization library, fields with
 * rising ids (`Gtid_event::define_fields` in the server's control_events.h).
 */
export function readTaggedGtid(body: BinlogReader): GtidEvent {
  const start = body.at;
  const version = body.varuint();
  if (version !== 1) throw new RecordError(`A tagged GTID has unknown serialization ${version}`);
  const end = start + body.varuint();
  if (end > body.end) body.take(end - body.at);
  body.varuint(); // last field that a reader must know
  let uuid = "", tag = "", number = 0, immediate = 0, original: number | undefined, length = 0;
  while (body.at < end) {
    const field = body.varuint();
    if (field === 1) uuid = uuidText(Uint8Array.from({ length: 16 }, () => body.varuint()));
    else if (field === 2) number = zigzag(body.varuint());
    else if (field === 3) tag = body.utf8(body.varuint());
    else if (field === 6) immediate = body.varuint();
    else if (field === 7) original = body.varuint();
    else if (field === 8) length = body.varuint();
    else body.varuint(); // flags, logical clock, versions, commit group: single integers
  }
  if (uuid === "" || number < 1) throw new RecordError("A tagged GTID has no UUID or no number");
  return {
    source: tag === "" ? uuid : `${uuid}:${tag}`,
    number,
    original_commit_us: original ?? immediate,
    immediate_commit_us: immediate,
    transaction_length: length,
  };
}

function zigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** 16 bytes as the servers write a UUID. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A statement in the log. */
export interface QueryEvent {
  /** The default database; empty: none. */
  readonly database: string;
  readonly text: string;
}

/** QUERY and QUERY_COMPRESSED, whose text alone is compressed. */
export function readQuery(
  { type, flags, body }: Pick<BinlogEvent, "type" | "flags" | "body">,
): QueryEvent {
  body.take(8); // thread id, execution time
  const database_bytes = body.u8();
  body.take(2); // error code
  const status = body.view(body.u16());
  const database = body.utf8(database_bytes);
  body.take(1); // terminating zero
  const text = type === EventType.QUERY_COMPRESSED ? inflateRest(body) : body;
  const ascii = text.ascii(text.left);
  if (ascii !== undefined) return { database, text: ascii };
  const bytes = text.view(text.left);
  const isServers = (flags & SUPPRESS_USE) !== 0;
  return { database, text: isServers ? lossyText(bytes) : clientText(bytes, status) };
}

/**
 * LOG_EVENT_SUPPRESS_USE_F: the server made the statement itself, in UTF-8 whatever the client's character
 * set, as when it finds a MEMORY table empty after a restart.
 */
const SUPPRESS_USE = 0x8;

/** Text in the client's character set; as UTF-8 with U+FFFD where that cannot be read. */
function clientText(bytes: Uint8Array, status: Uint8Array): string {
  const collation = clientCollation(new BinlogReader(status));
  if (collation === undefined) return lossyText(bytes);
  try {
    return charsetOf(collation).read(new BinlogReader(bytes), bytes.length);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return lossyText(bytes);
  }
}

/** `character_set_client` of a statement, by its status variables: before it come but 0, 1, 6 and 3. */
function clientCollation(status: BinlogReader): number | undefined {
  while (status.left > 0) {
    switch (status.u8()) {
      case 0: // flags
      case 3: // auto_increment_increment and auto_increment_offset
        status.take(4);
        break;
      case 1: // sql_mode
        status.take(8);
        break;
      case 4:
        return status.u16();
      case 6: // catalogue
        status.take(status.u8());
        break;
      default:
        return undefined;
    }
  }
  return undefined;
}

function lossyText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** INCIDENT: the server knows that the log misses something. */
export function readIncident(body: BinlogReader): string {
  const number = body.u16();
  return `incident ${number}: ${lossyText(body.view(Math.min(body.left, body.u8())))}`;
}

/** A compressed transaction. */
export interface TransactionPayload {
  readonly compression: "zstd" | "none";
  /** Bytes of the events before compression. */
  readonly uncompressed_size: number;
  readonly payload: Uint8Array;
}

/** TRANSACTION_PAYLOAD: the envelope of a compressed transaction. */
export function readTransactionPayload(body: BinlogReader): TransactionPayload {
  let size = 0;
  let compression = 255;
  let uncompressed_size = 0;
  while (body.left > 0) {
    const field = body.lenenc();
    if (field === 0) break; // end mark
    const end = body.lenenc() + body.at;
    if (field === 1) size = body.lenenc();
    else if (field === 2) compression = body.lenenc();
    else if (field === 3) uncompressed_size = body.lenenc();
    else body.take(end - body.at);
    if (body.at !== end) throw new RecordError("A field of TRANSACTION_PAYLOAD has a wrong length");
  }
  if (compression !== 0 && compression !== 255) {
    throw new RecordError(`TRANSACTION_PAYLOAD has unknown compression ${compression}`, {
      cure: "SET GLOBAL binlog_transaction_compression = OFF",
    });
  }
  return {
    compression: compression === 0 ? "zstd" : "none",
    uncompressed_size,
    payload: body.view(size === 0 ? body.left : size),
  };
}
