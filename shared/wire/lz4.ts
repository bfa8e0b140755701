/**
 * LZ4 frames as Kafka has them: a third of the time that general libraries take to decode them, and little
 * memory to encode them.
 * Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { Buffer } from "node:buffer";

/** `lz4.wat` as a binary; `lz4_test.ts` holds that it is, and prints what stands here. */
export const BINARY = Buffer.from(
  "AGFzbQEAAAABHwRgBX9/f39/AX9gAn9/AX9gA39/fwF/YAR/f39/AX8DBgUAAQECAwUDAQABBxwDBm1lbW9yeQIABmRlY29k" +
    "ZQAABmVuY29kZQAECrUIBaQDAQZ/A0AgACABTwRAQX8PCyAALQAAIQUgAEEBaiEAIAVBBHYhBiAGQQ9GBEADQCAAIAFPBEBB" +
    "fw8LIAAtAAAhByAAQQFqIQAgBiAHaiEGIAdB/wFGDQALCyAGIAEgAGtLBEBBfw8LIAYgBCADa0sEQEF+DwsgAyAGaiEJIAAh" +
    "CCAAIAZqIQAgAyAJSQRAA0AgAyAI/QAEAP0LBAAgA0EQaiEDIAhBEGohCCADIAlJDQALCyAJIQMgACABRgRAIAMPCyABIABr" +
    "QQJJBEBBfw8LIAAvAQAhCiAAQQJqIQAgCkUgCiADIAJrS3IEQEF/DwsgBUEPcSEGIAZBD0YEQANAIAAgAU8EQEF/DwsgAC0A" +
    "ACEHIABBAWohACAGIAdqIQYgB0H/AUYNAAsLIAZBBGohBiAGIAQgA2tLBEBBfg8LIAMgBmohCSADIAprIQggCkEQTwRAA0Ag" +
    "AyAI/QAEAP0LBAAgA0EQaiEDIAhBEGohCCADIAlJDQALBQNAIAMgCC0AADoAACADQQFqIQMgCEEBaiEIIAMgCUkNAAsLIAkh" +
    "AwwACwALHAAgASAAKQMAQhiGQru5893xGX5CM4inQQF0ags8ACABQQ9rIQECQANAIAFB/wFJDQEgAEH/AToAACAAQQFqIQAg" +
    "AUH/AWshAQwACwsgACABOgAAIABBAWoLbQECfyACIAFrIQMgA0EPTwRAIABB8AE6AAAgAEEBaiADEAIhAAUgACADQQR0OgAA" +
    "IABBAWohAAsgACADaiEEIAAgBEkEQANAIAAgAf0ABAD9CwQAIABBEGohACABQRBqIQEgACAESQ0ACwsgBAvEAwMIfwF+An8g" +
    "AUEMayENIAFBBWshDiACQQBBgIAB/AsAIAAhBSAAQQFqIQQCQANAQcAAIQgCQANAIAQgDUoNAyAEIAIQASEHIAAgBy8BAGoh" +
    "BiAHIAQgAGs7AQAgBigCACAEKAIARg0BIAQgCEEGdmohBCAIQQFqIQgMAAsLAkADQCAEIAVGDQEgBiAARg0BIARBAWstAAAg" +
    "BkEBay0AAEcNASAEQQFrIQQgBkEBayEGDAALCwNAIAMhCSADIAUgBBADIQMgAyAEIAZrOwEAIANBAmohAyAEQQRqIQogBkEE" +
    "aiEGAkADQCAKKQMAIAYpAwCFIQwgDEIAUgRAIAogDHpCA4inaiEKDAILIApBCGohCiAGQQhqIQYgCiAOSQ0ACwsgCiAOSwRA" +
    "IA4hCgsgCiAEa0EEayELIAtBD08EQCAJIAktAABBD3I6AAAgAyALEAIhAwUgCSAJLQAAIAtyOgAACyAKIQQgCiEFIAQgDUoN" +
    "AiAEQQJrIQogCiACEAEgCiAAazsBACAEIAIQASEHIAAgBy8BAGohBiAHIAQgAGs7AQAgBigCACAEKAIARg0ACyAEQQFqIQQM" +
    "AAsLIAMgBSABEAML",
  "base64",
);

interface Coder {
  readonly memory: WebAssembly.Memory;
  decode(ip: number, ip_end: number, base: number, op: number, op_end: number): number;
  encode(base: number, end: number, table: number, op: number): number;
}

const MALFORMED = -1;
const NO_ROOM = -2;
/** Copies run on to so many bytes after what they are asked for. */
const SLACK_BYTES = 16;
const PAGE_BYTES = 65_536;
/** More memory than that is given up after a frame: large ones are rare. */
const KEPT_BYTES = 4 << 20;

const MAGIC = 0x184d2204;
const VERSION_MASK = 0b1100_0000;
const VERSION = 0b0100_0000;
const BLOCK_CHECKSUM = 0b1_0000;
const CONTENT_SIZE = 0b1000;
const DICTIONARY = 0b1;
const STORED = 0x8000_0000;
/** Magic, version 1 with blocks that stand for themselves, 64 KiB at most, and the checksum of these two bytes. */
const HEADER = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];

