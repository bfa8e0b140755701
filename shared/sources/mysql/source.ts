/** MySQL and MariaDB as sources: connects as a replica and reads the binary log. */
import { wait } from "../../backoff.ts";
import type { SourceIdentity } from "../../change.ts";
import { quoteTable } from "../../connect/mysql.ts";
import { ConfigError, READ_ALL_AGAIN, RetryableError, SnapshotCutError } from "../../errors.ts";
import { splitTableName } from "../../table_name.ts";
import type { GtidSet } from "../../wire/gtid_set.ts";
import {
  executeSignal,
  firstBehind,
  Incremental,
  type KeyRange,
  takeSignals,
  UnreadableTableError,
} from "../incremental.ts";
import { silenceMs } from "../silence.ts";
import { Snapshot } from "../snapshot.ts";
import {
  nextProgress,
  refuseCut,
  type SnapshotProgress,
  withProgress,
} from "../snapshot_progress.ts";
import type {
  BatchesOptions,
  Finding,
  Judge,
  LogStanding,
  Move,
  OpenOptions,
  ResumePoint,
  Source,
  SourceBatch,
  SourceContext,
} from "../source.ts";
import { hex16, hex8 } from "../../position.ts";
import { ServerCatalog } from "./catalog.ts";
import { ChangeReader, fileNumber } from "./change_reader.ts";
import { MysqlSession } from "./connection.ts";
import { BinlogDump, type DumpStart } from "./dump.ts";
import type { Flavour, Gtids } from "./flavour.ts";
import { checkHistory, readResume, type Resume, resumePoint } from "./history.ts";
import { type CaptureIdentity, captureIdentity } from "./identity.ts";
import { inspect, signalGrant, TABLE_DENIED } from "./inspect.ts";
import { MARIADB } from "./mariadb_flavour.ts";
import { MYSQL } from "./mysql_flavour.ts";
import type { MysqlOptions } from "./options.ts";
import { awaitedTransactions } from "./other_server.ts";
import { bytesBehind, locate, placeBehind, readStanding } from "./positions.ts";
import {
  type LogEnd,
  type LogFile,
  readLogEnd,
  readLogFiles,
  readServerFacts,
  refusePartialRows,
  type ServerFacts,
} from "./server.ts";
import type { MysqlTable } from "./range_reader.ts";
import { listForSnapshot, type MysqlListed, MysqlSnapshot } from "./snapshot.ts";
import { TableSelection } from "./tables.ts";

/** A killed predecessor's lock is free once the server sees its connection close. */
const LOCK_WAIT_S = 3;
/** How often the connection that holds the lock shows that its client lives. */
const LOCK_HEARTBEAT_MS = 1_000;
/** How old the known end of the log may be when the lag is told. */
const LAG_INTERVAL_MS = 2_000;

/** The header alone: within so many bytes after the end of an event no other ends. */
const SMALLEST_EVENT_BYTES = 19;

/** How often it is looked whether a chunk can be read. */
const CHUNK_RETRY_MS = 50;

/** What `open` found. */
interface Opened {
  readonly session: MysqlSession;
  readonly facts: ServerFacts;
  readonly end: LogEnd;
  readonly start: { readonly gtid_set: Gtids; readonly file: string; readonly offset: number };
  readonly generation: number;
  /** What is read before the stream. */
  readonly snapshot: Snapshot<MysqlListed, MysqlTable> | undefined;
  readonly incremental: Incremental<MysqlListed, MysqlTable>;
  /** All that was handed on, by GTIDs; set when the stream begins. */
  reader: ChangeReader | undefined;
}

/**
 * A capture of a MySQL server. It leaves nothing there: a lock of its name keeps a second capture of the
 * same job away and goes with the connection.
 */
export class MysqlSource implements Source {
  readonly #flavour: Flavour;
  readonly #options: MysqlOptions;
  readonly #context: SourceContext;
  readonly #identity: SourceIdentity;
  readonly #capture: CaptureIdentity;
  readonly #selection: TableSelection;
  readonly #program: string;
  #opened: Opened | undefined;
  #dump: BinlogDump | undefined;
  #lag: Lag | undefined;
  /** Holds the job's lock. */
  #claimed: MysqlSession | undefined;

  constructor(options: MysqlOptions, context: SourceContext, flavour: Flavour = MYSQL) {
    this.#flavour = flavour;
    this.#options = options;
    this.#context = context;
    const { name, version } = context;
    this.#identity = { connector: flavour.connector, name, version };
    this.#capture = captureIdentity(name, options.server_id);
    const { tables, exclude_tables, signal_table } = options;
    this.#selection = new TableSelection(tables, exclude_tables, signal_table);
    this.#program = `list-sync:${name}`;
  }

