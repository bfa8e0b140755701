import assert from "node:assert/strict";
import { ByteScanner, Mark } from "../../../shared/wire/byte_scanner.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A scanner over `text`, which stands in the middle of other bytes. */
function over(text: string): ByteScanner {
  const scanner = new ByteScanner();
  scanner.reset(utf8(`12${text}34`).subarray(2, -2));
  return scanner;
}

Deno.test("A mark is skipped where it stands, and only there", () => {
  const scanner = over("abcabd");
  assert.deepEqual([scanner.skip(Mark.of("abd")), scanner.at], [false, 0]);
  assert.deepEqual([scanner.skip(Mark.of("abc")), scanner.at], [true, 3]);
  assert.deepEqual([scanner.skip(Mark.of("abd34")), scanner.at], [false, 3]);
  assert.deepEqual([scanner.skip(Mark.of("abd")), scanner.at], [true, 6]);
});

Deno.test("A mark is found after its false beginnings", () => {
  const scanner = over("xababc");
  assert.deepEqual([scanner.find(Mark.of("abc")), scanner.at], [true, 3]);
  assert.deepEqual([scanner.find(Mark.of("abd")), scanner.at], [false, 3]);
});

Deno.test("Digits are read as far as a double is exact", () => {
  const read = (text: string) => {
    const scanner = over(text);
    return [scanner.digits(), scanner.at];
  };
  assert.deepEqual(read("42,"), [42, 2]);
  assert.deepEqual(read("1234567890"), [1234567890, 10]);
  assert.deepEqual(read("000000000000000000001"), [1, 21]);
  assert.deepEqual(read("9007199254740991"), [Number.MAX_SAFE_INTEGER, 16]);
  assert.deepEqual(read("9007199254740992"), [-1, 16]);
  assert.deepEqual(read("x1"), [-1, 0]);
  assert.deepEqual(read(""), [-1, 0]);
});

Deno.test("Text is read from any place of any buffer", () => {
  const scanner = new ByteScanner();
  for (const text of ["position-1", "position-2"]) {
    scanner.reset(utf8(`12${text}34`).subarray(1, -1));
    assert.equal(scanner.latin1(1, text.length), text);
  }
});
