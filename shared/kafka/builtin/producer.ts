/** An idempotent producer. */
import { pause } from "../../backoff.ts";
import { HistoryLostError, type RecordError, RetryableError } from "../../errors.ts";
import { crc32c } from "../../wire/crc32c.ts";
import { PackedRecords } from "../../wire/packed_records.ts";
import { RecordBatchWriter, type WrittenBatch } from "../../wire/record_batch.ts";
import { codecs } from "../codecs.ts";
import { errorName } from "../error_names.ts";
import { brokerFault, isPassing, isTooLarge, SpentError } from "../faults.ts";
import { OneSend } from "../one_send.ts";
import {
  type Acknowledged,
  type OutBatch,
  partitionId,
  type Producer,
  type ProducerOptions,
  type TopicPartition,
} from "../port.ts";
import {
  addPartitionsToTxn,
  describeTransactions,
  endTxn,
  initProducerId,
  produce,
} from "../requests.ts";
import { backoffMs, closedError, FaultLog, retrying } from "../retry.ts";
import { check, type Cluster } from "./cluster.ts";

/** The broker's answer waits for all in-sync replicas. */
const ACKS_ALL = -1;
/** Sequence numbers are 31 bits and begin again at 0. */
const SEQUENCES = 2 ** 31;
/** Only the fence's empty transaction has to end within it. */
const TRANSACTION_TIMEOUT_MS = 60_000;
/** Of a request of 100 MiB a broker reads nothing: it ends the connection (`socket.request.max.bytes`). */
const REQUEST_BYTES = 99 << 20;

/** An id and epoch under which batches are written. */
interface Identity {
  readonly producer_id: bigint;
  readonly producer_epoch: number;
}

/** What is to be written to one partition in this send. */
interface PartitionSend extends TopicPartition {
  readonly id: string;
  /** In order, with the place in the answer of `send`; the first is at work. */
  readonly jobs: { readonly records: PackedRecords; readonly index: number }[];
  /** Records of the first job that are acknowledged. */
  done: number;
  /** Offset after them; -1: none is. */
  next_offset: number;
  /** Written and not acknowledged: kept byte for byte, as a repetition must be the same. */
  pending: WrittenBatch | undefined;
  /** The batch after it, written while that is in flight; not stamped yet. */
  following: WrittenBatch | undefined;
  /** Most records in one batch; lowered when the broker calls one too large. */
  count_limit: number;
}

/** What a broker answered for one partition. */
interface Answer {
  readonly part: PartitionSend;
  /** Kafka's name of the error; undefined: written, or the broker could not be asked. */
  readonly refusal?: string;
  /** Why the broker could not be asked. */
  readonly fault?: Error;
  readonly base_offset: number;
}

/** The producer of the `builtin` client. */
export class BuiltinProducer implements Producer {
  readonly #cluster: Cluster;
  readonly #identity: Identity;
  readonly #transactional_id: string;
  /** One of those on which older producers were shut out; undefined: none was. */
  readonly #fenced: TopicPartition | undefined;
  readonly #tells_too_large: boolean;
  readonly #writer: RecordBatchWriter;
  readonly #sequences = new Map<string, number>();
  readonly #topic_ids = new Map<string, string>();
  /** First batches of later sends, not stamped yet. */
  readonly #prepared = new WeakMap<PackedRecords, WrittenBatch>();
  readonly #fault: FaultLog;
  readonly #one = new OneSend();

  private constructor(cluster: Cluster, identity: Identity, options: ProducerOptions) {
    this.#cluster = cluster;
    this.#identity = identity;
    this.#transactional_id = options.transactional_id;
    this.#fenced = options.fence.partitions[0];
    this.#tells_too_large = options.tells_too_large ?? false;
    const { id, compress } = codecs[cluster.settings.compression];
    this.#writer = new RecordBatchWriter({ crc32c, compression_id: id, compress });
    this.#fault = new FaultLog(cluster.log, "produce");
  }

  /** Shuts older producers out and takes over their partitions; owns `cluster` from then on. */
  static async open(cluster: Cluster, options: ProducerOptions): Promise<BuiltinProducer> {
    const { transactional_id, fence } = options;
    const others = fence.ids.filter((id) => id !== transactional_id);
    const [identity] = await Promise.all(
      [transactional_id, ...others].map((id) => shutOut(cluster, id, fence.partitions)),
    );
    return new BuiltinProducer(cluster, identity!, options);
  }

  send(batches: readonly OutBatch[]): Promise<Acknowledged[]> {
    return this.#one.run(() => this.#send(batches));
  }

