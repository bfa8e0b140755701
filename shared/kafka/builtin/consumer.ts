/**
 * A consumer in a group. A rebalance waits for the handlers, so that no two members ever own one
 * partition while both are alive.
 */
import { aborted, wait } from "../../backoff.ts";
import { classify, RetryableError } from "../../errors.ts";
import { heartbeatMs, METADATA_MS } from "../assignment.ts";
import { type Consumer, type ConsumerOptions, partitionId, type TopicPartition } from "../port.ts";
import { backoffMs, closedError, FaultLog, retrying } from "../retry.ts";
import { committedOffsets } from "./admin.ts";
import type { Cluster } from "./cluster.ts";
import { Fetcher } from "./fetcher.ts";
import { Membership } from "./membership.ts";

/** How long leaving may take before the session's own end is left to do it. */
const LEAVE_MS = 2_000;

/** Why an ownership ends. */
type Interruption = "rebalance" | "lost" | "closed";

/** The consumer of the `builtin` client; owns its cluster. */
export class BuiltinConsumer implements Consumer {
  readonly #cluster: Cluster;
  readonly #options: ConsumerOptions;
  readonly #membership: Membership;
  readonly #closing = new AbortController();
  #fetcher: Fetcher | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, options: ConsumerOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#membership = new Membership(cluster, options);
  }

  /** Joins the group as soon as the caller has the consumer in its hands. */
  start(): void {
    this.#running = new Promise((resolve) => setTimeout(resolve, 0)).then(() => this.#run());
  }

  async commit(
    offsets: readonly (TopicPartition & { readonly next_offset: number })[],
  ): Promise<void> {
    if (offsets.length === 0) return;
    await this.#membership.commit(offsets);
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#fetcher?.pause(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#fetcher?.resume(partitions);
  }

  seek(at: TopicPartition, offset: number): void {
    this.#fetcher?.seek(at, offset);
  }

  async close(): Promise<void> {
    this.#closing.abort("closed" satisfies Interruption);
    await this.#running;
    await this.#cluster.close(closedError("consumer"));
  }

  async #run(): Promise<void> {
    const fault = new FaultLog(this.#cluster.log, `join group ${this.#options.group_id}`);
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted;) {
      try {
        const partitions = await unlessAborted(this.#membership.join(), signal);
        failures = 0;
        fault.over();
        await this.#own(partitions);
      } catch (error) {
        if (signal.aborted) break;
        if (classify(error) === "stop") {
          this.#options.handlers.failed(error);
          break;
        }
        fault.met(error);
        await wait(backoffMs(failures++), signal);
      }
    }
    const left = new AbortController();
    const leaving = this.#membership.leave().catch(() => {}); // the session's end does it, too
    leaving.then(() => left.abort());
    await wait(LEAVE_MS, left.signal);
  }

  /** From one assignment to its revocation; the heartbeat goes on to the very end of it. */
  async #own(partitions: readonly TopicPartition[]): Promise<void> {
    const interrupt = new AbortController();
    const stop = () => interrupt.abort("closed" satisfies Interruption);
    this.#closing.signal.addEventListener("abort", stop, { once: true });
    if (this.#closing.signal.aborted) stop();
    const over = new AbortController();
    const beating = this.#beat(interrupt, over.signal);
    const { handlers, group_id, fetch_bytes } = this.#options;
    const names = partitions.map(partitionId);
    this.#cluster.log.debug("assignment_begun", { group_id, partitions: names });
    const fetcher = new Fetcher(this.#cluster, handlers, fetch_bytes);
    this.#fetcher = fetcher;
    try {
      const answers = partitions.length === 0 ? [] : await handlers.assigned(partitions);
      await this.#begin(fetcher, partitions, answers, interrupt.signal);
      await aborted(interrupt.signal);
    } catch (error) {
      if (!interrupt.signal.aborted) handlers.failed(error);
      await aborted(interrupt.signal);
    } finally {
      await fetcher.stop();
      this.#fetcher = undefined;
      try {
        if (partitions.length > 0) await handlers.revoked(partitions);
      } catch (error) {
        handlers.failed(error);
      }
      const reason = interrupt.signal.reason as Interruption;
      this.#cluster.log.info("assignment_ended", { group_id, reason });
      this.#closing.signal.removeEventListener("abort", stop);
      over.abort();
      await beating;
    }
  }

  /** Starts the fetching, however long the brokers take to tell the offsets; throws when interrupted. */
  async #begin(
    fetcher: Fetcher,
    partitions: readonly TopicPartition[],
    answers: readonly (number | undefined)[],
    signal: AbortSignal,
  ): Promise<void> {
    const { log } = this.#cluster;
    const what = `begin to read for group ${this.#options.group_id}`;
    await retrying({ log, what, signal }, async () => {
      const offsets = await this.#offsets(partitions, answers);
      signal.throwIfAborted();
      await fetcher.start(partitions, offsets);
    });
  }

  /** Where each partition begins: the owner's answer, else what the group committed, else the reset. */
  async #offsets(
    partitions: readonly TopicPartition[],
    answers: readonly (number | undefined)[],
  ): Promise<number[]> {
    const found = new Map(partitions.map((at, index) => [partitionId(at), answers[index]]));
    const { group_id, auto_offset_reset } = this.#options;
    const open = partitions.filter((_, index) => answers[index] === undefined);
    if (open.length > 0) {
      const committed = await committedOffsets(this.#cluster, group_id, open);
      open.forEach((at, index) => found.set(partitionId(at), committed[index]));
      const fresh = open.filter((_, index) => committed[index] === undefined);
      const which = auto_offset_reset === "earliest" ? "first" : "end";
      const reset = await this.#cluster.offsets(fresh, which);
      fresh.forEach((at, index) => found.set(partitionId(at), reset[index]));
    }
    return partitions.map((at) => found.get(partitionId(at))!);
  }

  /** Beats until `over`; a group that goes on without this member interrupts. */
  async #beat(interrupt: AbortController, over: AbortSignal): Promise<void> {
    const { session_timeout_ms, group_id } = this.#options;
    const interval_ms = heartbeatMs(session_timeout_ms);
    const fault = new FaultLog(this.#cluster.log, `heartbeat to group ${group_id}`);
    let since_metadata_ms = 0;
    while (!over.aborted) {
      await wait(interval_ms, over);
      if (over.aborted) return;
      try {
        const pulse = await this.#membership.heartbeat();
        fault.over();
        if (pulse !== "ok") interrupt.abort(pulse satisfies Interruption);
        if (pulse === "lost") return;
        since_metadata_ms += interval_ms;
        if (since_metadata_ms >= METADATA_MS || this.#membership.lacksTopics) {
          since_metadata_ms = 0;
          // A leader that has been cut off from the others answers that there is nothing new.
          void this.#cluster.agree(this.#options.topics).catch(() => {}); // asked again before long
          if (await this.#membership.outdated()) {
            interrupt.abort("rebalance" satisfies Interruption);
          }
        }
      } catch (error) {
        if (over.aborted) return;
        if (error instanceof RetryableError) {
          fault.met(error);
          continue;
        }
        this.#options.handlers.failed(error);
        return;
      }
    }
  }
}

/** `work`, or the signal's reason if that comes first; what `work` throws later is dropped. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
