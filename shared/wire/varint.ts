/** Varints: numbers in as few bytes as they need. */

/** Writes `value`, an integer within ±2^52, as zigzag varint at `at`; answers where the next byte goes. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  return writeUnsigned(bytes, at, value >= 0 ? value * 2 : -value * 2 - 1);
}

/** The same for an integer from 0 to 2^53, as it is. */
export function writeUnsigned(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
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

/** How many bytes `writeUnsigned` takes for an integer below 2^35. */
export function unsignedWidth(value: number): number {
  if (value < 1 << 7) return 1;
  if (value < 1 << 14) return 2;
  if (value < 1 << 21) return 3;
  if (value < 1 << 28) return 4;
  return MAX_LENGTH_WIDTH;
}

/** Most bytes that the varint of a length takes. */
export const MAX_LENGTH_WIDTH = 5;
