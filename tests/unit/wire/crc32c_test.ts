import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32c as libraryCrc32c } from "@platformatic/wasm-utils";
import { BINARY, crc32c } from "../../../shared/wire/crc32c.ts";
import { checkBinary } from "./wat.ts";

Deno.test("the binary is what its text says", () => checkBinary("crc32c", BINARY));

Deno.test("the checksums of RFC 3720's examples", () => {
  const bytes = (value: (at: number) => number) =>
    Uint8Array.from({ length: 32 }, (_, at) => value(at));
  assert.equal(crc32c(bytes(() => 0)), 0x8a9136aa);
  assert.equal(crc32c(bytes(() => 0xff)), 0x62a8ab43);
  assert.equal(crc32c(bytes((at) => at)), 0x46dd794e);
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array()), 0);
});

Deno.test("the checksum of any number of bytes is a library's, wherever they stand", () => {
  const noise = Buffer.alloc(200_000);
  for (let from = 0; from < noise.length; from += 50_000) {
    crypto.getRandomValues(noise.subarray(from, from + 50_000));
  }
  for (const size of [...Array(40).keys(), 65_535, 65_536, 65_537, 131_072, 199_990]) {
    const bytes = noise.subarray(size % 8, size % 8 + size);
    // Of nothing the library makes nothing.
    if (size > 0) assert.equal(crc32c(bytes), libraryCrc32c(bytes), `${size} bytes`);
  }
});