  get connector() {
    return this.#flavour.connector;
  }

  get generation(): number {
    return this.#opened!.generation;
  }

  async inspect(judge?: Judge): Promise<Finding[]> {
    return await this.#ask((session) =>
      inspect(session, this.#flavour, this.#options, this.#selection, judge)
    );
  }

  /**
   * Takes the job's lock and checks the server. With MySQL's GTIDs on, capturing goes on after the
   * stored set, on whichever server of the same history; else at the stored file and offset.
   */
  async open({ resume, generation }: OpenOptions): Promise<ResumePoint> {
    await this.close();
    const session = await MysqlSession.connect(this.#options, this.#program);
    try {
      const facts = await readServerFacts(session, this.#flavour);
      refusePartialRows(facts);
      await this.#lock(session);
      const end = await readLogEnd(session, facts);
      const found = resume &&
        await checkHistory(session, facts, end, readResume(resume, this.#flavour));
      const progress = nextProgress(resume, this.#options);
      const moved = found !== undefined && found.server !== facts.server;
      const stored = moved ? await this.#move(session, facts, end, found, progress) : found;
      const database = progress && await this.#openSnapshot(session, facts, stored, progress);
      const from = database?.start ?? end;
      // Without GTIDs too: they may be turned on later, and what came before must not come then.
      const { gtid_set, file, offset } = stored ?? { ...from, gtid_set: from.gtid_executed };
      const start = { gtid_set, file, offset };
      const begin = resumePoint(start, facts);
      const { batch_changes, batch_bytes } = this.#options;
      const snapshot = database && new Snapshot(database, {
        source: this.#identity,
        generation,
        progress: progress!,
        stream: begin,
        batch_changes,
        batch_bytes,
        log: this.#context.log,
        now: this.#context.now,
      });
      const incremental = new Incremental(resume, {
        source: this.#identity,
        open: (table) => this.#openChunk(table),
        batch_changes,
        batch_bytes,
        log: this.#context.log,
        now: this.#context.now,
      });
      this.#opened = {
        session,
        facts,
        end,
        start,
        snapshot,
        incremental,
        reader: undefined,
        generation: moved ? generation + 1 : generation,
      };
      return progress === undefined ? begin : withProgress(begin, progress);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** A stored position of another server of the same history, as a place in this one's log. */
  async #move(
    session: MysqlSession,
    facts: ServerFacts,
    end: LogEnd,
    stored: Resume,
    progress: SnapshotProgress | undefined,
  ): Promise<Resume> {
    if (progress !== undefined) {
      throw new SnapshotCutError("The snapshot was interrupted on another server");
    }
    const place = await placeBehind(session, this.#flavour, end, stored.gtid_set);
    const { server } = facts;
    const { file, offset } = place;
    this.#context.log.warn("server_changed", { before: stored.server, now: server, file, offset });
    return { ...place, server };
  }

  async awaited(transactions: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { session, start } = this.#opened!;
    return await awaitedTransactions(session, start.gtid_set as GtidSet, transactions);
  }

  async #openSnapshot(
    session: MysqlSession,
    facts: ServerFacts,
    stored: Resume | undefined,
    progress: SnapshotProgress,
  ): Promise<MysqlSnapshot> {
    const { signal_table } = this.#options;
    const tables = (await listForSnapshot(session, this.#selection))
      .filter(({ name }) => name !== signal_table);
    refuseCut(progress, tables);
    const parts = { options: this.#options, program: this.#program, session, facts, tables };
    const start = stored && { ...stored, gtid_executed: stored.gtid_set };
    return await MysqlSnapshot.open({ ...parts, log: this.#context.log }, start);
  }

  async *batches({ to_end, signal, held = "" }: BatchesOptions): AsyncGenerator<SourceBatch> {
    const opened = this.#opened;
    if (opened === undefined) throw new Error("batches() before open()");
    const { lost } = opened.session; // with it goes the lock
    const over = AbortSignal.any([signal, lost]);
    if (opened.snapshot !== undefined) yield* opened.snapshot.batches(over);
    if (signal.aborted) return;
    lost.throwIfAborted();
    if (this.#options.snapshot === "only") return;
    const { incremental } = opened;
    const reader = opened.reader = this.#reader(opened);
    const atEnd = () => to_end && reader.reached(opened.end.file, opened.end.offset);
    if (
      to_end && (atEnd() || (opened.facts.gtid && reader.gtids.contains(opened.end.gtid_executed)))
    ) {
      return yield* this.#finish(opened, held, over);
    }
    const { facts, start, session } = opened;
    const flavour = this.#flavour;
    const from: DumpStart = facts.gtid && flavour.starts_by_gtids
      ? { gtid_set: start.gtid_set as GtidSet }
      : start;
    const parts = { flavour, identity: this.#capture, program: this.#program };
    const dump = await BinlogDump.start(this.#options, parts, from);
    this.#dump = dump;
    this.#lag = new Lag(session, this.#context.now);
    const { batch_changes, batch_bytes, signal_table } = this.#options;
    let told = reader.resume;
    let bytes = 0;
    const batch = (): SourceBatch => {
      bytes = 0;
      const { changes: all, dropped } = reader.take();
      const changes = takeSignals(all, signal_table, incremental, this.#context.log);
      told = reader.resume;
      return { changes, resume: incremental.with(told), whole: !reader.open, dropped };
    };
    const full = () => reader.changes.length >= batch_changes || bytes >= batch_bytes;
    try {
      while (!over.aborted) {
        const raw = dump.take();
        if (raw === undefined) {
          if (reader.changes.length > 0 || reader.resume !== told) yield batch();
          else if (incremental.due(false) && (yield* this.#chunk(opened, held, over))) continue;
          else await dump.wait(over, incremental.active ? CHUNK_RETRY_MS : undefined);
          continue;
        }
        bytes += raw.end - raw.at;
        if (reader.isPayload(raw)) {
          for await (const _ of reader.payload(raw)) if (full()) yield batch();
        } else {
          const pending = reader.read(raw);
          if (pending !== undefined) await pending;
        }
        if (atEnd()) {
          yield batch();
          return yield* this.#finish(opened, held, over);
        }
        if (!full()) continue;
        yield batch();
        if (incremental.due(true)) yield* this.#chunk(opened, held, over);
      }
      if (!signal.aborted) lost.throwIfAborted();
    } finally {
      dump.stop();
    }
  }

  /** The chunks that are left when the end is reached. */
  async *#finish(
    opened: Opened,
    held: string,
    signal: AbortSignal,
  ): AsyncGenerator<SourceBatch, void> {
    while (opened.incremental.active && !signal.aborted) {
      if (yield* this.#chunk(opened, held, signal)) continue;
      await wait(CHUNK_RETRY_MS, signal);
    }
    const { lost } = opened.session;
    if (signal.aborted && signal.reason === lost.reason) throw lost.reason;
  }

  /** A chunk of a table that is read again, after the last transaction that was handed on. */
  async *#chunk(
    { incremental, reader, generation }: Opened,
    held: string,
    signal: AbortSignal,
  ): AsyncGenerator<SourceBatch, boolean> {
    if (reader!.open) return false;
    const { resume } = reader!;
    const { file, offset } = resume as { file: string; offset: number };
    const major = `${hex8(generation)}-${hex16(fileNumber(file))}-`;
    const places = Array.from(
      { length: SMALLEST_EVENT_BYTES - 1 },
      (_, at) => `${major}${hex16(offset + 1 + at)}-`,
    );
    const prefix = firstBehind(held, places);
    if (prefix === undefined) return false;
    return yield* incremental.chunk({
      prefix,
      resume,
      coordinates: (row) => ({ gtid: null, file, pos: offset, row }),
    }, signal);
  }

  /** The table of a chunk; undefined while the server does not show all that was handed on. */
  async #openChunk(table: string): Promise<MysqlSnapshot | undefined> {
    const { session, facts, reader } = this.#opened!;
    if (!facts.gtid) {
      throw new UnreadableTableError(
        "An incremental snapshot needs GTIDs, by which the server tells what it shows: turn gtid_mode" +
          ` on, or ${READ_ALL_AGAIN}`,
      );
    }
    if (!await this.#flavour.sees(session, reader!.resume)) return undefined;
    const selection = this.#selection;
    const tables = await listForSnapshot(session, {
      has: (db, name) => `${db}.${name}` === table && selection.has(db, name),
    });
    const { log } = this.#context;
    const options = { ...this.#options, snapshot_workers: 1 };
    const end = await readLogEnd(session, facts);
    const parts = { options, program: this.#program, session, facts, tables, log };
    return await MysqlSnapshot.open(parts, end);
  }

  async signal(tables: readonly string[], range?: KeyRange): Promise<void> {
    const { type, data } = executeSignal(tables, range);
    const [db, table] = splitTableName(this.#options.signal_table!);
    const name = quoteTable({ db, table });
    const session = await MysqlSession.connect(this.#options, this.#program);
    try {
      await session.query(`INSERT INTO ${name} (id, type, data) VALUES (?, ?, ?)`, [
        crypto.randomUUID(),
        type,
        data,
      ]);
    } catch (error) {
      if ((error as { code?: unknown }).code !== TABLE_DENIED) throw error;
      throw new ConfigError(`The server refused a signal: ${(error as Error).message}`, {
        cure: await signalGrant(session, name),
      });
    } finally {
      await session.close();
    }
  }

  /** Nothing to tell: the server keeps its binlog by time, and the position is kept on Kafka. */
  confirm(_resume: ResumePoint): void {}

  behind(resume: ResumePoint): number | undefined {
    return this.#lag?.behind(resume);
  }

  async close(): Promise<void> {
    this.#dump?.stop();
    this.#dump = undefined;
    this.#lag = undefined;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.snapshot?.close();
    await opened?.session.close();
    await this.#claimed?.close();
    this.#claimed = undefined;
  }

  async standing(resume: ResumePoint | undefined): Promise<LogStanding> {
    return await this.#ask((session) => readStanding(session, this.#flavour, resume));
  }

  /** The lock tells whether a capture of the job runs. */
  async claim(): Promise<void> {
    await this.close();
    const session = await MysqlSession.connect(this.#options, this.#program);
    try {
      await this.#lock(session);
      this.#claimed = session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async locate(to: string, resume: ResumePoint): Promise<Move> {
    return await this.#ask((session) => locate(session, this.#flavour, to, resume));
  }

  /** Nothing stays on the server. */
  async remove(): Promise<string[]> {
    await this.claim();
    await this.close();
    return [];
  }

  async #ask<T>(question: (session: MysqlSession) => Promise<T>): Promise<T> {
    const session = await MysqlSession.connect(this.#options, this.#program);
    try {
      return await question(session);
    } finally {
      await session.close();
    }
  }

  #reader({ session, facts, start, generation }: Opened): ChangeReader {
    const { table_cache, tinyint1_as_boolean } = this.#options;
    return new ChangeReader({
      identity: this.#identity,
      generation,
      selection: this.#selection,
      catalog: new ServerCatalog(session),
      start,
      server: { [facts.flavour.server_key]: facts.server },
      lower_case: facts.lower_case,
      table_cache,
      tinyint1_as_boolean,
      log: this.#context.log,
      now: this.#context.now,
    });
  }

  async #lock(session: MysqlSession): Promise<void> {
    const { lock } = this.#capture;
    const silence_ms = silenceMs(this.#options);
    if (await session.value("SELECT GET_LOCK(?, ?)", [lock, LOCK_WAIT_S]) === "1") {
      return await session.keepAlive(LOCK_HEARTBEAT_MS, silence_ms);
    }
    const holder = await session.value("SELECT IS_USED_LOCK(?)", [lock]);
    const [process] = holder === null ? [] : await session.query(
      "SELECT HOST, USER, TIME FROM information_schema.PROCESSLIST WHERE ID = ?",
      [holder],
    );
    const from = process === undefined ? "" : ` from ${process[0]} as ${process[1]}`;
    const held = `connection ${holder}${from} holds the lock ${JSON.stringify(lock)} on the` +
      ` ${this.#flavour.product} server`;
    const silent_s = Number(process?.[2] ?? 0);
    if (silent_s >= LOCK_WAIT_S) {
      throw new RetryableError(
        `A capture of this job is gone, but ${held}: its client has said nothing for ${silent_s} s,` +
          ` and the server waits for ${silence_ms / 1000} s`,
      );
    }
    throw new ConfigError(
      `Another capture of job ${JSON.stringify(this.#context.name)} runs: ${held}`,
      { cure: "stop that one, or give this job a name of its own" },
    );
  }
}

/** A capture of a MariaDB server. */
export class MariadbSource extends MysqlSource {
  constructor(options: MysqlOptions, context: SourceContext) {
    super(options, context, MARIADB);
  }
}

/** How far the capture is behind, from the sizes of the binlog files; asked beside the stream. */
class Lag {
  readonly #session: MysqlSession;
  readonly #now: () => number;
  #asked_at_ms = -Infinity;
  #files: readonly LogFile[] = [];

  constructor(session: MysqlSession, now: () => number) {
    this.#session = session;
    this.#now = now;
  }

  /** Bytes of log after `resume`, as of the last answer; undefined before the first. */
  behind(resume: ResumePoint): number | undefined {
    this.#ask();
    if (this.#files.length === 0) return undefined;
    return bytesBehind(this.#files, { file: String(resume.file), offset: Number(resume.offset) });
  }

  #ask(): void {
    if (this.#now() - this.#asked_at_ms < LAG_INTERVAL_MS) return;
    this.#asked_at_ms = this.#now();
    readLogFiles(this.#session).then(
      (files) => this.#files = files,
      () => {}, // the stream itself finds out what is wrong with the server
    );
  }
}
