/** How changes become lines: which columns, in which order, and what stands for what. */
import type { Change, Column, Row, TableSchema, Value } from "../../change.ts";
import { ConfigError, RecordError } from "../../errors.ts";
import { base64, floatText, jsonWriter } from "../../wire/value_text.ts";
import { nearestHint } from "../../jobs/nearest.ts";
import type { TopicPartition } from "../../kafka/port.ts";
import { nameParts } from "../../table_name.ts";
import type { ByteArena } from "../../wire/byte_arena.ts";
import { csvLine, csvLiteral, csvQuoted, csvText, guardFormula } from "../../wire/csv.ts";
import type { MetaName } from "./options.ts";

/** What the columns about the change say. */
const META: Readonly<Record<MetaName, (change: Change, at: TopicPartition) => string>> = {
  __op: (change: Change) => change.op,
  __position: (change: Change) => change.position,
  __source: (change: Change) => `${change.source.connector}/${change.source.name}`,
  __table: (change: Change) => nameParts(change.table).join("."),
  __topic: (_: Change, at: TopicPartition) => at.topic,
  __partition: (_: Change, at: TopicPartition) => String(at.partition),
  __transaction: (change: Change) => change.transaction.id,
  __total_order: (change: Change) => String(change.total_order),
  __ts_us: (change: Change) => String(change.transaction.ts_us),
  __ts_ms: (change: Change) => String(change.ts_ms),
};

/** Those whose values are digits and letters: they are never quoted, so nobody looks. */
const PLAIN: ReadonlySet<MetaName> = new Set<MetaName>([
  "__op",
  "__position",
  "__partition",
  "__total_order",
  "__ts_us",
  "__ts_ms",
]);

/** Which columns a file has. */
export interface RowOptions {
  readonly split_files: boolean;
  readonly columns?: readonly string[] | undefined;
  readonly meta: readonly MetaName[];
  readonly unavailable_value: string;
  readonly escape_formulas: boolean;
}

/** Writes lines of one table. */
export interface LineWriter {
  /** Tells apart what must not share a file. */
  readonly layout: string;
  /** The line of column names. */
  readonly header: string;
  /** Writes the row that came with the change; for `c`, `r` and `u`. */
  insert(change: Change, out: ByteArena): void;
  /** Writes the row that went with the change; for `d` and `u`. */
  delete(change: Change, out: ByteArena): void;
  /** Whether a line can say that a truncate came: a reader could not know others for one. */
  readonly tells_truncate: boolean;
  /** Writes that line. */
  truncate(change: Change, out: ByteArena): void;
}

const LF = 10;
const QUOTE = 34;
const COMMA = 44;
const SMALL_N = 110;

/** What the `op` column of files that are not split says. */
const OP = { insert: "insert", delete: "delete", truncate: "truncate" } as const;

/**
 * Throws ConfigError when `columns` names one that the table does not have, RecordError when one of
 * the table's columns is called like one of ours.
 */
export function refuseTable(table: TableSchema, options: RowOptions): void {
  const names = columnIndexes(table, options.columns).map((index) => table.columns[index]!.name);
  refuseClash(table, names, ownColumns(options));
}

function ownColumns({ split_files, meta }: RowOptions): string[] {
  return [...split_files ? [] : ["op"], ...meta];
}

/** The writer for the rows of a table that `refuseTable` has let pass. */
export function lineWriter(
  table: TableSchema,
  options: RowOptions,
  at: TopicPartition,
): LineWriter {
  const { split_files, meta, escape_formulas } = options;
  const indexes = columnIndexes(table, options.columns);
  const names = indexes.map((index) => table.columns[index]!.name);
  const ours = ownColumns(options);

  const head = headWriter(options, at);
  const row = rowWriter(table, indexes, ours.length > 0, options);
  const cells = cellsWriter(indexes, ours.length > 0, options.unavailable_value);
  /** The text of a row that may be written as it came. */
  const textOf = (change: Change) => escape_formulas ? undefined : change.text;

  return {
    layout: JSON.stringify([table.db, table.schema, table.table, table.id, options]),
    header: csvLine([...ours, ...escape_formulas ? names.map(guardFormula) : names]),
    insert(change, out) {
      head(change, "insert", out);
      // What an update's log record leaves out has not changed, so the old row may still have it.
      const isUpdate = change.op === "u";
      const text = textOf(change);
      if (text === undefined) row(change.after!, isUpdate ? change.before : null, out);
      else cells(text.bytes, text.after!, isUpdate ? text.before : null, out);
    },
    delete(change, out) {
      head(change, "delete", out);
      const text = textOf(change);
      if (text?.before == null) row(change.before ?? keyOnly(change), null, out);
      else cells(text.bytes, text.before, null, out);
    },
    tells_truncate: !split_files || meta.includes("__op"),
    truncate(change, out) {
      head(change, "truncate", out);
      out.text(",".repeat(indexes.length) + "\n");
    },
  };
}

