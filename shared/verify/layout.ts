/** Which cell of a CSV line means what. */
import { ConfigError } from "../errors.ts";
import { nearestHint } from "../jobs/nearest.ts";
import { type CsvReader, UNAVAILABLE } from "../wire/csv_reader.ts";
import { OP, type RecordWriter } from "./record.ts";

/** Reads the lines of one file. */
export interface LineReader {
  /** False: no line of the file has a position. */
  readonly positions: boolean;
  /** Writes the record of the line at which `line` stands; false: it says only that a truncate came. */
  write(line: CsvReader, row: number, record: RecordWriter): boolean;
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
  /** Names of the columns that are compared: the cells of a record, in this order. */
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

  const isInsert = (line: CsvReader): boolean | undefined => {
    if (shape.insert !== undefined) return shape.insert;
    const said = line.text(op!);
    return said === "insert" ? true : said === "delete" ? false : undefined;
  };
  return {
    positions: __position !== -1,
    write(line, row, record) {
      const { bytes, starts, lengths } = line;
      if (line.fields !== names.length) {
        throw new ConfigError(
          `${path} row ${row} has ${line.fields} fields; its header has ${names.length}`,
          {
            cure: "restore the file as the consumer wrote it; without a header, name in" +
              " files.columns what it holds",
          },
        );
      }
      const insert = isInsert(line);
      const what = __op === -1 ? OP.none : operation(line, __op!);
      if (insert === undefined || what === TRUNCATE) return false;
      record.begin(file, row, insert, what);
      if (__position !== -1) {
        record.position(bytes, starts[__position!]!, Math.max(lengths[__position!]!, 0));
      }
      for (const at of indexes) {
        if (at === -1) record.cell(bytes, 0, UNAVAILABLE);
        else record.cell(bytes, starts[at]!, lengths[at]!);
      }
      record.end();
      return true;
    },
  };
}

const TRUNCATE = "t".charCodeAt(0);

/** What a record says of the operation in a field. */
function operation({ bytes, starts, lengths }: CsvReader, field: number): number {
  const length = lengths[field]!;
  return length < 0 ? OP.none : length === 1 ? bytes[starts[field]!]! : OP.other;
}

function requireColumns({ path, names, insert, columns, key }: FileShape): void {
  const missing = key.find((name) => !names.includes(name)) ??
    (columns.some((name) => names.includes(name)) ? undefined : columns[0]) ??
    (insert === undefined && !names.includes("op") ? "op" : undefined);
  if (missing === undefined) return;
  throw new ConfigError(
    `${path} has no column ${JSON.stringify(missing)}${nearestHint(missing, names)}. It has: ${
      names.join(", ")
    }`,
    { cure: "correct key, columns, and files, which repeat what the consumer's sink says" },
  );
}
