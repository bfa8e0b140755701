/** Rebuilds the list from a consumer's CSV files and compares it with the table. */
import { ConfigError, RecordError } from "../errors.ts";
import type { CsvFile } from "../sinks/csv/files.ts";
import { CsvReader } from "../wire/csv.ts";
import { Buckets } from "./buckets.ts";
import { hash64 } from "./checksum.ts";
import { Comparison } from "./compare.ts";
import { type LineReader, lineReader } from "./layout.ts";
import { entryLine, keyText, rowLine } from "./lines.ts";
import type { VerifyOptions } from "./options.ts";
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
 * Bytes of memory for a byte of a CSV file while its bucket is folded: lines of 118 bytes were
 * measured to become objects of 470; short ones weigh a little more.
 */
const EXPANSION = 5;
/** Each may be an open file, on both sides; a process may have 1,024 by default. */
const MOST_BUCKETS = 480;
/** Small enough for strings to stay among V8's young objects (see buckets.ts). */
const READ_BYTES = 64 * 1024;

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
  const { columns, key } = await comparedColumns(options, context.table);
  const count = bucketCount(files, options.memory_bytes);
  const bucketOptions = { count, memory_bytes: options.memory_bytes / 4, folder: context.scratch };
  const entries = new Buckets({ ...bucketOptions, name: "files" });
  const rows = new Buckets({ ...bucketOptions, name: "table" });
  try {
    const reading = { options, context, columns, key };
    const positions = await readFiles(reading, files, entries);
    const byKey = positions && key.length > 0;
    await readTable(reading, byKey, rows);
    const comparison = new Comparison({
      columns,
      key: key.map((name) => columns.indexOf(name)),
      positions,
      complete_history: options.complete_history,
      files: files.map((file) => file.path),
      differences: options.differences,
    });
    for (let bucket = 0; bucket < count; bucket++) {
      context.signal.throwIfAborted();
      comparison.bucket(entries.take(bucket), rows.take(bucket));
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
  return { columns, key };
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
  const keyIndexes = reading.key.map((name) => reading.columns.indexOf(name));
  let done = 0;
  let positions: boolean | undefined;
  for (const [number, file] of files.entries()) {
    let row = 0;
    let lines: LineReader | undefined;
    for await (const { rows, bytes } of readRows(file, reading)) {
      for (const fields of rows) {
        if (lines === undefined) {
          const { header } = reading.options.files;
          const names = header ? fields.map(String) : namesFromJob(reading);
          lines = readerOf(reading, file, number, names);
          positions ??= lines.positions;
          if (positions !== lines.positions) throw mixed(file);
          if (header) continue;
        }
        const entry = lines.entry(fields, ++row);
        if (entry === undefined) continue;
        const text = positions && keyIndexes.length > 0
          ? keyText(entry.cells, keyIndexes)
          : rowLine(entry.cells);
        buckets.add(hash64(text)[1], entryLine(entry));
      }
      reading.context.progress("files", done += bytes, total);
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
    columns: reading.columns,
    key: reading.key,
  });
}

/** The names of a file without a header: what the sink writes is what its options say. */
function namesFromJob({ options, columns }: Reading): string[] {
  const { split_files, meta, columns: written } = options.files;
  return [...split_files ? [] : ["op"], ...meta, ...written ?? columns];
}

function mixed(file: CsvFile): ConfigError {
  return new ConfigError(`${file.path} and the files before it do not agree on __position`, {
    cure: "verify one consumer's files at a time: give each job an output folder of its own",
  });
}

/** The rows of a file up to the bytes that count, some at a time. */
async function* readRows(file: CsvFile, { options, context }: Reading) {
  const reader = new CsvReader({
    name: file.path,
    unavailable_value: options.files.unavailable_value,
    escape_formulas: options.files.escape_formulas,
  });
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  using handle = await Deno.open(file.path);
  const buffer = new Uint8Array(READ_BYTES);
  try {
    for (let left = file.bytes; left > 0;) {
      context.signal.throwIfAborted();
      const bytes = await handle.read(buffer.subarray(0, Math.min(left, READ_BYTES)));
      if (bytes === null) break;
      left -= bytes;
      yield {
        rows: reader.read(decoder.decode(buffer.subarray(0, bytes), { stream: true })),
        bytes,
      };
    }
    yield { rows: reader.end(), bytes: 0 };
  } catch (error) {
    if (context.signal.aborted || error instanceof ConfigError) throw error;
    throw new RecordError(`Cannot read ${file.path} as CSV`, {
      cure: "restore the file as the consumer wrote it",
      cause: error,
    });
  }
}

async function readTable(reading: Reading, byKey: boolean, buckets: Buckets): Promise<void> {
  const { context, columns, key } = reading;
  const keyIndexes = key.map((name) => columns.indexOf(name));
  const total = await context.table.estimate();
  let done = 0;
  for await (const page of context.table.rows(columns)) {
    context.signal.throwIfAborted();
    for (const cells of page) {
      const line = rowLine(cells);
      buckets.add(hash64(byKey ? keyText(cells, keyIndexes) : line)[1], line);
    }
    done += page.length;
    context.progress("table", done, Math.max(done, total));
  }
  context.progress("table", done, done);
}
