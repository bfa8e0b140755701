/** PostgreSQL as a source of changes: logical replication through pgoutput or wal2json. */
import type pg from "pg";
import type { Change } from "../../change.ts";
import { placeOf, quoteIdentifier, quoteLiteral, quoteTable } from "../../connect/postgres.ts";
import { ConfigError, HistoryLostError, READ_ALL_AGAIN, RetryableError } from "../../errors.ts";
import { isPattern } from "../../jobs/glob.ts";
import { splitTableName } from "../../table_name.ts";
import { formatLsn, parseLsn } from "../../wire/postgres_lsn.ts";
import { WAL2JSON_OPTIONS } from "../../wire/wal2json.ts";
import { executeSignal, Incremental, type KeyRange, takeSignals } from "../incremental.ts";
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
import { Assembler } from "./assembler.ts";
import { type TableName, TypeCatalog } from "./catalog.ts";
import { connect, explainRefused, type ServerError, Session } from "./connection.ts";
import {
  checkHistory,
  identify,
  LOG_END,
  logEnd,
  refuseOtherTimeline,
  resumePoint,
  type Server,
  startIn,
} from "./history.ts";
import { inspect, refuseUnfaithful } from "./inspect.ts";
import { objectNames, type PostgresOptions } from "./options.ts";
import { JoiningTables } from "./joining.ts";
import { PgoutputReader } from "./pgoutput_reader.ts";
import type { PluginContext, PluginReader } from "./plugin.ts";
import { locate, readStanding } from "./positions.ts";
import { ReplicationStream } from "./replication_stream.ts";
import {
  allowFailover,
  awaitRelease,
  checkSlot,
  createSlot,
  dropSlot,
  ensurePublication,
  findSlot,
  refuseOtherSlot,
  refuseWithoutFailover,
  removeObjects,
  requirePublication,
  wantedTables,
} from "./slot.ts";
import type { PostgresTable } from "./range_reader.ts";
import {
  chunkPrefix,
  createExportingSlot,
  listForSnapshot,
  openChunk,
  type PostgresListed,
  PostgresSnapshot,
} from "./snapshot.ts";
import { TableFactory } from "./table.ts";
import { tableMatcher } from "./tables.ts";
import { currentSnapshot, StreamedTransactions } from "./visibility.ts";
import { Wal2jsonReader } from "./wal2json_reader.ts";

/** Prefix of the messages that we write into the log; wal2json is asked to leave them out. */
const MESSAGE_PREFIX = "list-sync";

/** How often the end of the server's log is asked for: as fresh as a lag in a metric need be. */
const LAG_INTERVAL_MS = 1_000;

/**
 * How long what has come of a transaction waits for its rest, which the server has whole and sends row by
 * row. Sent without, the rest has to wait until the first part is acknowledged: a consumer had half of 100
 * rows after 5.6 ms instead of 4.4 (measured).
 */
const REST_MS = 5;

/** How often an idle stream's progress is handed on: the slot need not move faster. */
const PROGRESS_INTERVAL_MS = 1_000;

/** How often the server is asked how far it has come while the end is near (`to_end`). */
const PING_INTERVAL_MS = 50;

/** An open source. */
interface Running {
  readonly session: Session;
  readonly stream: ReplicationStream;
  readonly reader: PluginReader;
  readonly assembler: Assembler;
  readonly server: Server;
  /** What `open` was asked to go on from. */
  readonly resume: ResumePoint | undefined;
  readonly generation: number;
  /** What is read before the stream. */
  readonly snapshot: Snapshot<PostgresListed, PostgresTable> | undefined;
  readonly incremental: Incremental<PostgresListed, PostgresTable>;
  readonly joining: JoiningTables;
  readonly timers: ReturnType<typeof setInterval>[];
  /** Where the log ended when the source was opened. */
  readonly end_lsn: bigint;
  /** Everything before it has been handed to the assembler. */
  done_lsn: bigint;
  /** What the last batch's `resume` said. */
  told_lsn: bigint;
  /** The end of the server's log as last seen. */
  log_end: bigint;
  /** Aborted with the error that ends the run, which one of its timers met. */
  readonly lost: AbortController;
}

