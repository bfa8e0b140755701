import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  lz4Compress as libraryCompress,
  lz4Decompress as libraryDecompress,
} from "@platformatic/wasm-utils";
import fc from "fast-check";
import { BINARY, lz4Compress, lz4Decompress } from "../../../shared/wire/lz4.ts";
import { checkBinary } from "./wat.ts";

const HEAD = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END = [0, 0, 0, 0];

/** A frame of blocks; `stored` ones are not compressed. */
function frame(...blocks: { bytes: number[]; stored?: boolean }[]): Uint8Array {
  return new Uint8Array([
    ...HEAD,
    ...blocks.flatMap(({ bytes, stored }) => [bytes.length, 0, 0, stored ? 0x80 : 0, ...bytes]),
    ...END,
  ]);
}

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

Deno.test("the binary is what its text says", () => checkBinary("lz4", BINARY));

/** Bytes that repeat themselves, here and there. */
const contents = fc.array(
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 300 })),
  { minLength: 1, maxLength: 40 },
).map((pieces) =>
  Buffer.concat(pieces.flatMap(([bytes, times]) => Array.from({ length: times }, () => bytes)))
);

function same(found: Uint8Array, content: Uint8Array, what: string): void {
  assert.equal(Buffer.compare(found, content), 0, `${what} of ${content.length} bytes`);
}

Deno.test("what a library compresses comes back, whatever it is", () => {
  // Of nothing the library makes nothing: after large inputs it throws a TypeError.
  fc.assert(
    fc.property(contents, (content) => {
      same(lz4Decompress(libraryCompress(content)), content, "the library's frame");
    }),
  );
});

/** What decoders may count on at the end of a block: how far before it the last match begins, and how many literals follow it. */
function ending(block: Uint8Array): { match_before: number; literals: number } {
  let at = 0;
  let content = 0;
  let last_match = -Infinity;
  const length = (nibble: number) => {
    let sum = nibble;
    if (nibble === 15) { do sum += block[at]!; while (block[at++] === 255); }
    return sum;
  };
  for (;;) {
    const token = block[at++]!;
    const literals = length(token >> 4);
    at += literals;
    content += literals;
    if (at >= block.length) return { match_before: content - last_match, literals };
    at += 2;
    last_match = content;
    content += length(token & 15) + 4;
  }
}

Deno.test("a block ends as the format has it: 5 literals, and no match in the last 12 bytes", () => {
  fc.assert(
    fc.property(contents.map((bytes) => bytes.subarray(0, 65_536)), (content) => {
      const frame = lz4Compress(content);
      const size = new DataView(frame.buffer, frame.byteOffset).getUint32(HEAD.length, true);
      if (size >= 0x8000_0000) return; // stored
      const { match_before, literals } = ending(frame.subarray(HEAD.length + 4).subarray(0, size));
      assert.ok(match_before >= 12, `the last match begins ${match_before} bytes before the end`);
      assert.ok(match_before === Infinity || literals >= 5, `${literals} literals at the end`);
    }),
  );
});

Deno.test("what is compressed comes back, here and with a library", () => {
  fc.assert(
    fc.property(contents, (content) => {
      const frame = lz4Compress(content);
      same(lz4Decompress(frame), content, "the frame");
      same(libraryDecompress(Buffer.from(frame)), content, "the frame, read by the library,");
    }),
  );
});

Deno.test("contents of every small size, and about those of a block, come back", () => {
  const noise = crypto.getRandomValues(new Uint8Array(65_536));
  const sizes = [...Array(100).keys(), 65_535, 65_536, 65_537, 131_072, 200_000];
  for (const size of sizes) {
    const kinds = { noise: Buffer.alloc(size, noise), one: Buffer.alloc(size, 7) };
    for (const [kind, content] of Object.entries(kinds)) {
      const frame = lz4Compress(content);
      same(lz4Decompress(frame), content, kind);
      if (size > 0) {
        same(libraryDecompress(Buffer.from(frame)), content, `${kind}, by the library,`);
      }
      const most = HEAD.length + END.length + size + 4 * Math.ceil(size / 65_536);
      assert.ok(frame.length <= most, `${kind}: ${size} bytes became ${frame.length}`);
    }
  }
});

Deno.test("rows take as little room as a library makes them take", () => {
  const row = (id: number) => JSON.stringify({ id, name: `name ${id * 7_919 % 10_007}`, op: "c" });
  const content = Buffer.from(Array.from({ length: 20_000 }, (_, id) => row(id)).join(""));
  const [ours, library] = [lz4Compress(content).length, libraryCompress(content).length];
  assert.ok(ours < library * 1.02, `${ours} bytes; the library's are ${library}`);
});

Deno.test("blocks may be stored, reach back into others, and overlap what they make", () => {
  assert.equal(textOf(lz4Decompress(frame({ bytes: bytesOf("plain"), stored: true }))), "plain");
  const linked = frame(
    { bytes: bytesOf("abcdefgh"), stored: true },
    // No literals and 4 bytes from 8 back; then the literal "!".
    { bytes: [0x00, 8, 0, 0x10, 33] },
  );
  assert.equal(textOf(lz4Decompress(linked)), "abcdefghabcd!");
  // The literal "x", 19 + 5 bytes from 1 back, and no more.
  const run = frame({ bytes: [0x1f, 120, 1, 0, 5, 0x00] });
  assert.equal(textOf(lz4Decompress(run)), "x".repeat(25));
});

Deno.test("a large frame leaves no large memory behind, and a small one comes after it", () => {
  const large = Buffer.alloc(30 << 20, "list-sync ");
  assert.equal(lz4Decompress(libraryCompress(large)).length, large.length);
  assert.equal(lz4Decompress(lz4Compress(large)).length, large.length);
  assert.equal(textOf(lz4Decompress(lz4Compress(Buffer.from("small")))), "small");
});

Deno.test("a frame that is damaged ends in an error or in bytes", () => {
  const content = Buffer.from("some change of some row; ".repeat(40));
  const whole = lz4Compress(content);
  fc.assert(
    fc.property(fc.nat(), fc.nat(255), fc.nat(), (at, byte, length) => {
      const damaged = new Uint8Array(whole).subarray(0, length % (whole.length + 1));
      if (damaged.length > 0) damaged[at % damaged.length] = byte;
      try {
        lz4Decompress(damaged);
      } catch (error) {
        assert.ok(error instanceof RangeError, `threw ${error}`);
        assert.match(error.message, /^Cannot decompress lz4: /);
      }
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("what is no frame is refused with the reason", () => {
  const refused = (bytes: number[], reason: RegExp) =>
    assert.throws(() => lz4Decompress(new Uint8Array(bytes)), reason);
  refused([], /do not begin as a frame/);
  refused([1, 2, 3, 4, 5, 6, 7, 8], /do not begin as a frame/);
  refused([...HEAD.slice(0, 4), 0x61, ...HEAD.slice(5), ...END], /flags are 0x61/);
  refused([...HEAD, 9, 0, 0, 0, 1], /cut off at byte 12/);
  refused([...frame({ bytes: [0x00, 1, 0, 0x00] })], /block at byte 7 is malformed/);
  refused([...frame({ bytes: [0x1f, 120, 0, 0, 5, 0x00] })], /block at byte 7 is malformed/);
});