  prepare(batches: readonly OutBatch[]): void {
    const { batch_bytes } = this.#cluster.settings;
    for (const { records } of batches) {
      if (!(records instanceof PackedRecords)) continue; // they are packed anew for their send
      this.#prepared.set(records, this.#writer.write(records, 0, batch_bytes));
    }
  }

  /** Another empty transaction, under the same epoch, on one partition. */
  async keepFence(): Promise<void> {
    const fenced = this.#fenced;
    if (fenced === undefined) return;
    const id = this.#transactional_id;
    const { log, signal } = this.#cluster;
    await this.#one.run(async () => {
      const spent = await retrying({ log, what: `keep the fence of ${id}`, signal }, async () => {
        const node = await this.#cluster.coordinator("transaction", id);
        try {
          await abortEmpty(this.#cluster, node, id, this.#identity, [fenced]);
        } catch (error) {
          if (error instanceof SpentError) return error;
          throw error;
        }
      });
      if (spent !== undefined) throw spent;
    });
  }

  async close(): Promise<void> {
    await this.#cluster.close(closedError("producer"));
  }

  async #send(batches: readonly OutBatch[]): Promise<Acknowledged[]> {
    const acknowledged: Acknowledged[] = [];
    let parts = toParts(batches);
    for (let failures = 0; parts.length > 0;) {
      const answers = await this.#exchange(parts);
      const faults: Error[] = [];
      for (const answer of answers) {
        const fault = await this.#settle(answer, acknowledged);
        if (fault !== undefined) faults.push(fault);
      }
      parts = parts.filter(({ jobs }) => jobs.length > 0);
      if (faults.length === 0) {
        failures = 0;
        this.#fault.over();
        continue;
      }
      faults.forEach((fault) => this.#fault.met(fault));
      await pause(backoffMs(failures++), this.#cluster.signal);
    }
    return acknowledged;
  }

  /**
   * Sends the parts' next batches, one request to each leader: at least one batch, and no more when
   * all have `send_bytes`. While one leader writes its batches, those for the next are made.
   */
  async #exchange(parts: readonly PartitionSend[]): Promise<Answer[]> {
    const { send_bytes } = this.#cluster.settings;
    const groups = new Map<number, PartitionSend[]>();
    const answers: Answer[] = [];
    for (const part of parts) {
      try {
        const leader = await this.#cluster.leader(part);
        await this.#refuseRemade(part.topic);
        groups.set(leader, [...groups.get(leader) ?? [], part]);
      } catch (fault) {
        answers.push(this.#unreachable(part, fault));
      }
    }
    const requests: Promise<Answer[]>[] = [];
    let bytes = 0;
    for (const [leader, group] of groups) {
      const round: PartitionSend[] = [];
      let round_bytes = 0;
      for (const part of group) {
        if (bytes >= send_bytes && round.length > 0) break;
        const { length } = this.#write(part).bytes;
        if (length > REQUEST_BYTES) {
          answers.push({ part, refusal: "MESSAGE_TOO_LARGE", base_offset: -1 });
          continue;
        }
        if (round_bytes + length > REQUEST_BYTES) break;
        round_bytes += length;
        bytes += length;
        round.push(part);
      }
      if (round.length === 0) continue;
      const request = this.#produce(leader, round);
      request.catch(() => {}); // told below, when the others are under way
      requests.push(request);
    }
    for (const part of parts) this.#writeAhead(part);
    return [...answers, ...(await Promise.all(requests)).flat()];
  }

  /** The batch that the part has to send next. */
  #write(part: PartitionSend): WrittenBatch {
    if (part.pending !== undefined) return part.pending;
    part.pending = part.following ?? this.#batch(part, 0);
    part.following = undefined;
    const base_sequence = this.#sequences.get(part.id) ?? 0;
    this.#writer.stamp(part.pending, { ...this.#identity, base_sequence });
    return part.pending;
  }

  /** Makes the batch after the one that is in flight. */
  #writeAhead(part: PartitionSend): void {
    const { pending, jobs, done } = part;
    if (pending === undefined || done + pending.count >= jobs[0]!.records.length) return;
    part.following ??= this.#batch(part, pending.count);
  }

  /** The part's records after the next `ahead`. */
  #batch({ jobs, done, count_limit }: PartitionSend, ahead: number): WrittenBatch {
    const { records } = jobs[0]!;
    const from = done + ahead;
    const prepared = from === 0 ? this.#prepared.get(records) : undefined;
    this.#prepared.delete(records);
    if (prepared !== undefined && prepared.count <= count_limit) return prepared;
    const count = Math.min(count_limit, records.length - from);
    return this.#writer.write(records, from, this.#cluster.settings.batch_bytes, count);
  }

  /** Whoever reads the topic has lost what was written to the one before. */
  async #refuseRemade(topic: string): Promise<void> {
    const { id } = await this.#cluster.topic(topic);
    const known = this.#topic_ids.get(topic) ?? id;
    this.#topic_ids.set(topic, known);
    if (id === known) return;
    throw new HistoryLostError(
      `Topic ${topic} was deleted and recreated while it was written: its id was ${known} and is ${id}`,
      { cure: "start the job again: it says what is lost and what to do" },
    );
  }

  async #produce(leader: number, parts: readonly PartitionSend[]): Promise<Answer[]> {
    const topics = [...Map.groupBy(parts, ({ topic }) => topic)].map(([name, all]) => ({
      name,
      partitions: all.map(({ partition, pending }) => ({
        index: partition,
        records: pending!.bytes,
      })),
    }));
    // The broker must give up on its replicas before this side gives up on the broker.
    const timeout_ms = Math.ceil(this.#cluster.settings.request_timeout_ms * 0.8);
    try {
      const { responses } = await this.#cluster.call("main", leader, produce, {
        transactional_id: null, // the batches stand outside of transactions
        acks: ACKS_ALL,
        timeout_ms,
        topics,
      });
      const codes = new Map<string, { code: number; base_offset: number }>();
      for (const { name, partitions } of responses) {
        for (const { index, error_code, base_offset } of partitions) {
          const id = partitionId({ topic: name, partition: index });
          codes.set(id, { code: error_code, base_offset });
        }
      }
      return parts.map((part) => {
        const { code, base_offset } = codes.get(part.id) ?? { code: -1, base_offset: -1 };
        return code === 0 ? { part, base_offset } : { part, base_offset, refusal: errorName(code) };
      });
    } catch (fault) {
      return parts.map((part) => this.#unreachable(part, fault));
    }
  }

  /** A broker could not be asked: what a person must mend is thrown, the rest is tried again. */
  #unreachable(part: PartitionSend, fault: unknown): Answer {
    this.#cluster.signal.throwIfAborted();
    if (!(fault instanceof RetryableError)) throw fault;
    this.#cluster.forget(part.topic);
    return { part, fault, base_offset: -1 };
  }

  /** Takes an answer in; what comes back is a passing fault. Throws when the producer is spent. */
  async #settle(answer: Answer, acknowledged: Acknowledged[]): Promise<Error | undefined> {
    const { part, refusal, fault, base_offset } = answer;
    if (fault !== undefined) return fault;
    if (refusal === undefined) return this.#advance(part, base_offset, acknowledged);
    if (refusal === "DUPLICATE_SEQUENCE_NUMBER") {
      // An earlier attempt wrote it, too long ago for the broker to know where.
      const [end] = await retrying({
        log: this.#cluster.log,
        what: `find the end of ${part.id}`,
        signal: this.#cluster.signal,
      }, () => this.#cluster.offsets([part], "end"));
      return this.#advance(part, end! - part.pending!.count, acknowledged);
    }
    const { count } = part.pending!;
    if (isTooLarge(refusal) && count > 1) {
      part.count_limit = Math.ceil(count / 2);
      part.pending = part.following = undefined;
      return undefined;
    }
    const error = brokerFault(refusal, this.#describe(part));
    if (isTooLarge(refusal) && this.#tells_too_large) {
      return this.#giveUp(part, error as RecordError, acknowledged);
    }
    if (!isPassing(refusal)) throw error;
    this.#cluster.forget(part.topic);
    return error;
  }

  #advance(part: PartitionSend, base_offset: number, acknowledged: Acknowledged[]): undefined {
    const { bytes, count } = part.pending!;
    const { records, index } = part.jobs[0]!;
    // At once, and not when garbage is collected. It has gone out: a connection that does not answer in
    // time is destroyed before the batch is sent again.
    bytes.buffer.transfer(0);
    this.#sequences.set(part.id, ((this.#sequences.get(part.id) ?? 0) + count) % SEQUENCES);
    part.pending = undefined;
    part.done += count;
    part.next_offset = base_offset + count;
    if (part.done < records.length) return;
    const { topic, partition, next_offset } = part;
    acknowledged[index] = { topic, partition, next_offset };
    part.jobs.shift();
    part.done = 0;
    part.next_offset = -1;
  }

  /** Leaves the part where it stands: the broker took nothing of what was refused, its number neither. */
  #giveUp(part: PartitionSend, error: RecordError, acknowledged: Acknowledged[]): undefined {
    const { topic, partition, next_offset, done } = part;
    const { index } = part.jobs[0]!;
    acknowledged[index] = { topic, partition, next_offset, too_large: { index: done, error } };
    part.jobs.length = 0;
  }

  #describe(part: PartitionSend): string {
    const { count, bytes } = part.pending!;
    return `Writing ${count === 1 ? "a record" : `${count} records`} (${bytes.length} bytes ` +
      `compressed with ${this.#cluster.settings.compression}) to ${part.id}`;
  }
}

