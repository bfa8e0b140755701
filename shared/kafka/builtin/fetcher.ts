/**
 * Fetches the assigned partitions and hands their batches over: one at a time for each partition, and
 * a few at a time over all of them, so that memory does not grow with their number.
 */
import { pause } from "../../backoff.ts";
import { RetryableError } from "../../errors.ts";
import { nextOffset } from "../../wire/record_batch.ts";
import { bytesFor } from "../distance.ts";
import { errorName } from "../error_names.ts";
import { brokerFault, isPassing } from "../faults.ts";
import { AnswerMemory, type Fetched, giveBack, takeBatch } from "../fetch.ts";
import { type ConsumerHandlers, partitionId, type TopicPartition } from "../port.ts";
import { backoffMs, FaultLog, retrying } from "../retry.ts";
import type { Cluster } from "./cluster.ts";
import { fetchFrom } from "./reader.ts";

/**
 * Most bytes of the fetches under way, a share of them for each broker; while so many wait to be handed
 * over, no fetch begins. Kafka's fetch.max.bytes is 50 MiB, a third is enough on one core.
 */
const RESPONSE_BYTES = 16 << 20;
/**
 * Batches that are handled at once: a decompressed one, read, takes some megabytes. One is at work on the
 * core; the others wait for a disk or a server.
 */
const MOST_AT_WORK = 8;
/** While a partition of the broker is being handled, an idle one must not hold its next fetch back. */
const BUSY_WAIT_MS = 10;
/**
 * A round trip of so many milliseconds is worth `fetch_bytes` again. Far from the brokers those take less
 * time than the way there and back, in which nothing comes: at 800 ms and 20 Mbit/s they used a fifth of
 * the line.
 */
const FAR_MS = 100;

/** Record batches of a partition that were not handed over yet. */
interface Held {
  readonly fetched: Fetched;
  /** Offset of the first record that is wanted. */
  readonly from: number;
  /** Of the answer that brought them. */
  readonly memory: AnswerMemory;
}

/** One assigned partition. */
interface Slot {
  readonly at: TopicPartition;
  readonly id: string;
  /** Where the next fetch begins. */
  offset: number;
  /** The topic as it was when this offset was meant. */
  topic_id: string;
  paused: boolean;
  /** Fetched and not handed over yet: at most one, undecoded; nothing while paused. */
  held: Held | undefined;
  /** The handler at work. */
  handling: Promise<void> | undefined;
  /** Being asked where to go on. */
  lost: boolean;
  /** The broker that is asked for it. */
  leader: number;
  /** A fetch is under way. */
  asked: boolean;
  /** After a fault: not to be tried before a while. */
  waiting: boolean;
  /** Counts seeks, so that an answer to an older fetch is dropped. */
  version: number;
  /** Number of the answer that last brought batches of it; 0: none has. */
  served: number;
}

/** What the fetcher tells. */
export type FetchHandlers = Pick<ConsumerHandlers, "batch" | "failed" | "outOfRange">;

/** The fetching of one assignment, from `start` to `stop`. */
export class Fetcher {
  readonly #cluster: Cluster;
  readonly #handlers: FetchHandlers;
  readonly #fetch_bytes: number;
  readonly #slots = new Map<string, Slot>();
  readonly #busy = new Set<number>();
  /** Slots whose batch waits for its turn, the first one first. */
  readonly #queue = new Set<Slot>();
  #at_work = 0;
  readonly #stop = new AbortController();
  readonly #fault: FaultLog;
  /** Partitions that the last attempt could not fetch. */
  readonly #failing = new Set<Slot>();
  #failures = 0;
  #answers = 0;

  constructor(cluster: Cluster, handlers: FetchHandlers, fetch_bytes: number) {
    this.#cluster = cluster;
    this.#handlers = handlers;
    this.#fetch_bytes = fetch_bytes;
    this.#fault = new FaultLog(cluster.log, "fetch");
  }

