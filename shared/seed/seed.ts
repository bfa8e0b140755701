/** Writes changes to the table `list`: inserts, updates and deletes of random rows, in transactions. */
import { wait } from "../backoff.ts";
import { ConfigError, RetryableError } from "../errors.ts";
import { IdPool } from "./ids.ts";
import { checkPlan, type Counts, countsBetween, parseMix } from "./plan.ts";
import { Random } from "./random.ts";
import { listRow, listUpdate } from "./values.ts";
import type { SeedWriter } from "./writer.ts";
import type { SeedPlan } from "./options.ts";

/** What a seed did. */
export interface SeedSummary {
  inserted: number;
  updated: number;
  deleted: number;
  /** From the first transaction's begin to the last one's commit. */
  seconds: number;
}

/** What a seed needs from its surroundings. */
export interface SeedContext {
  /** Opens one more connection. */
  open: () => Promise<SeedWriter>;
  /** A clock that never goes back, milliseconds. */
  now: () => number;
  /** Told after every transaction: what it committed. */
  progress: (committed: Counts) => void;
  /** When aborted, running transactions are completed and no further one begins. */
  signal: AbortSignal;
}

/**
 * Makes `plan.rows` changes and answers what was done. One connection with the same seed on an equal
 * table gives the same changes; several share the work, so ids and order vary between runs.
 * Throws ConfigError when the table cannot serve the plan, RetryableError when its rows change underneath.
 */
export async function seed(plan: SeedPlan, context: SeedContext): Promise<SeedSummary> {
  const first = await context.open();
  const writers = [first];
  try {
    await first.create();
    const pool = new IdPool(plan.ids_limit);
    for await (const page of first.ids()) pool.add(page);
    checkPlan(parseMix(plan.mix), plan.rows, pool.size);
    while (writers.length < plan.connections) writers.push(await context.open());
    return await new Seeding(plan, context, pool).run(writers);
  } finally {
    await Promise.allSettled(writers.map((writer) => writer.close()));
  }
}

class Seeding {
  readonly #mix: Counts;
  readonly #batch: number;
  readonly #random: Random;
  readonly #done: Counts = { inserts: 0, updates: 0, deletes: 0 };
  readonly #start: number;
  #next = 0;
  /** Ids in no open transaction. */
  readonly #pool: IdPool;
  #open = 0;
  #waiting: (() => void)[] = [];
  #failed = false;

  constructor(
    readonly plan: SeedPlan,
    readonly context: SeedContext,
    pool: IdPool,
  ) {
    this.#mix = parseMix(plan.mix);
    this.#batch = batchRows(plan);
    this.#random = new Random(plan.seed);
    this.#pool = pool;
    this.#start = context.now();
  }

