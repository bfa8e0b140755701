/** What a consume job says of its CSV files. */
import { z } from "zod";
import { templateProblem } from "./filename.ts";

/** Names of the columns about the change. */
export const META = [
  "__op",
  "__position",
  "__source",
  "__table",
  "__topic",
  "__partition",
  "__transaction",
  "__total_order",
  "__ts_us",
  "__ts_ms",
] as const;

/** Name of a column about the change. */
export type MetaName = typeof META[number];

/** Schema of the job's `sink` for CSV. */
export const csvOptions = z.strictObject({
  output: z.string().min(1)
    .describe(
      "Folder for the files, relative to where the worker is started; consumers of one group on one host share it.",
    ),
  // A folder a topic; operation first, so that a listing shows what goes together; a number a set.
  filename: z.string().default("{topic}/{operation}-{partition}-{sequence}.csv")
    .describe(
      "Path of a file inside `output`. Tokens: {topic} {partition} {sequence} {consumer_id} and" +
        " {operation}, which is inserts, deletes or changes.",
    ),
  // Two files load without looking at each row: delete what one names, add what the other holds.
  split_files: z.boolean().default(true)
    .describe(
      "Inserted and deleted rows in files of their own; false: one file, whose column `op` says" +
        " insert, delete or truncate.",
    ),
  // A file that says what it holds.
  header: z.boolean().default(true).describe("Begin each file with a line of column names."),
  columns: z.array(z.string()).min(1).optional()
    .describe("The table's columns to write, in this order; left out: all, in the table's order."),
  // What it takes to rebuild the list from files that have no order between them.
  meta: z.array(z.enum(META))
    .default(["__op", "__position"])
    .describe(
      "Columns about the change, put before the table's. `[]`: none; the list is then inserts" +
        " minus deletes, which needs whole old rows in the log.",
    ),
  // Debezium's word for the same thing, under our name.
  unavailable_value: z.string().min(1).default("__list_sync_unavailable_value")
    .describe("Stands, unquoted, for a value that the database's log did not carry."),
  // Off: files are read by programs first, to which every sign is data.
  escape_formulas: z.boolean().default(false)
    .describe(
      "Puts a `'` before text that a spreadsheet would take for a formula (it begins with `=`, `+`," +
        " `-`, `@`, a tab or a line end, and is no number) and before text that begins with a `'`," +
        " so that taking the first `'` away gives the text again.",
    ),
  // Opens in one piece in most tools.
  rotate_bytes: z.int().min(1).default(256 * 1024 * 1024)
    .describe("At this many bytes a file is complete, and the next number begins."),
  rotate_rows: z.int().min(1).optional().describe("The same by rows."),
  rotate_interval_ms: z.int().min(1).optional()
    .describe(
      "The same by time since the file's first row, in milliseconds, so that readers get complete files soon.",
    ),
}).superRefine((options, context) => {
  const problem = templateProblem(options.filename, options.split_files);
  if (problem !== undefined) {
    context.addIssue({ code: "custom", path: ["filename"], message: problem });
  }
});

/** The job's `sink` as validated. */
export type CsvOptions = z.infer<typeof csvOptions>;
