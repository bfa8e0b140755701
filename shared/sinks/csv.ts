/** The sink `csv`: files of inserted and deleted rows, exactly once within an output folder. */
import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { partitionId, type TopicPartition } from "../kafka/port.ts";
import { type Disk, disk as realDisk } from "./csv/disk.ts";
import { safeName, STATE_FOLDER, templateProblem } from "./csv/filename.ts";
import { journalPath, stateFolder } from "./csv/journal.ts";
import { takeLock } from "./csv/lock.ts";
import { CsvPartition } from "./csv/partition.ts";
import { META, type MetaName } from "./csv/rows.ts";
import type {
  Durable,
  Sink,
  SinkBatch,
  SinkContext,
  SinkModule,
  SinkPartition,
  Standing,
} from "./sink.ts";

/** Schema of the job's `sink` for CSV. */
export const csvOptions = z.strictObject({
  output: z.string().min(1)
    .describe(
      "Folder for the files, from where the worker is started; consumers of one group on one host share it.",
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
  meta: z.array(z.enum(Object.keys(META) as [MetaName, ...MetaName[]]))
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
    .describe("A file of so many bytes is complete, and the next number begins."),
  rotate_rows: z.int().min(1).optional().describe("The same by rows."),
  rotate_interval_ms: z.int().min(1).optional()
    .describe("The same by time since the file's first row, so that others get whole files soon."),
}).superRefine((options, context) => {
  const problem = templateProblem(options.filename, options.split_files);
  if (problem !== undefined) {
    context.addIssue({ code: "custom", path: ["filename"], message: problem });
  }
});

/** The job's `sink` as validated. */
export type CsvOptions = z.infer<typeof csvOptions>;

/** The module's export for the table of sinks. */
export const sink: SinkModule<CsvOptions> = {
  options: csvOptions,
  create: (options, context) => new CsvSink(options, context),
};

/**
 * Writes each partition's changes to files of its own in `options.output`. What is durable is said
 * by a journal beside them, replaced after the data is on disk; behind a crash the files are cut
 * back to it. A file lock a partition keeps others out until this process ends.
 */
export class CsvSink implements Sink {
  /** Positions, or where there are none inserts minus deletes, say what a row is in any order. */
  readonly any_order = true;
  readonly #options: CsvOptions;
  readonly #context: SinkContext;
  readonly #disk: Disk;
  readonly #partitions = new Map<string, CsvPartition>();

  constructor(options: CsvOptions, context: SinkContext, disk: Disk = realDisk) {
    this.#options = options;
    this.#context = context;
    this.#disk = disk;
  }

  async open(partition: SinkPartition, signal: AbortSignal): Promise<Standing | undefined> {
    const { consumer_id, log, health, now } = this.#context;
    const id = partitionId(partition);
    const folder = await this.#state_folder(partition.topic);
    const lock = await takeLock(
      `${folder}/${partition.partition}.lock`,
      { part: `partition ${id}`, log, health },
      signal,
    );
    try {
      const opened = await CsvPartition.open(this.#options, {
        ...partition,
        consumer_id,
        log,
        now,
        disk: this.#disk,
        lock,
        journal: journalPath(this.#options.output, partition),
      });
      this.#partitions.set(id, opened);
      return opened.standing;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async write(at: TopicPartition, batch: SinkBatch): Promise<void> {
    this.#partition(at).write(batch.changes, batch.standing);
  }

  async flush(at: TopicPartition): Promise<Durable | undefined> {
    const next_offset = await this.#partition(at).flush();
    if (next_offset === undefined) return undefined;
    return { topic: at.topic, partition: at.partition, durable: true, next_offset };
  }

  async release(at: TopicPartition): Promise<void> {
    const id = partitionId(at);
    const partition = this.#partitions.get(id);
    this.#partitions.delete(id);
    await partition?.release();
  }

  async close(): Promise<void> {
    const open = [...this.#partitions.values()];
    this.#partitions.clear();
    for (const partition of open) await partition.release();
  }

  #partition(at: TopicPartition): CsvPartition {
    const partition = this.#partitions.get(partitionId(at));
    if (partition === undefined) throw new Error(`Partition ${partitionId(at)} is not open`);
    return partition;
  }

  /** The folder of the topic's journals and locks. */
  async #state_folder(topic: string): Promise<string> {
    const { output, filename } = this.#options;
    const state = `${output}/${STATE_FOLDER}`;
    const folder = stateFolder(output, topic);
    const others = this.#disk.list(state).filter((name) => name !== safeName(topic));
    if (!filename.includes("{topic}") && others.length > 0) {
      throw new ConfigError(
        `sink.filename is ${JSON.stringify(filename)} without {topic}, and ${output} has files of` +
          ` topic ${
            decodeURIComponent(others[0]!)
          } already: those of ${topic} would be named alike`,
        { cure: "put {topic} into `filename`, or give the job an output folder of its own" },
      );
    }
    for (const parent of this.#disk.make_folder(folder)) await this.#disk.sync_folder(parent);
    return folder;
  }
}