  async run(writers: readonly SeedWriter[]): Promise<SeedSummary> {
    const ends = await Promise.allSettled(writers.map((writer) => this.#work(writer)));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    const { inserts, updates, deletes } = this.#done;
    return {
      inserted: inserts,
      updated: updates,
      deleted: deletes,
      seconds: (this.context.now() - this.#start) / 1000,
    };
  }

  async #work(writer: SeedWriter): Promise<void> {
    while (this.#next < this.plan.rows && !this.context.signal.aborted && !this.#failed) {
      const from = this.#next;
      const to = this.#next = Math.min(from + this.#batch, this.plan.rows);
      if (this.plan.rate !== undefined) await this.#pace(from);
      this.#open++;
      try {
        await this.#transaction(writer, countsBetween(this.#mix, from, to));
      } catch (error) {
        this.#failed = true;
        throw error;
      } finally {
        this.#open--;
        for (const wake of this.#waiting.splice(0)) wake();
      }
    }
  }

  /** Waits until the change numbered `from` is due. */
  async #pace(from: number): Promise<void> {
    const due = this.#start + from / this.plan.rate! * 1000;
    const wait_ms = due - this.context.now();
    if (wait_ms > 0) await wait(wait_ms, this.context.signal);
  }

  /** Another one where two connections waited for each other's locks and the server gave up this one. */
  async #transaction(writer: SeedWriter, counts: Counts): Promise<void> {
    for (let attempt = 1;; attempt++) {
      const held: number[] = [];
      try {
        return await this.#attempt(writer, counts, held);
      } catch (error) {
        if (!isDeadlock(error) || attempt === MOST_ATTEMPTS) throw error;
        await writer.rollback();
        this.#pool.add(held);
      }
    }
  }

  /**
   * Inserts come first, so that rows may be changed again in the transaction that made them. `held`
   * gets the ids that it takes from the pool.
   */
  async #attempt(writer: SeedWriter, counts: Counts, held: number[]): Promise<void> {
    const own = new IdPool(this.plan.ids_limit);
    await writer.begin();
    if (counts.inserts > 0) {
      const rows = Array.from({ length: counts.inserts }, () => listRow(this.#random));
      own.add(await writer.insert(rows));
    }
    await this.#inStatements(counts.updates, { own, held }, async (ids) => {
      const changed = await writer.update(ids.map((id) => listUpdate(this.#random, id)));
      own.add(ids);
      return changed;
    });
    await this.#inStatements(counts.deletes, { own, held }, (ids) => writer.delete(ids));
    await writer.commit();

    this.#pool.add(own.drain());
    this.#done.inserts += counts.inserts;
    this.#done.updates += counts.updates;
    this.#done.deletes += counts.deletes;
    this.context.progress(counts);
  }

  /** Changes `count` rows; in several statements only where there are fewer rows than that. */
  async #inStatements(
    count: number,
    from: IdSources,
    statement: (ids: number[]) => Promise<number>,
  ): Promise<void> {
    while (count > 0) {
      const ids = await this.#take(count, from);
      const changed = await statement(ids);
      if (changed !== ids.length) {
        throw new RetryableError(
          `${ids.length} rows were to change and ${changed} did: another process writes to the table`,
          { cure: "seed the table from one process at a time, and start again" },
        );
      }
      count -= ids.length;
    }
  }

  /**
   * Different ids over the whole table: those of this transaction and those that none holds. In
   * ascending order, in which the server finds them fastest.
   */
  async #take(count: number, { own, held }: IdSources): Promise<number[]> {
    while (own.size + this.#pool.size === 0) await this.#otherTransaction();
    const wanted = Math.min(count, own.size + this.#pool.size);
    const share = Math.round(wanted * own.size / (own.size + this.#pool.size));
    const ids = own.take(Math.max(share, wanted - this.#pool.size), this.#random);
    const others = this.#pool.take(wanted - ids.length, this.#random);
    for (const id of others) held.push(id);
    return ids.concat(others).sort((a, b) => a - b);
  }

  /** Whoever waits here holds no id, so that the holders can always finish. */
  #otherTransaction(): Promise<void> {
    if (this.#waiting.length + 1 >= this.#open) {
      throw new ConfigError("Cannot update or delete: the table has run out of rows", {
        cure: "raise the share of inserts in mix, or lower rows or batch",
      });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Where a transaction takes ids from. */
interface IdSources {
  /** Its own. */
  readonly own: IdPool;
  /** Gets those that come from the pool of all. */
  readonly held: number[];
}

/** Far more than connections that seed one table meet in a row. */
const MOST_ATTEMPTS = 10;

/** Whether the server has rolled a transaction back so that another could go on. */
function isDeadlock(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ER_LOCK_DEADLOCK" || code === "40P01";
}

/** Rows of a transaction: with a rate, a hundredth of a second's worth keeps the flow even. */
function batchRows(plan: SeedPlan): number {
  return plan.batch ?? (plan.rate === undefined ? 2000 : Math.max(1, Math.ceil(plan.rate / 100)));
}
