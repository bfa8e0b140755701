/** Random numbers that a seed repeats exactly: xoshiro128** of Blackman and Vigna (2018). */

/** A generator; two with the same seed give the same numbers. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `seed`: any integer; its low 64 bits count. */
  constructor(seed: number | bigint) {
    const next = splitmix32(BigInt.asUintN(64, BigInt(seed)));
    [this.#a, this.#b, this.#c, this.#d] = [next(), next(), next(), next()];
  }

  /** The next number, uniform in 0 ... 2^32 - 1. */
  uint32(): number {
    const result = Math.imul(rotl(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotl(this.#d, 11);
    return result;
  }

  /** An integer in 0 ... `limit` - 1, for `limit` up to 2^32; its bias is at most limit / 2^32. */
  below(limit: number): number {
    return Math.floor(this.uint32() / 0x1_0000_0000 * limit);
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

function rotl(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** Spreads a seed over the generator's state, so that neighbouring seeds share nothing. */
function splitmix32(seed: bigint): () => number {
  let state = Number(seed & 0xffff_ffffn) ^ Number(seed >> 32n);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
