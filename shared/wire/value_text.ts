/** Text forms of values, shared by formats and sinks that write text: the type table of the README. */
import { Buffer } from "node:buffer";
import type { Column, Kind, Row, Value } from "../change.ts";

/** Characters that JSON text must escape, and surrogates, of which lone ones must be. */
// deno-lint-ignore no-control-regex
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/;

/** `text` as a JSON string literal. */
export function quoted(text: string): string {
  return ESCAPED.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * The shortest decimal text that reads back to the same float: `-0`, `NaN` and the infinities have
 * a text too. Nine significant digits always suffice for a float32 (IEEE 754, section 5.12.2).
 */
export function floatText(value: number, kind: "float32" | "float64"): string {
  if (Object.is(value, -0)) return "-0";
  if (kind === "float64" || !Number.isFinite(value)) return String(value);
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(Number(value.toPrecision(9)));
}

/** Bytes in base64 with padding. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Writes one column's value as JSON text. */
export type JsonWriter = (value: Value) => string;

/** The writer for a column; chosen once per table, so that rows are written without looking again. */
export function jsonWriter(column: Column): JsonWriter {
  if (column.kind !== "array") return orNull(SCALARS[column.kind]);
  const element = orNull(SCALARS[(column.element ?? "string") as Exclude<Kind, "array">]);
  const array: JsonWriter = (value) =>
    Array.isArray(value) ? `[${value.map(array).join(",")}]` : element(value);
  return array;
}

const SCALARS: Record<Exclude<Kind, "array">, JsonWriter> = {
  integer: (value) => String(value),
  float32: (value) => jsonFloat(value as number, "float32"),
  float64: (value) => jsonFloat(value as number, "float64"),
  boolean: (value) => value ? "true" : "false",
  string: (value) => quoted(value as string),
  bytes: (value) => `"${base64(value as Uint8Array)}"`,
};

function orNull(write: JsonWriter): JsonWriter {
  return (value) => value === null ? "null" : write(value);
}

function jsonFloat(value: number, kind: "float32" | "float64"): string {
  const text = floatText(value, kind);
  return Number.isFinite(value) ? text : `"${text}"`;
}

/**
 * Writes rows as JSON objects. `indexes` says which columns, in which order (default: all);
 * columns without a value are left out.
 */
export function rowWriter(
  columns: readonly Column[],
  indexes: readonly number[] = columns.map((_, index) => index),
): (row: Row) => string {
  const labels = columns.map((column) => `${quoted(column.name)}:`);
  const writers = columns.map(jsonWriter);
  return (row) => {
    let text = "";
    for (const index of indexes) {
      const value = row[index];
      if (value === undefined) continue;
      text += (text === "" ? "{" : ",") + labels[index]! + writers[index]!(value);
    }
    return text === "" ? "{}" : `${text}}`;
  };
}
