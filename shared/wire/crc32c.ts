/** CRC-32C, the checksum of record batches (RFC 3720, appendix B.4). */
import { Buffer } from "node:buffer";

/** `crc32c.wat` as a binary; `crc32c_test.ts` holds that it is, and prints what stands here. */
export const BINARY = Buffer.from(
  "AGFzbQEAAAABEQNgAABgAn5+AX9gA39/fwF/AwQDAAECBQMBAAIHEwIGbWVtb3J5AgAGdXBkYXRlAAIIAQAKzAIDhQEBA38D" +
    "QCAAIQFBCCECA0AgAUEBdkH49tiXeEEAIAFBAXFrcXMhASACQQFrIgINAAsgAEECdCABNgIAIABBAWohACAAQYACSQ0ACwNA" +
    "IABBgAJrQQJ0KAIAIQEgAEECdCABQQh2IAFB/wFxQQJ0KAIAczYCACAAQQFqIQAgAEGAEEkNAAsLDwAgACABiKdB/wFxQQJ0" +
    "C7IBAQF+AkADQCACIAFrQQhJDQEgASkDACAArYUhAyADQgAQASgCgDggA0IIEAEoAoAwcyADQhAQASgCgCggA0IYEAEoAoAg" +
    "c3MgA0IgEAEoAoAYIANCKBABKAKAEHMgA0IwEAEoAoAIIANCOBABKAIAc3NzIQAgAUEIaiEBDAALCwJAA0AgASACTw0BIABB" +
    "CHYgACABLQAAc0H/AXFBAnQoAgBzIQAgAUEBaiEBDAALCyAACw==",
  "base64",
);

interface Checksum {
  readonly memory: WebAssembly.Memory;
  update(crc: number, at: number, end: number): number;
}

/** After the tables. */
const BYTES_AT = 8_192;
/** So many go in at a time: the memory stays as small as it is. */
const PIECE_BYTES = 65_536;

let checksum: Checksum | undefined;

/** The checksum of the bytes, unsigned. */
export function crc32c(bytes: Uint8Array): number {
  checksum ??= new WebAssembly.Instance(new WebAssembly.Module(BINARY))
    .exports as unknown as Checksum;
  const { memory, update } = checksum;
  const memory_bytes = new Uint8Array(memory.buffer);
  let crc = -1;
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const piece = bytes.subarray(from, from + PIECE_BYTES);
    memory_bytes.set(piece, BYTES_AT);
    crc = update(crc, BYTES_AT, BYTES_AT + piece.length);
  }
  return ~crc >>> 0;
}
