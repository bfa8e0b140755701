/** The files of one partition: a numbered set at a time, and the journal that says what they hold. */
import { dirname } from "node:path";
import type { Change, TableSchema } from "../../change.ts";
import { ConfigError, HistoryLostError } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import { beginsGeneration } from "../../position.ts";
import { nameParts } from "../../table_name.ts";
import type { Standing } from "../sink.ts";
import type { Disk } from "./disk.ts";
import { fileName, type Operation, PART } from "./filename.ts";
import { type Journal, type JournalFile, readJournal, writeJournal } from "./journal.ts";
import type { Lock } from "./lock.ts";
import { Part } from "./part.ts";
import { type LineWriter, lineWriter, refuseTable, type RowOptions } from "./rows.ts";

/** What a partition's files are written with. */
export interface PartitionOptions extends RowOptions {
  readonly output: string;
  readonly filename: string;
  readonly header: boolean;
  readonly rotate_bytes: number;
  readonly rotate_rows?: number | undefined;
  readonly rotate_interval_ms?: number | undefined;
}

/** What a partition works with. */
export interface PartitionContext {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  readonly consumer_id: string;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly disk: Disk;
  readonly lock: Lock;
  /** Path of the journal; its folder exists. */
  readonly journal: string;
}

/** One partition's files and journal, under its lock. */
export class CsvPartition {
  readonly #options: PartitionOptions;
  readonly #context: PartitionContext;
  #journal: Journal;
  /** What the standing is once everything accepted is durable. */
  #standing: Standing | undefined;
  #accepted = false;
  /** Files of the set being written. */
  readonly #open = new Map<Operation, Part>();
  /** Files of sets that ended since the last flush. */
  #ended: Part[] = [];
  #sequence: number;
  #since_sequence: number;
  /** Names that the table has had in this generation, the latest last. */
  #tables: readonly string[];
  #layout: string | null;
  #opened_ms: number;
  #writer: LineWriter | undefined;
  #table: TableSchema | undefined;
  /** Definitions that lines can be made for. */
  readonly #fit = new WeakSet<TableSchema>();
  /** Folders in which names were made since the last flush. */
  readonly #new_names = new Set<string>();
  /** A flush broke in the middle: only opening again knows what is on disk. */
  #broken = false;

  private constructor(options: PartitionOptions, context: PartitionContext, journal: Journal) {
    this.#options = options;
    this.#context = context;
    this.#journal = journal;
    this.#sequence = journal.sequence;
    this.#since_sequence = journal.since_sequence;
    this.#tables = journal.tables;
    this.#layout = journal.layout;
    this.#opened_ms = journal.opened_ms;
    if (journal.next_offset !== null) {
      const positions = new Map(Object.entries(journal.positions));
      const set_aside = new Map(journal.set_aside);
      this.#standing = { next_offset: journal.next_offset, positions, set_aside };
    }
  }

  /** Brings the files back to what the journal says, or begins a journal. */
  static async open(options: PartitionOptions, context: PartitionContext): Promise<CsvPartition> {
    const { disk, journal: path } = context;
    const found = readJournal(disk, path);
    if (found !== undefined && found.topic_id !== context.topic_id) {
      throw new HistoryLostError(
        `Topic ${context.topic} was recreated: ${path} is of the topic with id ${found.topic_id}, ` +
          `the brokers' topic has id ${context.topic_id}`,
        { cure: "write the new topic to another output folder, or remove the old one's files" },
      );
    }
    const fresh: Journal = {
      version: 1,
      topic: context.topic,
      topic_id: context.topic_id,
      partition: context.partition,
      next_offset: null,
      positions: {},
      set_aside: [],
      sequence: 1,
      since_sequence: 1,
      tables: [],
      layout: null,
      opened_ms: 0,
      files: [],
      completing: [],
    };
    const self = new CsvPartition(options, context, found ?? fresh);
    try {
      if (found === undefined) await self.#begin();
      else await self.#recover();
    } catch (error) {
      self.#closeFiles();
      throw error;
    }
    return self;
  }

  /** Where the partition stands on disk; undefined: nothing was ever flushed. */
  get standing(): Standing | undefined {
    return this.#standing;
  }

