/** Text of a part of a Buffer: what its `toString` comes down to, at half the cost for short texts. */
import type { Buffer } from "node:buffer";

/** Methods that every Buffer has and its type does not name. */
interface Slices {
  latin1Slice(from: number, to: number): string;
  utf8Slice(from: number, to: number): string;
}

/** The bytes from `from` to `to`, each a character. */
export function latin1Slice(bytes: Buffer, from: number, to: number): string {
  return (bytes as unknown as Slices).latin1Slice(from, to);
}

/** The same as UTF-8; what is no UTF-8 becomes U+FFFD. */
export function utf8Slice(bytes: Buffer, from: number, to: number): string {
  return (bytes as unknown as Slices).utf8Slice(from, to);
}
