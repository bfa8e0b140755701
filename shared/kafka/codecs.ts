/** The five compressions of Kafka's record batches. */
import { Buffer } from "node:buffer";
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { snappyCompress, snappyDecompress } from "@platformatic/wasm-utils";
import { lz4Compress, lz4Decompress } from "../wire/lz4.ts";

/** Name of a compression as Kafka's `compression.type` spells it. */
export type Compression = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** One compression. */
export interface Codec {
  /** Its number in the attributes of a record batch. */
  readonly id: number;
  /** Both may put what they make into memory that `take` gives. */
  compress(bytes: Uint8Array, take?: TakeBytes): Uint8Array;
  decompress(bytes: Uint8Array, take?: TakeBytes): Uint8Array;
}

/** Gives so many bytes of memory. */
export type TakeBytes = (length: number) => Uint8Array;

/** All compressions by name. */
export const codecs: Readonly<Record<Compression, Codec>> = {
  none: { id: 0, compress: (bytes) => bytes, decompress: (bytes) => bytes },
  gzip: {
    id: 1,
    // Level 1: on row changes level 6 gains a tenth in size for three times the time.
    compress: (bytes) => gzipSync(bytes, { level: 1 }),
    decompress: (bytes) => gunzipSync(bytes),
  },
  snappy: {
    id: 2,
    compress: (bytes) => snappyCompress(asBuffer(bytes)),
    decompress: decompressSnappy,
  },
  lz4: {
    id: 3,
    compress: lz4Compress,
    decompress: lz4Decompress,
  },
  zstd: {
    id: 4,
    // Level 3 is zstd's own default and Kafka's.
    compress: (bytes) =>
      zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } }),
    decompress: (bytes) => zstdDecompressSync(bytes),
  },
};

const byId = new Map(Object.values(codecs).map((codec) => [codec.id, codec]));

/** Decompresses by the number in a batch's attributes; throws a RangeError for an unknown one. */
export function decompress(id: number, bytes: Uint8Array, take?: TakeBytes): Uint8Array {
  const codec = byId.get(id);
  if (codec === undefined) {
    throw new RangeError(`Cannot decompress a record batch: codec ${id} is none of 0 to 4`);
  }
  return codec.decompress(bytes, take);
}

/** First bytes of the framing that the Java client puts around snappy blocks. */
const XERIAL = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0];
const XERIAL_HEADER_BYTES = 16;

function decompressSnappy(bytes: Uint8Array): Uint8Array {
  if (!XERIAL.every((byte, index) => bytes[index] === byte)) {
    return snappyDecompress(asBuffer(bytes));
  }
  const buffer = asBuffer(bytes);
  const blocks: Uint8Array[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < buffer.length;) {
    const length = buffer.readUInt32BE(at);
    at += 4;
    if (at + length > buffer.length) {
      throw new RangeError(
        `Cannot decompress snappy: a block of ${length} bytes begins at byte ${at} of ${buffer.length}`,
      );
    }
    blocks.push(snappyDecompress(buffer.subarray(at, at + length)));
    at += length;
  }
  return Buffer.concat(blocks);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
