/** How changes become lines: which columns, in which order, and what stands for what. */
import type { Change, Column, Row, TableSchema, Value } from "../../change.ts";
import { ConfigError, RecordError } from "../../errors.ts";
import { base64, floatText, jsonWriter } from "../../wire/value_text.ts";
import { nearest } from "../../jobs/nearest.ts";
import type { TopicPartition } from "../../kafka/port.ts";
import { csvLine, csvQuoted, csvText } from "../../wire/csv.ts";

/** Columns about the change, by name. */
export const META = {
  __op: (change: Change) => change.op,
  __position: (change: Change) => change.position,
  __source: (change: Change) => `${change.source.connector}/${change.source.name}`,
  __table: (change: Change) =>
    [change.table.db, change.table.schema, change.table.table].filter((part) => part !== null)
      .join("."),
  __topic: (_: Change, at: TopicPartition) => at.topic,
  __partition: (_: Change, at: TopicPartition) => String(at.partition),
  __transaction: (change: Change) => change.transaction.id,
  __total_order: (change: Change) => String(change.total_order),
  __ts_us: (change: Change) => String(change.transaction.ts_us),
  __ts_ms: (change: Change) => String(change.ts_ms),
} satisfies Record<string, (change: Change, at: TopicPartition) => string>;

/** Name of a column about the change. */
export type MetaName = keyof typeof META;

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
}

/** Writes lines of one table. */
export interface LineWriter {
  /** Tells apart what must not share a file. */
  readonly layout: string;
  /** The line of column names. */
  readonly header: string;
  /** The row that came with the change; for `c`, `r` and `u`. */
  insert(change: Change): string;
  /** The row that went with the change; for `d` and `u`. */
  delete(change: Change): string;
  /** A line that says only that a truncate came; undefined where a reader could not know it for one. */
  truncate(change: Change): string | undefined;
}

/** What the `op` column of files that are not split says. */
const OP = { insert: "insert", delete: "delete", truncate: "truncate" } as const;

/**
 * The writer for `table`'s rows. Throws ConfigError when `columns` names one that the table does not
 * have, RecordError when one of the table's columns is called like one of ours.
 */
export function lineWriter(
  table: TableSchema,
  options: RowOptions,
  at: TopicPartition,
): LineWriter {
  const { split_files, meta, unavailable_value } = options;
  const indexes = columnIndexes(table, options.columns);
  const names = indexes.map((index) => table.columns[index]!.name);
  const ours = [...split_files ? [] : ["op"], ...meta];
  refuseClash(table, names, ours);

  const fields = indexes.map((index) => fieldWriter(table.columns[index]!, unavailable_value));
  const unavailable = csvText(unavailable_value);

  const head = (change: Change, op: keyof typeof OP): string => {
    let text = split_files ? "" : OP[op];
    for (const name of meta) {
      const said = META[name](change, at);
      const value = PLAIN.has(name) ? said : csvText(said);
      text = text === "" ? value : `${text},${value}`;
    }
    return text;
  };
  const line = (start: string, row: Row, other: Row | null): string => {
    let text = start;
    let separator = start === "" ? "" : ",";
    for (let i = 0; i < indexes.length; i++) {
      const index = indexes[i]!;
      let value = row[index];
      if (value === undefined && other !== null) value = other[index];
      text += separator + (value === undefined ? unavailable : fields[i]!(value));
      separator = ",";
    }
    return text + "\n";
  };

  return {
    layout: JSON.stringify([table.db, table.schema, table.table, table.id, options]),
    header: csvLine([...ours, ...names]),
    // What an update's log record leaves out has not changed, so the old row may still have it.
    insert: (change) =>
      line(head(change, "insert"), change.after!, change.op === "u" ? change.before : null),
    delete: (change) => line(head(change, "delete"), change.before ?? keyOnly(change), null),
    truncate(change) {
      if (split_files && !meta.includes("__op")) return undefined;
      return head(change, "truncate") + ",".repeat(indexes.length) + "\n";
    },
  };
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
    const near = nearest(name, names);
    throw new ConfigError(
      `sink.columns names ${JSON.stringify(name)}, which table ${table.table} does not have` +
        `${near === undefined ? "" : `; nearest is ${near}`}. It has: ${names.join(", ")}`,
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
function fieldWriter(column: Column, unavailable_value: string): (value: Value) => string {
  // Real text that reads like the marker is quoted, as empty text is: a careful reader can tell.
  const text = (value: string) => value === unavailable_value ? csvQuoted(value) : csvText(value);
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
