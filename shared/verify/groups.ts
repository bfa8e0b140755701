/** Records of one identity, found by its hash. */
import type { Records } from "./records.ts";

/** A group that is not there. */
export const NONE = -1;

/** Groups are numbered from 0 in the order of their first records. */
export class Groups {
  readonly #records: Records;
  /** The first and the last record of each group. */
  readonly #firsts: number[] = [];
  readonly #lasts: number[] = [];
  /** Open addressing: numbers of groups. */
  #slots = new Int32Array(1024).fill(NONE);

  constructor(records: Records) {
    this.#records = records;
  }

  /** How many groups there are. */
  get count(): number {
    return this.#firsts.length;
  }

  /** The group's first record; `records.next` leads on to the others in the order of their coming. */
  first(group: number): number {
    return this.#firsts[group]!;
  }

  last(group: number): number {
    return this.#lasts[group]!;
  }

  /** Adds a record to the group of its identity; answers that. */
  add(record: number): number {
    const slot = this.#slot(record);
    const group = this.#slots[slot]!;
    if (group !== NONE) {
      this.#records.setNext(this.#lasts[group]!, record);
      this.#lasts[group] = record;
      return group;
    }
    const made = this.count;
    this.#slots[slot] = made;
    this.#firsts.push(record);
    this.#lasts.push(record);
    if (this.count * 2 > this.#slots.length) this.#widen();
    return made;
  }

  /** The group of a record's identity, or `NONE`. */
  find(record: number): number {
    return this.#slots[this.#slot(record)]!;
  }

  /** The slot of the identity, or the empty one where it would stand. */
  #slot(record: number): number {
    const slots = this.#slots;
    let slot = this.#home(record);
    while (slots[slot] !== NONE && !this.#isOf(slots[slot]!, record)) {
      slot = (slot + 1) & (slots.length - 1);
    }
    return slot;
  }

  #isOf(group: number, record: number): boolean {
    const first = this.#firsts[group]!;
    return this.#records.hash(first) === this.#records.hash(record) &&
      this.#records.sameIdentity(first, record);
  }

  /** All hashes of a bucket have the same remainder: the upper bits of a product tell them apart. */
  #home(record: number): number {
    return Math.imul(this.#records.hash(record), 0x9e3779b1) >>> Math.clz32(this.#slots.length - 1);
  }

  #widen(): void {
    this.#slots = new Int32Array(this.#slots.length * 4).fill(NONE);
    for (let group = 0; group < this.count; group++) {
      this.#slots[this.#slot(this.#firsts[group]!)] = group;
    }
  }
}
