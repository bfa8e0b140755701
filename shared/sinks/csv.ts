/** The sink `csv`: files of inserted and deleted rows, exactly once within an output folder. */
import { ConfigError } from "../errors.ts";
import { partitionId, type TopicPartition } from "../kafka/port.ts";
import { type Disk, disk as realDisk } from "./csv/disk.ts";
import { safeName, STATE_FOLDER } from "./csv/filename.ts";
import { journalPath, stateFolder } from "./csv/journal.ts";
import { takeLock } from "./csv/lock.ts";
import { type CsvOptions, csvOptions } from "./csv/options.ts";
import { CsvPartition } from "./csv/partition.ts";
import type {
  Durable,
  Sink,
  SinkBatch,
  SinkContext,
  SinkModule,
  SinkPartition,
  Standing,
} from "./sink.ts";

/** The module's export for the table of sinks. */
export const sink: SinkModule<CsvOptions> = {
  options: csvOptions,
  create: (options, context) => new CsvSink(options, context),
};

/**
 * Writes each partition's changes to files of its own in `options.output`. What is durable is said
 * by a journal beside them, replaced after the data is on disk; after a crash the files are cut
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
    const folder = await this.#stateFolder(partition.topic);
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
  async #stateFolder(topic: string): Promise<string> {
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
    for (const parent of this.#disk.makeFolder(folder)) await this.#disk.syncFolder(parent);
    return folder;
  }
}
