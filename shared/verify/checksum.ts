/** Sums that do not depend on the order of what is summed. */

/**
 * Two 32-bit hashes of the bytes from `start` to `end`; together 64 bits. Not for use against an
 * adversary.
 */
export function hash64(bytes: Uint8Array, start: number, end: number): [high: number, low: number] {
  let high = 0x9e3779b9;
  let low = 0x85ebca6b;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    high = Math.imul(high ^ byte, 0x01000193); // the prime of FNV-1a
    low = Math.imul((low << 5 | low >>> 27) ^ byte, 0x27d4eb2d);
  }
  return [avalanche(high ^ (end - start)), avalanche(low ^ high)];
}

/** Murmur3's last step: every bit of the input reaches every bit of the result. */
function avalanche(value: number): number {
  value = Math.imul(value ^ value >>> 16, 0x85ebca6b);
  value = Math.imul(value ^ value >>> 13, 0xc2b2ae35);
  return (value ^ value >>> 16) >>> 0;
}

/** The sum modulo 2^64 of the hashes of rows: equal for equal multisets of rows in any order. */
export class Checksum {
  #high = 0;
  #low = 0;

  /** Adds the row whose bytes stand from `start` to `end`. `times`: how often the row is there. */
  add(bytes: Uint8Array, start: number, end: number, times = 1): void {
    const [high, low] = hash64(bytes, start, end);
    for (let i = 0; i < times; i++) {
      this.#low += low;
      this.#high = (this.#high + high + (this.#low > 0xffff_ffff ? 1 : 0)) >>> 0;
      this.#low >>>= 0;
    }
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return this.#high.toString(16).padStart(8, "0") + this.#low.toString(16).padStart(8, "0");
  }
}