function toParts(batches: readonly OutBatch[]): PartitionSend[] {
  const parts = new Map<string, PartitionSend>();
  batches.forEach((batch, index) => {
    const { topic, partition, records } = batch;
    const id = partitionId(batch);
    if (records.length === 0) throw new RangeError(`Cannot send a batch without records to ${id}`);
    let part = parts.get(id);
    if (part === undefined) {
      part = {
        topic,
        partition,
        id,
        jobs: [],
        done: 0,
        next_offset: -1,
        pending: undefined,
        following: undefined,
        count_limit: Infinity,
      };
      parts.set(id, part);
    }
    part.jobs.push({ records: PackedRecords.of(records), index });
  });
  return [...parts.values()];
}

/**
 * Shuts out every older producer of `transactional_id` on the partitions: an empty transaction is
 * aborted under a newer epoch, and its markers carry that epoch to each partition.
 * Resolves when the markers stand in the partitions, so that tails read now are complete.
 */
async function shutOut(
  cluster: Cluster,
  transactional_id: string,
  partitions: readonly TopicPartition[],
): Promise<Identity> {
  const retry = {
    log: cluster.log,
    what: `fence producer ${transactional_id}`,
    signal: cluster.signal,
    give_up_ms: cluster.settings.retry_timeout_ms,
  };
  const identity = await retrying(retry, async () => {
    const node = await cluster.coordinator("transaction", transactional_id);
    const identity = await initProducer(cluster, node, transactional_id);
    if (partitions.length > 0) {
      await abortEmpty(cluster, node, transactional_id, identity, partitions);
    }
    return identity;
  });
  if (partitions.length > 0) {
    await retrying(retry, () => markersWritten(cluster, transactional_id));
  }
  return identity;
}

