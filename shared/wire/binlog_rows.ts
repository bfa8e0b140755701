/** WRITE_ROWS, UPDATE_ROWS and DELETE_ROWS: the images of changed rows. */
import type { Value } from "../change.ts";
import { placed, READ_ALL_AGAIN, RecordError } from "../errors.ts";
import { type BinlogEvent, EventType, inflateRest } from "./binlog_event.ts";
import { BinlogReader } from "./binlog_reader.ts";
import type { ValueReader } from "./mysql_column.ts";
import { applyJsonDiffs } from "./mysql_json_diff.ts";

/** The images' kind: `c` after, `u` before and after, `d` before. */
export type RowsOp = "c" | "u" | "d";

/** Which rows event is which. */
export const ROWS_EVENTS: ReadonlyMap<number, RowsOp> = new Map([
  [EventType.WRITE_ROWS_V1, "c"],
  [EventType.WRITE_ROWS, "c"],
  [EventType.UPDATE_ROWS_V1, "u"],
  [EventType.UPDATE_ROWS, "u"],
  [EventType.PARTIAL_UPDATE_ROWS, "u"],
  [EventType.DELETE_ROWS_V1, "d"],
  [EventType.DELETE_ROWS, "d"],
  [EventType.WRITE_ROWS_COMPRESSED_V1, "c"],
  [EventType.WRITE_ROWS_COMPRESSED, "c"],
  [EventType.UPDATE_ROWS_COMPRESSED_V1, "u"],
  [EventType.UPDATE_ROWS_COMPRESSED, "u"],
  [EventType.DELETE_ROWS_COMPRESSED_V1, "d"],
  [EventType.DELETE_ROWS_COMPRESSED, "d"],
]);

/** Rows events of version 2, which have room for extra data. */
const WITH_EXTRA: ReadonlySet<number> = new Set([
  EventType.WRITE_ROWS,
  EventType.UPDATE_ROWS,
  EventType.PARTIAL_UPDATE_ROWS,
  EventType.DELETE_ROWS,
  EventType.WRITE_ROWS_COMPRESSED,
  EventType.UPDATE_ROWS_COMPRESSED,
  EventType.DELETE_ROWS_COMPRESSED,
]);

/** The start of a rows event. */
export interface RowsHead {
  readonly table_id: number;
  /** The rows after an update may hold parts of JSON documents. */
  readonly partial_json: boolean;
  /** The images are compressed (MariaDB). */
  readonly compressed: boolean;
  /** The last rows event of its statement: table numbers are free again after it. */
  readonly statement_end: boolean;
}

const STATEMENT_END = 1;

/** Table number and flags; moves `event.body` to the images. */
export function readRowsHead(event: BinlogEvent): RowsHead {
  const { body } = event;
  const table_id = body.u48();
  const flags = body.u16();
  if (WITH_EXTRA.has(event.type)) {
    const extra = body.u16(); // its own two bytes included
    if (extra < 2) throw new RecordError(`A rows event has extra data of ${extra} bytes`);
    body.take(extra - 2);
  }
  const { type } = event;
  return {
    table_id,
    partial_json: type === EventType.PARTIAL_UPDATE_ROWS,
    compressed: type >= EventType.WRITE_ROWS_COMPRESSED_V1 &&
      type <= EventType.DELETE_ROWS_COMPRESSED,
    statement_end: (flags & STATEMENT_END) !== 0,
  };
}

/** Where a column's value goes in the row, and how it is read; `target` below 0: read and dropped. */
export interface RowLayout {
  readonly readers: readonly ValueReader[];
  readonly targets: readonly number[];
  /** Length of the row. */
  readonly width: number;
  /** Column names for errors. */
  readonly names: readonly string[];
  /** Indexes of the JSON columns, in order. */
  readonly json: readonly number[];
}

/** A row image; `undefined` where the log carries no value. */
export type RowImage = (Value | undefined)[];

/** Takes a row; `before_at` and `after_at` are the images' places in the event's bytes. */
export type RowVisitor = (
  before: RowImage | null,
  after: RowImage | null,
  before_at: number,
  after_at: number,
) => void;

