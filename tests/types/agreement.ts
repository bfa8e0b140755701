/** Whether captured changes are those that the server told of, in memory and in every format. */
import assert from "node:assert/strict";
import { type Change, type Column, plainChange, type Row } from "../../shared/change.ts";
import { format as json } from "../../shared/formats/json.ts";
import { format as protobuf } from "../../shared/formats/protobuf.ts";
import { lineWriter } from "../../shared/sinks/csv/rows.ts";
import type { TableReader } from "../../shared/verify/table.ts";
import { ByteArena } from "../../shared/wire/byte_arena.ts";
import type { CsvField } from "../../shared/wire/csv.ts";
import { readCsv } from "../../shared/wire/csv_reader.ts";
import { encoded } from "../encoded.ts";
import type { ExpectedChange, Forms, RandomTable } from "./random_table.ts";
import { formOf, formOfJson, parseLiterally, type TypeCase } from "./type_case.ts";

/** What was compared. */
export class Count {
  changes = 0;
  values = 0;
  /** Values that the log left out because they had not changed. */
  absent = 0;
  /** Types of columns of which a value that is not null was compared. */
  readonly types = new Set<string>();

  /** Throws where a type had no value. */
  refuseMissing(types: readonly TypeCase[]): void {
    const missing = types.filter(({ type }) => !this.types.has(type)).map(({ type }) => type);
    assert.deepStrictEqual(missing, [], "types of which no value was compared");
  }

  toString(): string {
    return `${this.changes} changes with ${this.values} values of ${this.types.size} types`;
  }
}

/** Throws where the changes of a table, captured `by` a way, are not the expected ones in their order. */
export function compareStream(
  table: RandomTable,
  changes: readonly Change[],
  by: string,
  count: Count,
): void {
  const place = `${table.qualified} by ${by}`;
  const ops = (list: readonly { readonly op: string }[]) => list.map(({ op }) => op).join("");
  assert.equal(ops(changes), ops(table.expected), `kinds of changes of ${place}`);
  const isWhole = table.identity === "full";
  for (const [at, change] of changes.entries()) {
    const expected = table.expected[at]!;
    const told = `${place}, change ${at + 1} of ${excerpt(expected.sql)}`;
    compareDefinition(table, change, place);
    const old = change.op === "u" && !isWhole ? null : expected.before;
    const carried = (at: number) => isWhole || table.key.includes(at);
    compareRow(table, change, change.before, old, carried, `${told}: before`, count);
    const kept = (at: number) => !isWhole && isKept(expected, at);
    const sent = (at: number) => change.after![at] !== undefined || !kept(at);
    compareRow(table, change, change.after, expected.after, sent, `${told}: after`, count);
    compareFormats(change, told);
    count.changes++;
  }
}

/** An update left the column as it was, so that the log may leave it out. */
function isKept({ op, before, after }: ExpectedChange, at: number): boolean {
  return op === "u" && before![at] === after![at];
}

/** Throws where a snapshot's rows are not those that the table ended with. */
export function compareSnapshot(
  table: RandomTable,
  changes: readonly Change[],
  by: string,
  count: Count,
): void {
  const place = `${table.qualified} by ${by}`;
  const found = changes.map((change) => {
    assert.equal(change.op, "r", place);
    compareDefinition(table, change, place);
    compareFormats(change, place);
    count.changes++;
    count.values += change.after!.length;
    return change.after!.map((value, at) => formOf(value!, change.table.columns[at]!));
  });
  compareRows(found, table.rows.values(), `rows of ${place}`);
}

/**
 * Throws where `verify` reads a table otherwise than the CSV sink writes it. `snapshot`: changes with
 * the table's rows.
 */
export async function compareFiles(
  table: RandomTable,
  snapshot: readonly Change[],
  reader: TableReader,
): Promise<void> {
  try {
    const { columns } = await reader.shape();
    const rows = (await Array.fromAsync(reader.rows(columns))).flat();
    compareRows(rows, snapshot.map(csvFields), `${table.qualified} as verify reads it`);
  } finally {
    await reader.close();
  }
}

/** Throws where the rows are not the same ones, in whatever order. */
function compareRows(
  found: Iterable<readonly CsvField[]>,
  wanted: Iterable<readonly CsvField[]>,
  told: string,
): void {
  const [one, other] = [found, wanted].map((rows) =>
    [...rows].map((row) => JSON.stringify(row)).sort()
  ) as [string[], string[]];
  assert.equal(one.length, other.length, `number of ${told}`);
  for (const [at, row] of one.entries()) if (row !== other[at]) fail(told, row, other[at]);
}

