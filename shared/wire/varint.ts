/** Zigzag varints of Kafka's records: small numbers of either sign in few bytes. */

/** Writes `value`, an integer within ±2^52, at `at`; answers where the next byte goes. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  while (rest >= 2 ** 31) {
    bytes[at++] = rest % 0x80 | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    bytes[at++] = rest & 0x7f | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

/** How many bytes the varint of a length takes. */
export function lengthWidth(length: number): number {
  if (length < 1 << 6) return 1;
  if (length < 1 << 13) return 2;
  if (length < 1 << 20) return 3;
  if (length < 1 << 27) return 4;
  return MAX_LENGTH_WIDTH;
}

/** Most bytes that the varint of a length takes. */
export const MAX_LENGTH_WIDTH = 5;