/** Most content of a block, as Kafka's Java producer has it. */
const BLOCK_BYTES = 65_536;
/** Most that a block takes when it is encoded. */
const BLOCK_BOUND = BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 255) + 16;
/** The encoder's memory: its table, the block, and the frame. */
const TABLE_BYTES = 16_384;
const FRAME_AT = TABLE_BYTES + BLOCK_BYTES + SLACK_BYTES;

let decoder: Coder | undefined;
let encoder: Coder | undefined;

function open(): Coder {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(BINARY));
  return exports as unknown as Coder;
}

/**
 * The content of a frame, in memory that `take` gives. Checksums are not compared: a record batch has
 * its own. Throws RangeError for bytes that are no frame.
 */
export function lz4Decompress(
  frame: Uint8Array,
  take = (length: number): Uint8Array => new Uint8Array(length),
): Uint8Array {
  decoder ??= open();
  const { memory } = decoder;
  const begin = Math.ceil((frame.length + SLACK_BYTES) / SLACK_BYTES) * SLACK_BYTES;
  grow(memory, begin + 2 * frame.length);
  new Uint8Array(memory.buffer).set(frame);
  try {
    const end = decodeBlocks(decoder, frame, begin);
    const content = take(end - begin);
    content.set(new Uint8Array(memory.buffer, begin, end - begin));
    return content;
  } finally {
    if (memory.buffer.byteLength > KEPT_BYTES) decoder = undefined;
  }
}

/** A frame of the content, in memory that `take` gives; without checksums: a record batch has its own. */
export function lz4Compress(
  content: Uint8Array,
  take = (length: number): Uint8Array => new Uint8Array(length),
): Uint8Array {
  const coder = encoder ?? open();
  encoder = undefined; // until it is known to be small
  const { memory, encode } = coder;
  let op = FRAME_AT + HEADER.length;
  for (let from = 0; from < content.length; from += BLOCK_BYTES) {
    const block = content.subarray(from, from + BLOCK_BYTES);
    grow(memory, op + 4 + BLOCK_BOUND);
    const bytes = new Uint8Array(memory.buffer);
    bytes.set(block, TABLE_BYTES);
    const start = op + 4;
    let size = encode(TABLE_BYTES, TABLE_BYTES + block.length, 0, start) - start;
    op = start + size;
    if (size >= block.length) {
      bytes.set(block, start);
      op = start + block.length;
      size = STORED + block.length;
    }
    new DataView(memory.buffer).setUint32(start - 4, size, true);
  }
  grow(memory, op + 4);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(HEADER, FRAME_AT);
  bytes.fill(0, op, op + 4); // after the last block
  const frame = take(op + 4 - FRAME_AT);
  frame.set(bytes.subarray(FRAME_AT, op + 4));
  if (memory.buffer.byteLength <= KEPT_BYTES) encoder = coder;
  return frame;
}

/** Decodes the frame that the memory begins with to `begin`; answers where its content ends. */
function decodeBlocks({ memory, decode }: Coder, frame: Uint8Array, begin: number): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const { at: first, has_checksums } = readHeader(view);
  let op = begin;
  for (let at = first;;) {
    if (at + 4 > frame.length) throw cutOff(frame);
    const size = view.getUint32(at, true);
    if (size === 0) return op;
    const start = at + 4;
    const length = size % STORED;
    const end = start + length;
    if (end > frame.length) throw cutOff(frame);
    if (size >= STORED) {
      grow(memory, op + length);
      new Uint8Array(memory.buffer).copyWithin(op, start, end);
      op += length;
    } else {
      let result = NO_ROOM;
      for (let room = length; result === NO_ROOM; room *= 2) {
        grow(memory, op + room);
        result = decode(start, end, begin, op, memory.buffer.byteLength - SLACK_BYTES);
      }
      if (result === MALFORMED) {
        throw new RangeError(`Cannot decompress lz4: the block at byte ${at} is malformed`);
      }
      op = result;
    }
    at = has_checksums ? end + 4 : end;
  }
}

/** Where the first block begins, and whether each has a checksum after it. */
function readHeader(view: DataView): { at: number; has_checksums: boolean } {
  if (view.byteLength < 7 || view.getUint32(0, true) !== MAGIC) {
    throw new RangeError("Cannot decompress lz4: the bytes do not begin as a frame does");
  }
  const flags = view.getUint8(4);
  if ((flags & VERSION_MASK) !== VERSION || (flags & DICTIONARY) !== 0) {
    throw new RangeError(
      `Cannot decompress lz4: the frame's flags are 0x${flags.toString(16)}; expected version 1` +
        " without a dictionary",
    );
  }
  // Magic, flags, block size, perhaps the content's size, and the header's checksum.
  const at = 4 + 1 + 1 + ((flags & CONTENT_SIZE) !== 0 ? 8 : 0) + 1;
  return { at, has_checksums: (flags & BLOCK_CHECKSUM) !== 0 };
}

function cutOff(frame: Uint8Array): RangeError {
  return new RangeError(`Cannot decompress lz4: the frame is cut off at byte ${frame.length}`);
}

/** Makes room for `bytes` and what copies write after them. */
function grow(memory: WebAssembly.Memory, bytes: number): void {
  const lacking = bytes + SLACK_BYTES - memory.buffer.byteLength;
  if (lacking > 0) memory.grow(Math.ceil(lacking / PAGE_BYTES));
}
