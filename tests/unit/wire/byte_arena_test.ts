import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteArena } from "../../../shared/wire/byte_arena.ts";

const text = new TextDecoder();

/** One write and the text that it stands for. */
const write = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }).map((value) => ({
    into: (arena: ByteArena) => arena.text(value),
    written: text.decode(new TextEncoder().encode(value)),
  })),
  fc.integer({ min: -(2 ** 40), max: 2 ** 40 }).map((value) => ({
    into: (arena: ByteArena) => arena.integer(value),
    written: String(value),
  })),
  fc.string({ maxLength: 40 }).map((value) => ({
    into: (arena: ByteArena) => arena.bytes(new TextEncoder().encode(value)),
    written: value,
  })),
  fc.string({ unit: "grapheme-composite", maxLength: 90 }).map((value) => ({
    into: (arena: ByteArena) => arena.plainQuoted(value) || arena.text(JSON.stringify(value)),
    written: JSON.stringify(value),
  })),
);

Deno.test("values stand as they were written, also those of several hundred kilobytes, until reset", () => {
  const arena = new ByteArena();
  const value = fc.record({ writes: fc.array(write), long: fc.nat({ max: 400_000 }) });
  fc.assert(
    fc.property(fc.array(value, { maxLength: 12 }), (values) => {
      arena.reset();
      const views = values.map(({ writes, long }) => {
        arena.begin();
        for (const { into } of writes) into(arena);
        if (long > 300_000) arena.bytes(new Uint8Array(long).fill(65));
        return arena.end();
      });
      for (const [index, { writes, long }] of values.entries()) {
        const tail = long > 300_000 ? "A".repeat(long) : "";
        assert.equal(
          text.decode(views[index]),
          writes.map(({ written }) => written).join("") + tail,
        );
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("every integer within the safe range is written as String writes it", () => {
  const arena = new ByteArena();
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => {
    arena.begin();
    arena.integer(value);
    assert.equal(text.decode(arena.end()), String(value));
  }));
});

Deno.test("text that needs escapes or more than ASCII is left to others, and nothing of it stays", () => {
  const arena = new ByteArena();
  for (const value of ['a"b', "a\\b", "a\nb", "naïve", "\u007f", "x".repeat(100)]) {
    arena.begin();
    assert.equal(arena.plainQuoted(value), false, JSON.stringify(value));
    assert.equal(arena.end().length, 0);
  }
});
