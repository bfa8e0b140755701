/** Rebuilds the list from a consumer's CSV files and compares it with the table. */
import { ConfigError } from "../errors.ts";
import type { CsvFile } from "../sinks/csv/files.ts";
import { Buckets } from "./buckets.ts";
import { Comparison } from "./compare.ts";
import { type LineReader, lineReader } from "./layout.ts";
import { Lines } from "./lines.ts";
import type { VerifyOptions } from "./options.ts";
import { OP, RecordWriter } from "./record.ts";
import { Records } from "./records.ts";
import type { VerifyResult } from "./result.ts";
import type { TableReader } from "./table.ts";

/** What a verification needs from its surroundings. */
export interface VerifyContext {
  readonly table: TableReader;
  /** The topic's files; those of truncated sets may be among them. */
  readonly files: readonly CsvFile[];
  /** An existing, empty folder for this run alone. */
  readonly scratch: string;
  /** Told how far each step is: bytes of the files, rows of the table, buckets compared. */
  readonly progress: (step: "files" | "table" | "compare", done: number, total: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Bytes of memory for a byte of a CSV file while its bucket is compared, with a table as large: lines of
 * 131 bytes become records of 1.3 times as much, those of 11 bytes of 4.4 times.
 */
const EXPANSION = 5;
/** Each may be an open file, on both sides; a process may have 1,024 by default. */
const MOST_BUCKETS = 480;

/**
 * Both sides are parted into buckets by key, on disk where they are large, and compared bucket by
 * bucket. Throws ConfigError when files and table do not have the same columns, RecordError for
 * lines that cannot be read, and the signal's reason when it aborts.
 */
export async function verify(
  options: VerifyOptions,
  context: VerifyContext,
): Promise<VerifyResult> {
  const files = context.files.filter((file) => !file.truncated);
  const { columns, key, table_columns } = await comparedColumns(options, context.table);
  const count = bucketCount(files, options.memory_bytes);
  const bucketOptions = { count, memory_bytes: options.memory_bytes / 4, folder: context.scratch };
  const entries = new Buckets({ ...bucketOptions, name: "files" });
  const rows = new Buckets({ ...bucketOptions, name: "table" });
  try {
    const keyIndexes = key.map((name) => columns.indexOf(name));
    const order = [...new Set([...keyIndexes, ...columns.keys()])];
    const reading = { options, context, columns, key, table_columns, order };
    const positions = await readFiles(reading, files, entries);
    await readTable(reading, positions, rows);
    const records = new Records(order);
    const comparison = new Comparison({
      columns,
      key: keyIndexes,
      positions,
      complete_history: options.complete_history,
      files: files.map((file) => file.path),
      differences: options.differences,
    });
    for (let bucket = 0; bucket < count; bucket++) {
      context.signal.throwIfAborted();
      records.begin(entries.bytes(bucket) + rows.bytes(bucket));
      entries.take(bucket, records);
      const first_row = records.length;
      rows.take(bucket, records);
      comparison.bucket(records, first_row);
      context.progress("compare", bucket + 1, count);
      await new Promise((resolve) => setTimeout(resolve, 0)); // signals and bars get their turn
    }
    return comparison.result();
  } finally {
    entries.close();
    rows.close();
  }
}

/** What reading both sides takes. */
interface Reading {
  readonly options: VerifyOptions;
  readonly context: VerifyContext;
  readonly columns: readonly string[];
  readonly key: readonly string[];
  /** All of the table, compared or not. */
  readonly table_columns: readonly string[];
  /** Indexes of the columns in the order in which records hold their cells: the key's first. */
  readonly order: readonly number[];
}

/** Writes records of which the key tells one row from another, where it can: if changes have an order. */
function recordWriter({ key, columns }: Reading, positions: boolean): RecordWriter {
  return new RecordWriter(positions && key.length > 0 ? new Set(key).size : columns.length);
}

async function comparedColumns(options: VerifyOptions, table: TableReader) {
  const shape = await table.shape();
  const columns = options.columns ?? shape.columns;
  const key = options.key ?? shape.key;
  for (
    const [field, names, among] of [["columns", columns, shape.columns], [
      "key",
      key,
      columns,
    ]] as const
  ) {
    const unknown = names.find((name) => !among.includes(name));
    if (unknown === undefined) continue;
    throw new ConfigError(
      `${field} names ${JSON.stringify(unknown)}, which is not among ${among.join(", ")}`,
      { cure: `name columns of table ${options.table}, the key's among those that are compared` },
    );
  }
  return { columns, key, table_columns: shape.columns };
}

function bucketCount(files: readonly CsvFile[], memory_bytes: number): number {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const count = Math.max(1, Math.ceil(bytes * EXPANSION / (memory_bytes / 2)));
  if (count <= MOST_BUCKETS) return count;
  const needed = Math.ceil(bytes * EXPANSION * 2 / MOST_BUCKETS);
  throw new ConfigError(
    `Cannot compare ${bytes} bytes of files within memory_bytes ${memory_bytes}`,
    { cure: `set memory_bytes to ${needed} or more` },
  );
}

/** Puts every line into its bucket; answers whether the lines have positions. */
async function readFiles(
  reading: Reading,
  files: readonly CsvFile[],
  buckets: Buckets,
): Promise<boolean> {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const { options, context } = reading;
  let done = 0;
  let positions: boolean | undefined;
  let record: RecordWriter | undefined;
  for (const [number, file] of files.entries()) {
    let row = 0;
    let reader: LineReader | undefined;
    using lines = await Lines.open(file, options.files);
    for (let bytes; (bytes = await lines.read()) !== undefined;) {
      context.signal.throwIfAborted();
      while (lines.next()) {
        if (reader === undefined) {
          const { header } = options.files;
          const names = header ? lines.line.row().map(String) : namesFromJob(reading);
          reader = readerOf(reading, file, number, names);
          positions ??= reader.positions;
          if (positions !== reader.positions) throw mixed(file);
          record ??= recordWriter(reading, positions);
          if (header) continue;
        }
        if (reader.write(lines.line, ++row, record!)) buckets.add(record!);
      }
      context.progress("files", done += bytes, total);
    }
  }
  return positions ?? false;
}

function readerOf(reading: Reading, file: CsvFile, number: number, names: readonly string[]) {
  return lineReader({
    path: file.path,
    file: number,
    names,
    insert: file.operation === "changes" ? undefined : file.operation === "inserts",
    columns: reading.order.map((at) => reading.columns[at]!),
    key: reading.key,
  });
}

/** The names of a file without a header: what the sink writes is what its options say. */
function namesFromJob({ options, table_columns }: Reading): string[] {
  const { split_files, meta, columns: written } = options.files;
  return [...split_files ? [] : ["op"], ...meta, ...written ?? table_columns];
}

function mixed(file: CsvFile): ConfigError {
  return new ConfigError(`${file.path} and the files before it do not agree on __position`, {
    cure: "verify one consumer's files at a time: give each job an output folder of its own",
  });
}

async function readTable(reading: Reading, positions: boolean, buckets: Buckets): Promise<void> {
  const { context, columns, order } = reading;
  const record = recordWriter(reading, positions);
  const total = await context.table.estimate();
  let done = 0;
  for await (const page of context.table.rows(order.map((at) => columns[at]!))) {
    context.signal.throwIfAborted();
    for (const cells of page) {
      record.begin(0, 0, true, OP.none);
      for (const cell of cells) record.text(cell);
      record.end();
      buckets.add(record);
    }
    done += page.length;
    context.progress("table", done, Math.max(done, total));
  }
  context.progress("table", done, done);
}