async function initProducer(
  cluster: Cluster,
  node: number,
  transactional_id: string,
): Promise<Identity> {
  const { error_code, producer_id, producer_epoch } = await cluster.call(
    "main",
    node,
    initProducerId,
    {
      transactional_id,
      transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
      producer_id: -1n,
      producer_epoch: -1,
    },
  );
  cluster.checkCoordinator(error_code, `Taking over producer ${transactional_id}`);
  return { producer_id, producer_epoch };
}

async function abortEmpty(
  cluster: Cluster,
  node: number,
  transactional_id: string,
  { producer_id, producer_epoch }: Identity,
  partitions: readonly TopicPartition[],
): Promise<void> {
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, all]) => ({
    name,
    partitions: all.map(({ partition }) => partition),
  }));
  const added = await cluster.call("main", node, addPartitionsToTxn, {
    transactional_id,
    producer_id,
    producer_epoch,
    topics,
  });
  for (const { name, partitions } of added.results) {
    for (const { partition_index, error_code } of partitions) {
      // The partitions beside a refused one say only that they were not tried.
      if (error_code === OPERATION_NOT_ATTEMPTED) continue;
      const what = `Fencing producer ${transactional_id} on ${name}/${partition_index}`;
      cluster.checkCoordinator(error_code, what);
    }
  }
  const ended = await cluster.call("main", node, endTxn, {
    transactional_id,
    producer_id,
    producer_epoch,
    committed: false,
  });
  check(ended.error_code, `Ending the fence of producer ${transactional_id}`);
}

const OPERATION_NOT_ATTEMPTED = 55;

/** Markers are written within milliseconds of the end of a transaction. */
const MARKER_POLL_MS = 10;
/** After so long one of the partitions may have no leader: that is told, and asked for less often. */
const MARKER_PATIENCE_MS = 1_000;

/** Resolves when the coordinator has written the markers to all partitions. */
async function markersWritten(cluster: Cluster, transactional_id: string): Promise<void> {
  const node = await cluster.coordinator("transaction", transactional_id);
  const deadline = performance.now() + MARKER_PATIENCE_MS;
  for (;;) {
    const { transaction_states } = await cluster.call("main", node, describeTransactions, {
      transactional_ids: [transactional_id],
    });
    const { error_code, transaction_state } = transaction_states[0]!;
    check(error_code, `Asking for the transaction of ${transactional_id}`);
    if (transaction_state === "CompleteAbort" || transaction_state === "Empty") return;
    if (performance.now() > deadline) {
      throw new RetryableError(
        `The markers of ${transactional_id} are not in all partitions yet (${transaction_state})`,
      );
    }
    await pause(MARKER_POLL_MS, cluster.signal);
  }
}
