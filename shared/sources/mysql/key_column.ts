/** Columns by which a table is cut into chunks: how their values become literals that compare as the index does. */
import type { Key } from "../snapshot_progress.ts";

/** One column of a primary key. */
export interface KeyColumn {
  /** Quoted. */
  readonly name: string;
  /** What is selected for the value. */
  readonly selected: string;
  /** The selected value's text as a literal. */
  readonly literal: (text: string) => string;
}

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
      return { name, selected: name, literal: (text) => text };
    case "date":
    case "datetime":
    case "timestamp":
    case "time":
    case "inet4":
    case "inet6":
    case "uuid":
      return { name, selected: name, literal: (text) => `'${text}'` };
    case "char":
    case "varchar":
    case "tinytext":
    case "text":
    case "mediumtext":
    case "longtext":
      // In the column's own bytes, so that nothing is converted.
      return { name, selected: `HEX(${name})`, literal: (hex) => `_${charset} X'${hex}'` };
    case "binary":
    case "varbinary":
    case "tinyblob":
    case "blob":
    case "mediumblob":
    case "longblob":
      return { name, selected: `HEX(${name})`, literal: (hex) => `X'${hex}'` };
  }
  return undefined;
}

/** `WHERE …` for the rows behind `after` up to `upto`; empty where there is no bound. */
export function condition(
  columns: readonly KeyColumn[],
  { after, upto }: { readonly after: Key | undefined; readonly upto: Key | undefined },
): string {
  const bounds = [
    ...after === undefined ? [] : [`(${compared(columns, ">", ">", after)})`],
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
  return columns.map(({ name }, at) => {
    const equal = columns.slice(0, at).map(({ name }, at) => `${name} = ${key[at]} AND `).join("");
    return `${equal}${name} ${at === columns.length - 1 ? last : before} ${key[at]}`;
  }).join(" OR ");
}