  /** Accepts changes, all or none of them; they are durable after the next `flush`. */
  write(changes: readonly Change[], standing: Standing): void {
    this.#refuseBroken();
    for (const { table } of changes) {
      if (this.#fit.has(table)) continue;
      refuseTable(table, this.#options);
      this.#fit.add(table);
    }
    const tables = this.#tablesBehind(changes);
    try {
      for (const change of changes) this.#add(change);
      for (const part of this.#open.values()) part.handOn();
    } catch (error) {
      this.#broken = true;
      throw error;
    }
    this.#standing = standing;
    this.#tables = tables;
    this.#accepted = true;
  }

  /** Data, then journal, then the names of whole files; answers the offset that is now safe. */
  async flush(): Promise<number | undefined> {
    this.#refuseBroken();
    const { rotate_interval_ms = Infinity } = this.#options;
    const old = this.#open.size > 0 &&
      this.#context.now() - this.#opened_ms >= rotate_interval_ms;
    if (old) this.#endSet();
    if (!this.#accepted && !old) return undefined;
    await this.#persist();
    return this.#journal.next_offset ?? undefined;
  }

  /** Completes the files when all is flushed, and lets the partition go. */
  async release(): Promise<void> {
    try {
      if (!this.#broken && !this.#accepted && this.#open.size > 0) {
        this.#endSet();
        await this.#persist();
      }
    } finally {
      this.#closeFiles();
      this.#context.lock.release();
    }
  }

  // Lines -------------------------------------------------------------------------------------------

  /**
   * The table's names once `changes` are written. Another name is the table renamed, unless it has
   * come before: then there are two tables, which would end each other's sets with every change in
   * turn, and whose truncates would be taken for each other's.
   */
  #tablesBehind(changes: readonly Change[]): readonly string[] {
    let tables = this.#tables;
    let last: TableSchema | undefined;
    for (const { op, table, position } of changes) {
      if (op === "t" && beginsGeneration(position)) { // one comes for each name, and all is gone
        tables = [];
        last = undefined;
        continue;
      }
      if (table === last) continue;
      last = table;
      const name = nameParts(table).join(".");
      if (name === tables.at(-1)) continue;
      if (tables.includes(name)) throw this.#secondTable(name, tables.at(-1)!);
      tables = [...tables, name];
    }
    return tables;
  }

  #secondTable(name: string, other: string): ConfigError {
    const { topic, partition } = this.#context;
    return new ConfigError(
      `Topic ${topic}, partition ${partition}: changes of ${name} appear again after changes of ${other},` +
        " and CSV files hold one table",
      {
        cure:
          "give each table a topic of its own, by {schema} and {table} in the `kafka.topic` of" +
          " the capture, and begin in an empty output folder",
      },
    );
  }

  #add(change: Change): void {
    if (change.table !== this.#table) this.#useTable(change.table);
    switch (change.op) {
      case "c":
      case "r":
        this.#line("insert", change);
        break;
      case "u":
        this.#line("delete", change);
        this.#line("insert", change);
        break;
      case "d":
        this.#line("delete", change);
        break;
      case "t":
        this.#endSet();
        this.#since_sequence = this.#sequence;
        if (this.#writer!.tells_truncate) this.#line("truncate", change);
        break;
    }
    if (this.#full()) this.#endSet();
  }

  #useTable(table: TableSchema): void {
    const { split_files, columns, meta, unavailable_value, escape_formulas, filename, header } =
      this.#options;
    const at = { topic: this.#context.topic, partition: this.#context.partition };
    const writer = lineWriter(table, {
      split_files,
      columns,
      meta,
      unavailable_value,
      escape_formulas,
    }, at);
    const layout = JSON.stringify([writer.layout, filename, header]);
    if (layout !== this.#layout) this.#endSet();
    this.#layout = layout;
    this.#writer = writer;
    this.#table = table;
  }

  #line(what: "insert" | "delete" | "truncate", change: Change): void {
    const kind = what === "insert" ? "inserts" : "deletes";
    const operation = this.#options.split_files ? kind : "changes";
    const part = this.#open.get(operation) ?? this.#create(operation);
    this.#writer![what](change, part.lines);
    part.added();
  }

  #create(operation: Operation): Part {
    const { disk, now } = this.#context;
    const { output, header } = this.#options;
    if (this.#open.size === 0) this.#opened_ms = now();
    const name = this.#name(this.#sequence, operation);
    const folder = dirname(`${output}/${name}`);
    for (const parent of disk.makeFolder(folder)) this.#new_names.add(parent);
    const part = Part.create(disk, output, name, operation);
    this.#new_names.add(folder);
    this.#open.set(operation, part);
    if (header) part.lines.text(this.#writer!.header);
    return part;
  }

  #name(sequence: number, operation: Operation): string {
    const { topic, partition, consumer_id } = this.#context;
    const parts = { topic, partition, consumer_id, sequence, operation };
    return fileName(this.#options.filename, parts);
  }

  #full(): boolean {
    const { rotate_bytes, rotate_rows = Infinity } = this.#options;
    for (const part of this.#open.values()) {
      if (part.bytes >= rotate_bytes || part.rows >= rotate_rows) return true;
    }
    return false;
  }

  /** Ends the set being written: its files become whole with the next flush. */
  #endSet(): void {
    if (this.#open.size === 0) return;
    for (const part of this.#open.values()) part.handOn();
    this.#ended.push(...this.#open.values());
    this.#open.clear();
    this.#sequence++;
  }

  // Disk --------------------------------------------------------------------------------------------

  async #persist(): Promise<void> {
    const { disk } = this.#context;
    this.#broken = true;
    const open = [...this.#open.values()];
    const ended = this.#ended;
    const [files, completing] = await Promise.all([
      Promise.all(open.map((part) => part.sync())),
      Promise.all(ended.map((part) => part.sync())),
    ]);
    for (const folder of this.#new_names) await disk.syncFolder(folder);
    this.#new_names.clear();

    await this.#writeJournal(files, completing);
    if (completing.length > 0) {
      for (const part of ended) part.close();
      this.#ended = [];
      await this.#complete(completing);
      await this.#writeJournal(files, []);
    }
    this.#accepted = false;
    this.#broken = false;
  }

  async #writeJournal(files: JournalFile[], completing: JournalFile[]): Promise<void> {
    const { disk, journal: path } = this.#context;
    this.#journal = {
      ...this.#journal,
      next_offset: this.#standing?.next_offset ?? null,
      positions: Object.fromEntries(this.#standing?.positions ?? []),
      set_aside: [...this.#standing?.set_aside ?? []],
      sequence: this.#sequence,
      since_sequence: this.#since_sequence,
      tables: [...this.#tables],
      layout: files.length > 0 ? this.#layout : null,
      opened_ms: this.#opened_ms,
      files,
      completing,
    };
    await writeJournal(disk, dirname(path), path, this.#journal);
  }

  /** Gives whole files their names. */
  async #complete(files: readonly JournalFile[]): Promise<void> {
    const { disk, log } = this.#context;
    const folders = new Set<string>();
    for (const { name, bytes, rows } of files) {
      const path = `${this.#options.output}/${name}`;
      disk.rename(path + PART, path);
      folders.add(dirname(path));
      log.debug("file_complete", { file: path, bytes, rows });
    }
    for (const folder of folders) await disk.syncFolder(folder);
  }

  /** Begins the journal before the first file: a file without a journal is then never ours. */
  async #begin(): Promise<void> {
    const { disk, journal } = this.#context;
    for (const operation of this.#operations()) {
      const path = `${this.#options.output}/${this.#name(1, operation)}`;
      const found = [path, path + PART].find((path) => disk.exists(path));
      if (found === undefined) continue;
      throw new ConfigError(
        `${found} is there, but no journal ${journal} that says what it holds`,
        {
          cure: "restore the journal, or start over in an empty output folder",
        },
      );
    }
    await this.#writeJournal([], []);
  }

  async #recover(): Promise<void> {
    const { disk, log } = this.#context;
    const { output } = this.#options;
    const { files, completing } = this.#journal;
    const unnamed: JournalFile[] = [];
    for (const known of completing) {
      const path = `${output}/${known.name}`;
      if (disk.exists(path + PART)) {
        Part.resume(disk, output, known).close();
        unnamed.push(known);
      } else if (!disk.exists(path)) log.warn("complete_file_gone", { file: path });
    }
    for (const known of files) {
      this.#open.set(known.operation, Part.resume(disk, output, known));
    }
    this.#removeLeftovers();
    if (completing.length > 0) {
      await this.#complete(unnamed);
      await this.#writeJournal(files, []);
    }
    log.debug("partition_recovered", {
      journal: this.#context.journal,
      next_offset: this.#journal.next_offset,
      files: files.map(({ name, bytes, rows }) => ({ name, bytes, rows })),
    });
  }

  /** Removes files that a flush which did not end had begun. */
  #removeLeftovers(): void {
    const { disk } = this.#context;
    const known = new Set(this.#journal.files.map((file) => file.name));
    for (let sequence = this.#sequence;; sequence++) {
      let any = false;
      for (const operation of this.#operations()) {
        const name = this.#name(sequence, operation);
        const path = `${this.#options.output}/${name}${PART}`;
        if (!disk.exists(path)) continue;
        any = true;
        if (!known.has(name)) disk.remove(path);
      }
      if (!any && sequence > this.#sequence) return;
    }
  }

  #operations(): Operation[] {
    return this.#options.split_files ? ["inserts", "deletes"] : ["changes"];
  }

  #refuseBroken(): void {
    if (!this.#broken) return;
    throw new Error(
      `The files of ${this.#context.topic}/${this.#context.partition} are in an unknown state` +
        ` after an error: open the partition again`,
    );
  }

  #closeFiles(): void {
    for (const part of [...this.#open.values(), ...this.#ended]) part.close();
    this.#open.clear();
    this.#ended = [];
  }
}