/** Writes the columns about the change. */
function headWriter({ split_files, meta, escape_formulas }: RowOptions, at: TopicPartition) {
  const guard = escape_formulas ? guardFormula : (text: string) => text;
  const fields = meta.map((name) => {
    const say = META[name];
    return PLAIN.has(name) ? say : (change: Change) => csvText(guard(say(change, at)));
  });
  return (change: Change, op: keyof typeof OP, out: ByteArena): void => {
    if (!split_files) out.text(OP[op]);
    for (let i = 0; i < fields.length; i++) {
      if (i > 0 || !split_files) out.byte(COMMA);
      out.text(fields[i]!(change, at));
    }
  };
}

/** Writes a row of values; what it lacks is taken from `other`. */
function rowWriter(
  table: TableSchema,
  indexes: readonly number[],
  isBehindOthers: boolean,
  options: RowOptions,
) {
  const fields = indexes.map((index) => fieldWriter(table.columns[index]!, options));
  const unavailable = csvText(options.unavailable_value);
  return (row: Row, other: Row | null, out: ByteArena): void => {
    for (let i = 0; i < indexes.length; i++) {
      if (i > 0 || isBehindOthers) out.byte(COMMA);
      const index = indexes[i]!;
      const value = row[index] === undefined ? other?.[index] : row[index];
      out.text(value === undefined ? unavailable : fields[i]!(value));
    }
    out.byte(LF);
  };
}

/** The same for a row that came as text: writes the line that `rowWriter` makes of its values. */
function cellsWriter(
  indexes: readonly number[],
  isBehindOthers: boolean,
  unavailable_value: string,
) {
  const unavailable = csvText(unavailable_value);
  const marker = new TextEncoder().encode(JSON.stringify(unavailable_value));
  type Cells = readonly number[];
  return (bytes: Uint8Array, cells: Cells, other: Cells | null, out: ByteArena): void => {
    for (let i = 0; i < indexes.length; i++) {
      if (i > 0 || isBehindOthers) out.byte(COMMA);
      const index = 2 * indexes[i]!;
      const from = cells[index]! < 0 && other !== null ? other : cells;
      const start = from[index]!;
      const end = from[index + 1]!;
      if (start < 0) out.text(unavailable);
      else if (bytes[start] === QUOTE) {
        if (isAt(bytes, start, end, marker)) out.span(bytes, start, end);
        else csvLiteral(bytes, start, end, out);
      } else if (bytes[start] !== SMALL_N) out.span(bytes, start, end); // null is nothing
    }
    out.byte(LF);
  };
}

function isAt(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  return end - start === text.length && text.every((byte, index) => bytes[start + index] === byte);
}

/** The key of a row whose old values the log does not carry: it is unchanged, else two changes came. */
function keyOnly({ after, table }: Change): Row {
  const row: (Value | undefined)[] = table.columns.map(() => undefined);
  if (after !== null) { for (const index of table.key) row[index] = after[index]; }
  return row;
}

function columnIndexes(table: TableSchema, wanted: readonly string[] | undefined): number[] {
  if (wanted === undefined) return table.columns.map((_, index) => index);
  const names = table.columns.map((column) => column.name);
  return wanted.map((name) => {
    const index = names.indexOf(name);
    if (index !== -1) return index;
    throw new ConfigError(
      `sink.columns names ${JSON.stringify(name)}, which table ${table.table} does not have` +
        `${nearestHint(name, names)}. It has: ${names.join(", ")}`,
      { cure: "name columns that the table has, or leave `columns` out to write all" },
    );
  });
}

function refuseClash(table: TableSchema, names: readonly string[], ours: readonly string[]): void {
  const clash = names.find((name) => ours.includes(name));
  if (clash === undefined) return;
  throw new RecordError(
    `Table ${table.table} has a column ${clash}, and so has every line that list-sync writes`,
    {
      cure: clash === "op"
        ? "set `split_files: true`, which needs no `op` column, or leave the column out by `columns`"
        : `leave ${clash} out of \`meta\`, or the column out by \`columns\``,
    },
  );
}

/** Writes one column's value as a field, null included. */
function fieldWriter(
  column: Column,
  { unavailable_value, escape_formulas }: RowOptions,
): (value: Value) => string {
  // Real text that reads like the marker is quoted, as empty text is: a careful reader can tell.
  const plain = (value: string) => value === unavailable_value ? csvQuoted(value) : csvText(value);
  const text = escape_formulas ? (value: string) => plain(guardFormula(value)) : plain;
  switch (column.kind) {
    case "integer":
    case "boolean":
      return (value) => value === null ? "" : String(value);
    case "float32":
    case "float64": {
      const { kind } = column;
      return (value) => value === null ? "" : floatText(value as number, kind);
    }
    case "string":
      return (value) => value === null ? "" : text(value as string);
    case "bytes":
      return (value) => value === null ? "" : text(base64(value as Uint8Array));
    case "array": {
      const json = jsonWriter(column);
      return (value) => value === null ? "" : text(json(value));
    }
  }
}
