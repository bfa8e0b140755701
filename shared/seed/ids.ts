/** The ids that a table holds, for taking some at random in constant time each. */
import { ConfigError } from "../errors.ts";
import type { Random } from "./random.ts";

/** Ids in a typed array: 8 bytes an id. */
export class IdPool {
  readonly #limit: number;
  #ids = new Float64Array(1024);
  #size = 0;

  /** Holds at most `limit` ids. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds ids that are not in the pool. Throws ConfigError beyond the limit, and beyond 2^53 - 1. */
  add(ids: readonly number[]): void {
    const unsafe = ids.find((id) => !Number.isSafeInteger(id));
    if (unsafe !== undefined) {
      throw new ConfigError(`Cannot tell id ${unsafe} from its neighbours: it is beyond 2^53 - 1`, {
        cure: "seed another table, or one whose sequence is lower",
      });
    }
    const size = this.#size + ids.length;
    if (size > this.#limit) {
      throw new ConfigError(
        `Cannot hold ${size} ids of the table in memory: ids_limit allows ${this.#limit}`,
        { cure: `raise ids_limit (8 bytes of memory an id), or seed a smaller table` },
      );
    }
    if (size > this.#ids.length) {
      const grown = new Float64Array(Math.max(size, this.#ids.length * 2));
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids.set(ids, this.#size);
    this.#size = size;
  }

  /**
   * Removes up to `count` ids at random: the first steps of a Fisher-Yates shuffle, from the end,
   * after which the last `count` ids are a fair sample without repetition.
   */
  take(count: number, random: Random): number[] {
    const ids = this.#ids;
    const rest = this.#size - Math.min(count, this.#size);
    for (let last = this.#size - 1; last >= rest; last--) {
      const at = random.below(last + 1);
      const id = ids[at]!;
      ids[at] = ids[last]!;
      ids[last] = id;
    }
    const taken = Array.from(ids.subarray(rest, this.#size));
    this.#size = rest;
    return taken;
  }

  /** Removes and answers all ids. */
  drain(): number[] {
    const all = Array.from(this.#ids.subarray(0, this.#size));
    this.#size = 0;
    return all;
  }
}
