/** Which cell of a CSV line means what. */
import { ConfigError } from "../errors.ts";
import { nearest } from "../jobs/nearest.ts";
import type { CsvField } from "../wire/csv.ts";
import type { Cell, Entry } from "./fold.ts";

/** Reads the lines of one file. */
export interface LineReader {
  /** False: no line of the file has a position. */
  readonly positions: boolean;
  /** The entry of a line; undefined for one that says only that a truncate came. */
  entry(fields: readonly CsvField[], row: number): Entry | undefined;
}

/** What a file is read as. */
export interface FileShape {
  /** The file's path, for errors. */
  readonly path: string;
  /** Number of the file. */
  readonly file: number;
  /** Names of all fields: of the file's header, or as the job says. */
  readonly names: readonly string[];
  /** What each line is in a file of one kind; undefined: the field `op` says it. */
  readonly insert: boolean | undefined;
  /** Names of the columns that are compared: the cells of an entry, in this order. */
  readonly columns: readonly string[];
  /** Names of the key's columns. */
  readonly key: readonly string[];
}

/** Throws ConfigError when the file lacks the key, `op`, or all of the columns. */
export function lineReader(shape: FileShape): LineReader {
  const { path, file, names, columns } = shape;
  const indexes = columns.map((name) => names.indexOf(name));
  requireColumns(shape);
  const [op, __op, __position] = ["op", "__op", "__position"].map((name) => names.indexOf(name));

  const isInsert = (fields: readonly CsvField[]): boolean | undefined => {
    if (shape.insert !== undefined) return shape.insert;
    const said = fields[op!];
    return said === "insert" ? true : said === "delete" ? false : undefined;
  };
  return {
    positions: __position !== -1,
    entry(fields, row) {
      if (fields.length !== names.length) {
        throw new ConfigError(
          `${path} row ${row} has ${fields.length} fields; its header has ${names.length}`,
          { cure: "restore the file as the consumer wrote it" },
        );
      }
      const insert = isInsert(fields);
      const what = __op === -1 ? null : fields[__op!] ?? null;
      if (insert === undefined || what === "t") return undefined;
      const cells: Cell[] = indexes.map((at) => at === -1 ? undefined : fields[at]);
      const position = __position === -1 ? "" : fields[__position!] ?? "";
      return { insert, op: what, position, cells, file, row };
    },
  };
}

function requireColumns({ path, names, insert, columns, key }: FileShape): void {
  const missing = key.find((name) => !names.includes(name)) ??
    (columns.some((name) => names.includes(name)) ? undefined : columns[0]) ??
    (insert === undefined && !names.includes("op") ? "op" : undefined);
  if (missing === undefined) return;
  const near = nearest(missing, names);
  throw new ConfigError(
    `${path} has no column ${JSON.stringify(missing)}${
      near === undefined ? "" : `; nearest is ${near}`
    }. It has: ${names.join(", ")}`,
    { cure: "correct key, columns, and files, which repeat what the consumer's sink says" },
  );
}
