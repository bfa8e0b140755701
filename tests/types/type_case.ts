/** Column types with values of them, and one text form of a value to compare by. */
import type { Column, Kind, Value } from "../../shared/change.ts";
import type { Random } from "../../shared/seed/random.ts";

/** A column type of a database. */
export interface TypeCase {
  /** As CREATE TABLE takes it. */
  readonly type: string;
  /** SQL of values that every run writes. */
  readonly values: readonly string[];
  /** SQL of any value. */
  readonly any?: ((random: Random) => string) | undefined;
  /** SQL that changes a part of a column's value. */
  readonly change?: (column: string, random: Random) => string;
  /** SQL that answers a column's value as text, null for null. */
  readonly select: (column: string) => string;
  /** The form of that text by the type table; floats by their bits, bytes in hexadecimal. */
  readonly text: (server: string) => string;
  /** False: values of it cannot be a key. */
  readonly key?: boolean;
  /** False: columns of it are NOT NULL. */
  readonly nullable?: boolean;
}

export const same = (text: string) => text;

/** The form of a float by the server's text, which reads back to it. */
export function doubleForm(text: string): string {
  return floatForm(Number(text), "float64");
}

export function singleForm(text: string): string {
  return floatForm(Math.fround(Number(text)), "float32");
}

function floatForm(value: number, kind: "float32" | "float64"): string {
  const view = new DataView(new ArrayBuffer(8));
  if (kind === "float32") view.setFloat32(0, value);
  else view.setFloat64(0, value);
  return new Uint8Array(view.buffer, 0, kind === "float32" ? 4 : 8).toHex();
}

/** The form of an array: nested forms as JSON. `leaf`: what its elements are made of. */
export function nestedForm<T>(array: unknown, leaf: (element: T) => string): string {
  const nested = (item: unknown): unknown =>
    item === null ? null : Array.isArray(item) ? item.map(nested) : leaf(item as T);
  return JSON.stringify(nested(array));
}

/** The form of a value in memory. */
export function formOf(value: Value, { kind, element = "string" }: Column): string | null {
  if (value === null) return null;
  if (kind === "array") return nestedForm<Value>(value, (item) => scalarForm(item, element));
  return scalarForm(value, kind);
}

function scalarForm(value: Value, kind: Kind): string {
  switch (kind) {
    case "float32":
    case "float64":
      return floatForm(value as number, kind);
    case "bytes":
      return (value as Uint8Array).toHex();
    default:
      return String(value);
  }
}

/** A number of a JSON text, by its digits. */
export class Literal {
  constructor(readonly digits: string) {}
}

/** `JSON.parse` that keeps numbers as they are written. */
export function parseLiterally(text: string): unknown {
  const revive = (_name: string, value: unknown, context: { source: string }) =>
    typeof value === "number" ? new Literal(context.source) : value;
  return JSON.parse(text, revive as (name: string, value: unknown) => unknown);
}

/** The form of a value in JSON as `parseLiterally` gives it, by the type table alone. */
export function formOfJson(value: unknown, { kind, element = "string" }: Column): string | null {
  if (value === null) return null;
  if (kind === "array") return nestedForm<unknown>(value, (item) => jsonScalarForm(item, element));
  return jsonScalarForm(value, kind);
}

function jsonScalarForm(value: unknown, kind: Kind): string {
  const found = `${kind}: ${JSON.stringify(value)}`;
  switch (kind) {
    case "integer":
      return value instanceof Literal ? value.digits : found;
    case "float32":
      return value instanceof Literal ? singleForm(value.digits) : singleForm(String(value));
    case "float64":
      return value instanceof Literal ? doubleForm(value.digits) : doubleForm(String(value));
    case "boolean":
      return typeof value === "boolean" ? String(value) : found;
    case "bytes":
      return typeof value === "string" ? Uint8Array.fromBase64(value).toHex() : found;
    default:
      return typeof value === "string" ? value : found;
  }
}
