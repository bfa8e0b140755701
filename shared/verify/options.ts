/** What a verify job says. */
import { z } from "zod";
import { databaseOptions } from "../database/options.ts";
import { csvOptions } from "../sinks/csv/options.ts";

const {
  output,
  filename,
  split_files,
  header,
  columns,
  meta,
  unavailable_value,
  escape_formulas,
} = csvOptions.shape;

/** Schema of a verify job's own part. */
export const verifyOptions = z.strictObject({
  database: databaseOptions,
  // The name that the examples of this project use throughout.
  table: z.string().min(1).default("list").describe(
    "Table that the files should hold: `name`, or `schema.name` (MySQL: `database.name`).",
  ),
  topic: z.string().min(1).describe("Topic that brought the changes into the files."),
  files: z.strictObject({
    output,
    filename,
    split_files,
    header,
    columns,
    meta,
    unavailable_value,
    escape_formulas,
  }).describe("The files, in the words of the consumer's `sink`."),
  columns: z.array(z.string()).min(1).optional().describe(
    "Columns to compare, the key's included; left out: all of the table.",
  ),
  key: z.array(z.string()).min(1).optional().describe(
    "Columns that identify a row; left out: the table's primary key, without one the whole row.",
  ),
  // As in a capture's `source`.
  tinyint1_as_boolean: z.boolean().default(false).describe(
    "Whether the files hold MySQL's TINYINT(1) columns as booleans: what `source.tinyint1_as_boolean` of the" +
      " capture says.",
  ),
  // Files written from a table's first row on hold each row from its insert on.
  complete_history: z.boolean().default(true).describe(
    "Whether each row's changes must be complete, from its insert or snapshot on; turn it off where the" +
      " initial rows were not captured, where their snapshot was interrupted, or where the capture was set back.",
  ),
  // More than a person reads of one kind.
  differences: z.int().min(0).max(10_000).default(10).describe(
    "Differences to name; all are counted.",
  ),
  // Measured: four times as much is no faster, and the whole process stays below 250 MB.
  memory_bytes: z.int().min(1024 * 1024).default(32 * 1024 * 1024).describe(
    "Memory for rows; the rest waits in files in the folder `scratch`.",
  ),
  scratch: z.string().min(1).optional().describe(
    "Folder for temporary files; left out: `.verify` in `files.output`.",
  ),
});

/** A verify job's own part, as validated. */
export type VerifyOptions = z.infer<typeof verifyOptions>;

/** The folder for temporary files. */
export function scratchFolder(options: VerifyOptions): string {
  return options.scratch ?? `${options.files.output}/.verify`;
}