/** What the images of a rows event are. */
export type RowsKind = { readonly op: RowsOp } & Pick<RowsHead, "partial_json" | "compressed">;

/** Calls `visit` for each row in the order of the event. Throws RecordError when it does not fit the layout. */
export function readRows(
  body: BinlogReader,
  { op, partial_json, compressed }: RowsKind,
  layout: RowLayout,
  visit: RowVisitor,
): void {
  const count = body.lenenc();
  if (count !== layout.readers.length) {
    throw new RecordError(
      `A rows event has ${count} columns where its TABLE_MAP has ${layout.readers.length}`,
    );
  }
  const first = presentColumns(body, count);
  const second = op === "u" ? presentColumns(body, count) : first;
  const images = compressed ? inflateRest(body) : body;
  while (images.left > 0) {
    const at = images.at;
    const image = readImage(images, layout, first);
    if (op === "c") visit(null, image, at, at);
    else if (op === "d") visit(image, null, at, at);
    else {
      const after_at = images.at;
      const parts = partial_json ? partsOf(images, layout, image) : undefined;
      visit(image, readImage(images, layout, second, parts), at, after_at);
    }
    if (images.at === at) throw new RecordError("A row image has no bytes");
  }
}

/** Columns of which an image holds operations on the document in the row from before. */
interface JsonParts {
  readonly columns: ReadonlySet<number>;
  readonly before: RowImage;
}

const PARTIAL_JSON = 1;

/** The start of a row after an update: which of its JSON columns are told in parts. */
function partsOf(body: BinlogReader, { json }: RowLayout, before: RowImage): JsonParts | undefined {
  const options = body.lenenc();
  if (options === 0) return undefined;
  if (options !== PARTIAL_JSON) throw new RecordError(`A row image has unknown options ${options}`);
  const bits = body.view((json.length + 7) >> 3);
  const columns = json.filter((_, i) => (bits[i >> 3]! & (1 << (i & 7))) !== 0);
  return { columns: new Set(columns), before };
}

/** Indexes of the columns that the images carry, in order. */
function presentColumns(body: BinlogReader, count: number): Uint16Array {
  const bits = body.view((count + 7) >> 3);
  const present: number[] = [];
  for (let i = 0; i < count; i++) if ((bits[i >> 3]! & (1 << (i & 7))) !== 0) present.push(i);
  return Uint16Array.from(present);
}

function readImage(
  body: BinlogReader,
  layout: RowLayout,
  present: Uint16Array,
  parts?: JsonParts,
): RowImage {
  const { readers, targets, width } = layout;
  const row: RowImage = new Array(width);
  if (present.length < readers.length) row.fill(undefined);
  const { bytes } = body;
  const nulls = body.take((present.length + 7) >> 3);
  for (let ordinal = 0; ordinal < present.length; ordinal++) {
    const i = present[ordinal]!;
    const target = targets[i]!;
    let value: Value = null;
    if ((bytes[nulls + (ordinal >> 3)]! & (1 << (ordinal & 7))) === 0) {
      try {
        value = parts?.columns.has(i)
          ? readJsonParts(body, parts.before[target])
          : readers[i]!(body);
      } catch (error) {
        throw placed(`Column ${JSON.stringify(layout.names[i])}`, error);
      }
    }
    if (target >= 0) row[target] = value;
  }
  return row;
}

/** Bytes of the length before operations on a JSON document. */
const PARTS_LENGTH_BYTES = 4;

/** `before`: the document from before the update; undefined: the row of before does not carry it. */
function readJsonParts(body: BinlogReader, before: Value | undefined): Value {
  const length = body.leUint(PARTS_LENGTH_BYTES);
  const from = body.take(length);
  if (typeof before !== "string") {
    throw new RecordError("the log holds an update of parts of a document, but not the document", {
      cure:
        "SET GLOBAL binlog_row_value_options = '' or binlog_row_image = FULL, let sessions that" +
        ` set their own reconnect, and ${READ_ALL_AGAIN}`,
    });
  }
  return applyJsonDiffs(before, new BinlogReader(body.bytes, from, from + length));
}