  /** Begins to fetch the partitions from the offsets given, in the same order. */
  async start(partitions: readonly TopicPartition[], offsets: readonly number[]): Promise<void> {
    for (const [index, at] of partitions.entries()) {
      const id = partitionId(at);
      this.#slots.set(id, {
        at,
        id,
        offset: offsets[index]!,
        topic_id: (await this.#cluster.topic(at.topic)).id,
        paused: false,
        held: undefined,
        handling: undefined,
        lost: false,
        leader: -1,
        asked: false,
        waiting: false,
        version: 0,
        served: 0,
      });
    }
    this.#pump();
  }

  /** Hands nothing over any more; resolves when the handlers at work have ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled([...this.#slots.values()].map(({ handling }) => handling));
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const slot of this.#find(partitions)) {
      slot.paused = true;
      // It might never be resumed: what it holds is fetched again then.
      if (slot.held !== undefined) move(slot, slot.held.from);
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const slot of this.#find(partitions)) slot.paused = false;
    this.#pump();
  }

  seek(at: TopicPartition, offset: number): void {
    for (const slot of this.#find([at])) move(slot, offset);
    this.#pump();
  }

  #find(partitions: readonly TopicPartition[]): Slot[] {
    return partitions.map((at) => this.#slots.get(partitionId(at)))
      .filter((slot) => slot !== undefined);
  }

  /** Starts a fetch at every broker that has none and leads a partition that is ready for one. */
  #pump(): void {
    if (this.#stop.signal.aborted) return;
    this.#launch().catch((error) => this.#fail(error));
  }

  async #launch(): Promise<void> {
    const ready = [...this.#slots.values()].filter(isReady);
    if (ready.length === 0 || this.#heldBytes() >= RESPONSE_BYTES) return;
    const groups = new Map<number, Slot[]>();
    for (const slot of ready) {
      const leader = await this.#leader(slot);
      if (leader === undefined) continue;
      slot.leader = leader;
      if (this.#busy.has(leader) || !isReady(slot)) continue;
      groups.set(leader, [...groups.get(leader) ?? [], slot]);
    }
    if (this.#stop.signal.aborted) return;
    for (const [leader, slots] of groups) {
      // Another launch may have come first while the leaders were looked up.
      const free = slots.filter(isReady);
      if (this.#busy.has(leader) || free.length === 0) continue;
      this.#busy.add(leader);
      free.forEach((slot) => slot.asked = true);
      this.#fetch(leader, free).catch((error) => this.#fail(error));
    }
  }

  /** The partition's leader; undefined while it cannot be told: then it is tried again later. */
  async #leader(slot: Slot): Promise<number | undefined> {
    try {
      const leader = await this.#cluster.leader(slot.at);
      const { id } = await this.#cluster.topic(slot.at.topic);
      if (id === slot.topic_id) return leader;
      this.#relocate(slot);
    } catch (error) {
      this.#later([slot], error);
    }
    return undefined;
  }

  async #fetch(leader: number, ready: readonly Slot[]): Promise<void> {
    // A batch larger than `fetch_bytes` comes whole only for the first partition that has any, else
    // cut off: who was served longest ago goes first, or news of others would hold it back for ever.
    const slots = ready.toSorted((a, b) => a.served - b.served);
    const max_bytes = bytesFor(this.#fetch_bytes, this.#cluster.round_trip_ms, FAR_MS);
    try {
      const versions = slots.map(({ version }) => version);
      const wanted = slots.map(({ at, offset }) => ({ ...at, offset, max_bytes }));
      const all = [...this.#slots.values()];
      const others = all.some((slot) => slot.leader === leader && slot.held !== undefined);
      const brokers = new Set(all.map((slot) => slot.leader)).size;
      const fetched = await fetchFrom(this.#cluster, leader, wanted, {
        wait_ms: others
          ? Math.min(BUSY_WAIT_MS, this.#cluster.settings.fetch_wait_ms)
          : this.#cluster.settings.fetch_wait_ms,
        max_bytes: Math.min(Math.floor(RESPONSE_BYTES / brokers), max_bytes * slots.length),
      });
      slots.forEach((slot) => slot.asked = false);
      this.#busy.delete(leader);
      const memory = new AnswerMemory(fetched);
      for (const one of fetched) {
        const index = slots.findIndex(({ id }) => id === partitionId(one));
        const slot = slots[index];
        if (slot !== undefined && slot.version === versions[index]) this.#take(slot, one, memory);
      }
    } catch (error) {
      slots.forEach((slot) => slot.asked = false);
      this.#busy.delete(leader);
      slots.forEach(({ at }) => this.#cluster.forget(at.topic));
      this.#later(slots, error);
      return;
    }
    this.#pump();
  }

  #take(slot: Slot, fetched: Fetched, memory: AnswerMemory): void {
    const name = errorName(fetched.error_code);
    if (fetched.error_code === 0) {
      this.#recovered(slot);
      if (fetched.bytes.length === 0 || slot.paused) return;
      const next = nextOffset(fetched.bytes, slot.offset);
      if (next === slot.offset) return;
      slot.held = { fetched, from: slot.offset, memory };
      slot.offset = next;
      slot.served = ++this.#answers;
      this.#hand(slot);
    } else if (name === "OFFSET_OUT_OF_RANGE") {
      this.#relocate(slot);
    } else {
      this.#cluster.forget(slot.at.topic);
      const error = brokerFault(name, `Fetching ${slot.id}`);
      if (!isPassing(name)) this.#fail(error);
      else this.#later([slot], error);
    }
  }

  #heldBytes(): number {
    return [...this.#slots.values()]
      .reduce((sum, { held }) => sum + (held?.fetched.bytes.length ?? 0), 0);
  }

  /** Hands the held batch over, when its turn comes, unless its handler is at work. */
  #hand(slot: Slot): void {
    this.#queue.add(slot);
    for (const next of this.#queue) {
      if (this.#at_work === MOST_AT_WORK) return;
      this.#queue.delete(next);
      this.#handNow(next);
    }
  }

  #handNow(slot: Slot): void {
    const { held } = slot;
    const idle = slot.handling === undefined && !slot.lost;
    if (held === undefined || !idle || this.#stop.signal.aborted) return;
    this.#at_work++;
    const work = async () => {
      const { batch, left, payloads } = takeBatch(held.fetched, held.from);
      slot.held = left && { ...held, fetched: left, from: batch.next_offset };
      await this.#handlers.batch(batch);
      giveBack(payloads);
      if (left === undefined) held.memory.done();
    };
    slot.handling = work().finally(() => {
      slot.handling = undefined;
      this.#at_work--;
    }).then(() => {
      this.#hand(slot);
      this.#pump();
    }, (error) => this.#fail(error));
    this.#pump();
  }

  /** The offset is gone or the topic is another: asks the owner where to go on. */
  #relocate(slot: Slot): void {
    if (slot.lost) return;
    slot.lost = true;
    const work = async () => {
      await slot.handling;
      const { first, end, topic_id } = await retrying({
        log: this.#cluster.log,
        what: `find the offsets of ${slot.id}`,
        signal: AbortSignal.any([this.#stop.signal, this.#cluster.signal]),
      }, async () => {
        const range = await this.#cluster.range(slot.at);
        return { ...range, topic_id: (await this.#cluster.topic(slot.at.topic)).id };
      });
      const asked = slot.held?.from ?? slot.offset;
      const same = topic_id === slot.topic_id;
      // A follower that became the leader may have been behind for a moment.
      if (!same || asked < first || asked > end) {
        move(slot, await this.#handlers.outOfRange(slot.at, asked, first, end));
        slot.topic_id = topic_id;
      }
      slot.lost = false;
      this.#hand(slot);
      this.#pump();
    };
    work().catch((error) => this.#fail(error));
  }

  /** Tries the partitions again after a while; the others go on. */
  #later(slots: readonly Slot[], error: unknown): void {
    if (!(error instanceof RetryableError)) return this.#fail(error);
    if (this.#stop.signal.aborted) return;
    this.#fault.met(error);
    for (const slot of slots) {
      slot.waiting = true;
      this.#failing.add(slot);
    }
    pause(backoffMs(this.#failures++), this.#stop.signal).then(() => {
      for (const slot of slots) slot.waiting = false;
      this.#pump();
    }, () => {});
  }

  #recovered(slot: Slot): void {
    if (!this.#failing.delete(slot) || this.#failing.size > 0) return;
    this.#failures = 0;
    this.#fault.over();
  }

  #fail(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#handlers.failed(error);
  }
}

function isReady(slot: Slot): boolean {
  return !slot.paused && !slot.lost && !slot.asked && !slot.waiting && slot.held === undefined;
}

function move(slot: Slot, offset: number): void {
  slot.version++;
  slot.offset = offset;
  slot.held = undefined;
}