function csvFields(change: Change): CsvField[] {
  const arena = new ByteArena();
  arena.begin();
  lineWriter(change.table, CSV, { topic: "", partition: 0 }).insert(change, arena);
  return readCsv(arena.end(), { name: "a line" }).flat();
}

const CSV = { split_files: true, meta: [], unavailable_value: "\u0000", escape_formulas: false };

function compareDefinition(table: RandomTable, { table: captured }: Change, place: string): void {
  const names = captured.columns.map(({ name }) => name);
  assert.deepStrictEqual(names, table.columns.map(({ name }) => name), `columns of ${place}`);
  assert.deepStrictEqual(
    captured.columns.map(({ type }) => type),
    table.types,
    `types of ${place}`,
  );
  assert.deepStrictEqual(captured.key, table.key, `key of ${place}`);
  assert.equal(captured.table, table.name);
}

function compareRow(
  table: RandomTable,
  { table: { columns } }: Change,
  row: Row | null,
  expected: Forms | null,
  isCarried: (at: number) => boolean,
  told: string,
  count: Count,
): void {
  if (expected === null || row === null) {
    assert.equal(row, expected, told);
    return;
  }
  for (const [at, form] of expected.entries()) {
    const wanted = isCarried(at) ? form : undefined;
    const found = formIn(row, at, columns[at]!);
    const { name, type: { type } } = table.columns[at]!;
    if (found !== wanted) fail(`${told}: ${name} ${type}`, found, wanted);
    if (wanted === undefined) count.absent++;
    else count.values++;
    if (wanted != null) count.types.add(type);
  }
}

/** The form of a value; undefined: it is absent. */
type Form = string | null | undefined;

function formIn(row: Row, at: number, column: Column): Form {
  const value = row[at];
  return value === undefined ? undefined : formOf(value, column);
}

function fail(told: string, found: Form, wanted: Form): never {
  let from = 0;
  while (found?.[from] !== undefined && found[from] === wanted?.[from]) from++;
  const shown = (form: Form) => form === undefined ? "(absent)" : excerpt(form, from);
  assert.fail(`${told}\n  captured ${shown(found)}\n  wanted   ${shown(wanted)}`);
}

/** So much of a text fits a failure's message. */
const SHOWN = 300;

function excerpt(text: string | null, at = 0): string {
  const from = Math.max(0, at - SHOWN / 10);
  const part = JSON.stringify(text?.slice(from, from + SHOWN) ?? null);
  return from === 0 && (text ?? "").length <= SHOWN
    ? part
    : `${part} from ${from} of ${text!.length}`;
}

// Formats -----------------------------------------------------------------------------------------

/** The change must come back from both formats as it was, and its JSON must say by itself what it is. */
function compareFormats(change: Change, told: string): void {
  for (const format of [json, protobuf]) {
    const { key, value } = encoded(format, change);
    const record = {
      offset: 0,
      size: 0,
      timestamp_ms: 0,
      headers: [],
      key: new TextEncoder().encode(key),
      value,
    };
    const decoded = plainChange(format.decode(record, () => change.table));
    assert.deepStrictEqual(decoded, plainChange(change), `${told}: through ${format.name}`);
    if (format === json) compareText(change, record, `${told}: as JSON`);
  }
}

function compareText(
  { op, before, after, table: { columns, key } }: Change,
  record: { readonly key: Uint8Array; readonly value: Uint8Array },
  told: string,
): void {
  const [keyed, envelope] = [record.key, record.value].map((bytes) =>
    parseLiterally(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Written
  );
  compareObject(columns, envelope!["before"] as Written | null, before, `${told}: before`);
  compareObject(columns, envelope!["after"] as Written | null, after, `${told}: after`);
  const row = after ?? before;
  const inKey = row &&
    (key.length === 0 ? row : row.map((value, at) => key.includes(at) ? value : undefined));
  compareObject(columns, keyed!, op === "t" ? columns.map(() => undefined) : inKey, `${told}: key`);
}

type Written = Record<string, unknown>;

function compareObject(
  columns: readonly Column[],
  written: Written | null,
  row: Row | null,
  told: string,
): void {
  if (written === null || row === null) {
    assert.equal(written, row, told);
    return;
  }
  for (const [at, column] of columns.entries()) {
    const has = Object.hasOwn(written, column.name);
    const found: Form = has ? formOfJson(written[column.name], column) : undefined;
    const wanted = formIn(row, at, column);
    if (found !== wanted) fail(`${told} ${column.name} ${column.type}`, found, wanted);
  }
}