/** PostgreSQL through one replication slot. An object serves one run: after an error make another. */
export class PostgresSource implements Source {
  readonly connector = "postgresql";
  readonly #options: PostgresOptions;
  readonly #context: SourceContext;
  #running: Running | undefined;

  constructor(options: PostgresOptions, context: SourceContext) {
    this.#options = options;
    this.#context = context;
  }

  get generation(): number {
    return this.#running!.generation;
  }

  async inspect(judge?: Judge): Promise<Finding[]> {
    return await this.#ask((session) => inspect(session, this.#options, this.#context, judge));
  }

  async open({ resume, generation }: OpenOptions): Promise<ResumePoint> {
    if (this.#running !== undefined) throw new ConfigError("The source is open already");
    const session = await this.#session();
    try {
      return await this.#open(session, resume, generation);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  confirm(resume: ResumePoint): void {
    this.#running?.stream.confirm(parseLsn(String(resume["lsn"])));
    this.#running?.joining.stored(resume);
  }

  behind(resume: ResumePoint): number | undefined {
    if (this.#running === undefined) return undefined;
    return Math.max(0, Number(this.#running.log_end - parseLsn(String(resume["lsn"]))));
  }

  async close(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    for (const timer of running.timers) clearInterval(timer);
    await running.snapshot?.close();
    await running.stream.close();
    await running.session.close();
  }

  async standing(resume: ResumePoint | undefined): Promise<LogStanding> {
    const { name } = this.#context;
    return await this.#ask((session) => readStanding(session, this.#options, name, resume));
  }

  /** The slot tells whether a capture of the job runs; the server cannot keep one away. */
  async claim(): Promise<void> {
    const { slot } = objectNames(this.#options, this.#context.name);
    await this.#ask((session) => awaitRelease(session, slot));
  }

  async locate(to: string, resume: ResumePoint): Promise<Move> {
    const { slot } = objectNames(this.#options, this.#context.name);
    return await this.#ask((session) => locate(session, this.#options, slot, { to, resume }));
  }

  async signal(tables: readonly string[], range?: KeyRange): Promise<void> {
    const { signal_table } = this.#options;
    const { type, data } = executeSignal(tables, range);
    const [schema, table] = splitTableName(signal_table!);
    const quoted = quoteTable({ schema, table });
    const session = await this.#session();
    try {
      await session.query(
        `insert into ${quoted} (id, type, data) values ($1, $2, $3)`,
        [crypto.randomUUID(), type, data],
      );
    } catch (error) {
      const grant = `GRANT INSERT ON ${quoted} TO ${quoteIdentifier(this.#options.user)}`;
      throw explainRefused(error, this.#options, grant);
    } finally {
      await session.close();
    }
  }

  async remove(): Promise<string[]> {
    await this.close();
    const { name } = this.#context;
    return await this.#ask((session) => removeObjects(session, this.#options, name));
  }

  async #ask<T>(question: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#session();
    try {
      return await question(session);
    } finally {
      await session.close();
    }
  }

  #session(): Promise<Session> {
    return Session.open(this.#options, `list-sync ${this.#context.name}`);
  }

  // Opening -----------------------------------------------------------------------------------------

  async #open(
    session: Session,
    resume: ResumePoint | undefined,
    generation: number,
  ): Promise<ResumePoint> {
    const { name, version, log, now } = this.#context;
    const options = this.#options;
    const client = await connect(options, {
      application_name: `list-sync ${name}`,
      replication: true,
    });
    let snapshot: Running["snapshot"];
    try {
      const server = await identify(client);
      if (resume !== undefined) checkHistory(resume, server, options);
      const tables = await this.#tables(session);
      const progress = nextProgress(resume, options);
      const listed = progress && await this.#listed(session, tables, progress);
      const plan = { resume, stored: resume && startIn(resume, server), tables, progress };
      const { start, exported } = await this.#prepare(client, session, plan);
      const source = { connector: this.connector, name, version } as const;
      const streamed = new StreamedTransactions(await currentSnapshot(session));
      const assembler = new Assembler(source, generation, now);
      const context = this.#pluginContext(session, assembler, streamed);
      const end_lsn = await logEnd(session);
      const begin = resumePoint(server, start);
      const { batch_changes, batch_bytes } = options;
      const common = { source, log, now, batch_changes, batch_bytes };
      if (progress !== undefined) {
        const moment = { start, exported };
        const database = await PostgresSnapshot.open(options, name, context, listed!, moment);
        snapshot = new Snapshot(database, { ...common, generation, progress, stream: begin });
      }
      // The exported snapshot ends with this command: by now every connection is in it.
      const command = this.#command(start);
      const stream = await ReplicationStream.start(client, command, start, options, now);
      const incremental: Running["incremental"] = new Incremental(resume, {
        ...common,
        open: (table) =>
          joining.joined(table, () => openChunk(options, name, context, table, streamed)),
      });
      const parts = { session, options, name, streamed, requests: incremental, log };
      const joining: JoiningTables = new JoiningTables(resume, parts);
      this.#running = {
        session,
        stream,
        server,
        resume,
        generation,
        snapshot,
        end_lsn,
        incremental,
        joining,
        assembler,
        reader: options.plugin === "pgoutput"
          ? new PgoutputReader(context)
          : new Wal2jsonReader(context),
        timers: [],
        done_lsn: start,
        told_lsn: start,
        log_end: end_lsn,
        lost: new AbortController(),
      };
      this.#startTimers(this.#running);
      log.info("stream_started", { lsn: formatLsn(start), plugin: options.plugin });
      return progress === undefined ? begin : withProgress(begin, progress);
    } catch (error) {
      await snapshot?.close();
      await client.end();
      throw explainRefused(error, options);
    }
  }

  /** What stream, snapshot and chunks share. */
  #pluginContext(
    session: Session,
    assembler: Assembler,
    streamed: StreamedTransactions,
  ): PluginContext {
    const options = this.#options;
    return {
      session,
      types: new TypeCatalog(session),
      tables: new TableFactory(options.database),
      assembler,
      log: this.#context.log,
      wanted: tableMatcher(options),
      committed: (end_lsn) => {
        if (this.#running !== undefined) this.#running.done_lsn = end_lsn;
        streamed.add(assembler.xid);
      },
    };
  }

  /** What the snapshot reads: all but the signal table. */
  async #listed(
    session: Session,
    tables: readonly TableName[],
    progress: SnapshotProgress,
  ): Promise<PostgresListed[]> {
    const { signal_table } = this.#options;
    const read = tables.filter(({ schema, table }) => `${schema}.${table}` !== signal_table);
    const listed = await listForSnapshot(session, read);
    refuseCut(progress, listed);
    return listed;
  }

  async #tables(session: Session): Promise<TableName[]> {
    const tables = await wantedTables(session, this.#options);
    if (tables.length === 0) {
      throw new ConfigError(
        `No table of ${placeOf(this.#options)} matches source.tables: ${
          this.#options.tables.join(", ")
        }`,
        { cure: "correct source.tables, or create the table first" },
      );
    }
    if (this.#options.plugin === "wal2json") await refuseUnfaithful(session, tables);
    return tables;
  }

  /**
   * Makes publication and slot where a first start lacks them; answers the LSN to start at, and with a slot
   * made for a snapshot the name of the snapshot that `client` exports. A snapshot that begins makes
   * its slot anew: it reads all rows, so nothing that an old one kept is wanted.
   */
  async #prepare(
    client: pg.Client,
    session: Session,
    { resume, stored = 0n, tables, progress }: Pick<OpenOptions, "resume"> & {
      /** LSN of `resume` in the server's log. */
      readonly stored: bigint | undefined;
      readonly tables: readonly TableName[];
      readonly progress: SnapshotProgress | undefined;
    },
  ): Promise<{ start: bigint; exported?: string }> {
    const { log, name } = this.#context;
    const options = this.#options;
    const names = objectNames(options, name);
    let slot = await findSlot(session, names.slot);
    if (slot === undefined && resume !== undefined) {
      throw new HistoryLostError(
        `Slot ${names.slot} of ${placeOf(options)} is gone: changes since ${
          resume["lsn"]
        } may be lost`,
        { cure: READ_ALL_AGAIN },
      );
    }
    if (slot !== undefined) refuseOtherSlot(slot, options);
    if (options.plugin === "pgoutput") {
      // The publication comes first: decoding looks for it as of the moment of each change.
      // What it lacks when a capture goes on joins by and by: see joining.ts.
      if (resume === undefined) await ensurePublication(session, names.publication, tables, log);
      else await requirePublication(session, names.publication, tables, options);
    }
    if (slot !== undefined && resume === undefined && progress !== undefined) {
      await awaitRelease(session, names.slot);
      await dropSlot(session, names.slot);
      log.info("slot_dropped", { slot: names.slot, lsn: formatLsn(slot.confirmed_lsn) });
      slot = undefined;
    }
    if (options.slot_failover) await refuseWithoutFailover(session, options);
    if (slot === undefined) {
      const made = progress === undefined
        ? { start: await createSlot(session, names.slot, options) }
        : await createExportingSlot(client, names.slot, options);
      const lsn = formatLsn(made.start);
      log.info("slot_created", { slot: names.slot, plugin: options.plugin, lsn });
      return made;
    }
    checkSlot(slot, options);
    await awaitRelease(session, names.slot);
    if (options.slot_failover && !slot.failover) await allowFailover(client, slot);
    // Read again: the predecessor may have confirmed more before it let go.
    const { confirmed_lsn } = await findSlot(session, names.slot) ?? slot;
    if (resume !== undefined && confirmed_lsn > stored) {
      // Only what is stored is confirmed, so this capture did not; the server would start there
      // without a word.
      throw new HistoryLostError(
        `Slot ${names.slot} stands at ${formatLsn(confirmed_lsn)}, ahead of the stored position` +
          ` ${formatLsn(stored)}: it was recreated or moved by another program, and the changes` +
          " between are no longer available",
        { cure: READ_ALL_AGAIN },
      );
    }
    return { start: resume === undefined ? confirmed_lsn : stored };
  }

  #command(start: bigint): string {
    const names = objectNames(this.#options, this.#context.name);
    const parameters = this.#options.plugin === "pgoutput"
      ? {
        proto_version: "1",
        publication_names: quoteIdentifier(names.publication),
      }
      : {
        ...WAL2JSON_OPTIONS,
        "add-tables": wal2jsonTables(this.#options),
        "filter-msg-prefixes": MESSAGE_PREFIX,
      };
    const list = Object.entries(parameters)
      .map(([name, value]) => `${quoteIdentifier(name)} ${quoteLiteral(value)}`);
    return `START_REPLICATION SLOT ${quoteIdentifier(names.slot)} LOGICAL ${formatLsn(start)}` +
      ` (${list.join(", ")})`;
  }

  // Streaming ---------------------------------------------------------------------------------------

  async *batches({ to_end, signal, held = "" }: BatchesOptions): AsyncIterable<SourceBatch> {
    const running = this.#running;
    if (running === undefined) throw new ConfigError("The source is not open");
    const { stream, incremental, resume, lost } = running;
    const over = AbortSignal.any([signal, lost.signal]);
    const { signal_table } = this.#options;
    if (resume !== undefined) {
      refuseOtherTimeline(held, running.generation, resume, running.server);
    }
    if (running.snapshot !== undefined) {
      yield* running.snapshot.batches(over);
      if (signal.aborted) return;
      lost.signal.throwIfAborted();
    }
    if (this.#options.snapshot === "only") return;
    if (this.#options.plugin === "pgoutput") await running.joining.look();
    if (to_end) await this.#forceProgress(running);
    const stop = () => stream.wake();
    signal.addEventListener("abort", stop);
    let told_ms = this.#context.now();
    let told_whole = true;
    let pinged_ms = 0;
    try {
      while (!signal.aborted) {
        const all = await this.#collect(running, signal);
        const changes = takeSignals(all, signal_table, incremental, this.#context.log);
        if (signal.aborted) return;
        lost.signal.throwIfAborted();
        const ended = to_end && atEnd(running) && !incremental.active;
        const moved = running.done_lsn > running.told_lsn;
        const idle_ms = this.#context.now() - told_ms;
        const due = ended || !told_whole || idle_ms >= PROGRESS_INTERVAL_MS;
        if (changes.length > 0 || moved && due || running.joining.takeNews()) {
          told_ms = this.#context.now();
          const batch = this.#batch(running, changes);
          told_whole = batch.whole;
          yield batch;
        }
        if (ended) return;
        const went = incremental.due(changes.length > 0) &&
          (yield* this.#chunk(running, held, over));
        if (changes.length > 0 || went) continue;
        if (to_end && this.#context.now() - pinged_ms >= PING_INTERVAL_MS) {
          pinged_ms = this.#context.now();
          stream.sendStatus(true);
        }
        const soon = to_end || incremental.active;
        const isUntold = running.done_lsn > running.told_lsn;
        const left_ms = Math.max(1, PROGRESS_INTERVAL_MS - (this.#context.now() - told_ms));
        await stream.arrival(soon ? PING_INTERVAL_MS : isUntold ? left_ms : undefined);
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** A chunk of a table that is read again, after the last transaction that was handed on. */
  async *#chunk(
    running: Running,
    held: string,
    signal: AbortSignal,
  ): AsyncGenerator<SourceBatch, boolean> {
    const { assembler, incremental, server, generation, done_lsn } = running;
    if (assembler.open) return false;
    const prefix = chunkPrefix(held, generation, done_lsn);
    if (prefix === undefined) return false;
    const lsn = done_lsn <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(done_lsn) : done_lsn;
    running.told_lsn = done_lsn;
    return yield* incremental.chunk({
      prefix,
      resume: resumePoint(server, done_lsn),
      coordinates: (row) => ({ txId: null, lsn, row }),
    }, signal);
  }

  /** The changes that have arrived, up to the bounds of a batch. */
  async #collect(running: Running, signal: AbortSignal): Promise<Change[]> {
    const { batch_changes, batch_bytes, linger_ms } = this.#options;
    const { stream, reader, assembler } = running;
    let bytes = 0;
    let waits_since_ms: number | undefined;
    assembler.tick();
    while (assembler.length < batch_changes && bytes < batch_bytes) {
      const frame = stream.next();
      if (frame === "data") {
        const { message } = stream;
        bytes += message.end - message.at;
        assembler.at(stream.high, stream.low);
        const pending = reader.read(message);
        if (pending !== undefined) await pending;
        continue;
      }
      if (frame === "keepalive") {
        // Inside a transaction it says how far the server has read, not what has been sent whole.
        if (!assembler.open && stream.sent_lsn > running.done_lsn) {
          running.done_lsn = stream.sent_lsn;
        }
        continue;
      }
      const patience_ms = assembler.open ? Math.max(REST_MS, linger_ms) : linger_ms;
      if (patience_ms === 0 || assembler.length === 0 || signal.aborted) break;
      waits_since_ms ??= this.#context.now();
      const left_ms = waits_since_ms + patience_ms - this.#context.now();
      if (left_ms <= 0) break;
      await stream.arrival(left_ms);
    }
    return assembler.take();
  }

  #batch(running: Running, changes: Change[]): SourceBatch {
    running.told_lsn = running.done_lsn;
    return {
      changes,
      resume: running.incremental.with(resumePoint(running.server, running.done_lsn)),
      whole: !running.assembler.open,
    };
  }

  /**
   * Writes a transaction into the log, so that the stream passes the end that was there at `open`
   * even where nobody writes. Where that is not allowed the server's own records must do.
   */
  async #forceProgress(running: Running): Promise<void> {
    try {
      await emitMessage(running.session, true);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#context.log.debug("end_message_refused", { error });
    }
  }

  /**
   * Asks for the end of the log, and whether the server still streams to us: a connection that has
   * died without a word is known to one side alone. A busy server may stream nothing for minutes.
   */
  async #look({ session, stream }: Running): Promise<{ log_end: bigint; streams: boolean }> {
    const { slot } = objectNames(this.#options, this.#context.name);
    const [row] = await session.query(
      `select ${LOG_END}, (select active_pid from pg_replication_slots where slot_name = $1)`,
      [slot],
    );
    return { log_end: parseLsn(row![0]!), streams: Number(row![1]) === stream.server_process };
  }

  #unheard(): RetryableError {
    return new RetryableError(
      `${placeOf(this.#options)} no longer streams to this capture: the connection is dead`,
    );
  }

  #startTimers(running: Running): void {
    const { heartbeat_interval_ms, plugin, table_refresh_ms } = this.#options;
    const { log } = this.#context;
    const silence_ms = silenceMs(this.#options);
    const fail = (error: unknown) => {
      if (this.#running !== running) return; // it was closed in between
      running.lost.abort(error);
      running.stream.wake();
      void running.session.close().catch(() => {}); // a question under way would wait on
    };
    const repeat = (interval_ms: number, action: () => Promise<void>) => {
      let busy = false;
      let waited_ms = 0;
      const timer = setInterval(() => {
        if (busy) {
          if ((waited_ms += interval_ms) >= silence_ms) fail(this.#unheard());
          return;
        }
        busy = true;
        waited_ms = 0;
        action().catch(fail).finally(() => busy = false);
      }, interval_ms);
      running.timers.push(timer);
      return timer;
    };
    repeat(LAG_INTERVAL_MS, async () => {
      const { log_end, streams } = await this.#look(running);
      running.log_end = log_end;
      if (!streams) throw this.#unheard();
    });
    if (plugin === "pgoutput") repeat(table_refresh_ms, () => running.joining.look());
    if (heartbeat_interval_ms === 0) return;
    const heartbeat = repeat(heartbeat_interval_ms, async () => {
      try {
        await emitMessage(running.session, false);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        clearInterval(heartbeat);
        log.warn("heartbeat_refused", { error, cure: HEARTBEAT_CURE });
      }
    });
  }
}

const HEARTBEAT_CURE =
  "GRANT EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text) to the job's role," +
  " or set heartbeat_interval_ms: 0";

/** Whether everything that the log held at `open` has been handed on. */
function atEnd(running: Running): boolean {
  return running.done_lsn >= running.end_lsn && !running.assembler.open;
}

/** Codes with which a server refuses to write a message: privilege, read-only, a standby. */
function isRefusal(error: unknown): boolean {
  return ["42501", "25006", "55000", "42883"].includes((error as ServerError).code ?? "");
}

async function emitMessage(session: Session, transactional: boolean): Promise<void> {
  await session.query(`select pg_logical_emit_message($1::bool, $2, ''::text)`, [
    String(transactional),
    MESSAGE_PREFIX,
  ]);
}

/**
 * wal2json's option `add-tables`. A pattern becomes all tables of its schema, so that those that are
 * made later come, too; the reader leaves out what is not wanted.
 */
function wal2jsonTables({ tables, signal_table }: PostgresOptions): string {
  const names = [...tables, ...signal_table === undefined ? [] : [signal_table]].map((name) => {
    const [schema, table] = splitTableName(name);
    if (isPattern(schema)) return "*.*";
    return `${wal2jsonName(schema)}.${isPattern(table) ? "*" : wal2jsonName(table)}`;
  });
  return [...new Set(names)].join(",");
}

/** Some characters are escaped with a backslash. */
function wal2jsonName(name: string): string {
  return name.replaceAll(/[ '",.*\\]/g, "\\$&");
}
