/** Columns by which a table is cut into chunks: how their values become literals that compare as the index does. */
import { Buffer } from "node:buffer";
import type { Range } from "../snapshot.ts";
import type { Key } from "../snapshot_progress.ts";

/** One column of a primary key. */
export interface KeyColumn {
  /** Quoted. */
  readonly name: string;
  /** What is selected for the value. */
  readonly selected: string;
  /** The selected value's text as a literal. */
  readonly literal: (text: string) => string;
  /** The literal of a value as it stands in changes, which a person gave; undefined: it is none. */
  readonly given: (value: string) => string | undefined;
}

const NUMBER = /^-?\d+(\.\d+)?$/;
const ADDRESS = /^[0-9a-fA-F:.-]+$/;
const TEMPORAL = /^-?[\d:. T-]+Z?$/;

const number = (value: string) => NUMBER.test(value) ? value : undefined;
const temporal = (value: string) =>
  TEMPORAL.test(value) ? `'${value.replace(/Z$/, "")}'` : undefined;
const address = (value: string) => ADDRESS.test(value) ? `'${value}'` : undefined;
/** A constant that the server converts to the column's character set. */
const text = (value: string) => `_utf8mb4 X'${Buffer.from(value).toString("hex")}'`;
const bytes = (value: string) => `X'${Buffer.from(value, "base64").toString("hex")}'`;

/**
 * The column; undefined for a type whose values compare with a literal in another order than the
 * index has them (ENUM and SET by their text) or not to the bit (FLOAT).
 */
export function keyColumn(
  name: string,
  data_type: string,
  charset: string | null,
): KeyColumn | undefined {
  switch (data_type.toLowerCase()) {
    case "tinyint":
    case "smallint":
    case "mediumint":
    case "int":
    case "bigint":
    case "decimal":
    case "year":
      return { name, selected: name, literal: (text) => text, given: number };
    case "date":
    case "datetime":
    case "timestamp":
    case "time":
      return { name, selected: name, literal: (text) => `'${text}'`, given: temporal };
    case "inet4":
    case "inet6":
    case "uuid":
      return { name, selected: name, literal: (text) => `'${text}'`, given: address };
    case "char":
    case "varchar":
    case "tinytext":
    case "text":
    case "mediumtext":
    case "longtext":
      // In the column's own bytes, so that nothing is converted.
      return {
        name,
        selected: `HEX(${name})`,
        literal: (hex) => `_${charset} X'${hex}'`,
        given: text,
      };
    case "binary":
    case "varbinary":
    case "tinyblob":
    case "blob":
    case "mediumblob":
    case "longblob":
      return { name, selected: `HEX(${name})`, literal: (hex) => `X'${hex}'`, given: bytes };
  }
  return undefined;
}

/** `WHERE ...` for the rows of a range; empty where there is no bound. */
export function condition(columns: readonly KeyColumn[], { after, from, upto }: Range): string {
  const bounds = [
    ...after === undefined ? [] : [`(${compared(columns, ">", ">", after)})`],
    ...from === undefined ? [] : [`(${compared(columns, ">", ">=", from)})`],
    ...upto === undefined ? [] : [`(${compared(columns, "<", "<=", upto)})`],
  ];
  return bounds.length === 0 ? "" : ` WHERE ${bounds.join(" AND ")}`;
}

/** A row comparison spelled out, because the server uses no index for `(a, b) > (1, 2)`. */
function compared(
  columns: readonly KeyColumn[],
  before: string,
  last: string,
  key: Key,
): string {
  return key.map((value, at) => {
    const equal = columns.slice(0, at).map(({ name }, at) => `${name} = ${key[at]} AND `).join("");
    return `${equal}${columns[at]!.name} ${at === key.length - 1 ? last : before} ${value}`;
  }).join(" OR ");
}
