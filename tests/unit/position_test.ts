import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatPosition,
  isPosition,
  isPositionAt,
  parsePosition,
  type Position,
  POSITION_LENGTH,
} from "../../shared/position.ts";

const position: fc.Arbitrary<Position> = fc.record({
  generation: fc.nat({ max: 0xffff_ffff }),
  major: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  minor: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  row: fc.nat({ max: 0xffff_ffff }),
}, { noNullPrototype: true });

const parts = ({ generation, major, minor, row }: Position) => [generation, major, minor, row];

Deno.test("a position's text reads back and has fixed width", () => {
  fc.assert(fc.property(position, (written) => {
    const text = formatPosition(written);
    assert.equal(text.length, POSITION_LENGTH);
    assert.deepStrictEqual(parsePosition(text), written);
  }));
});

Deno.test("string order is source order", () => {
  fc.assert(fc.property(position, position, (a, b) => {
    const first = parts(a).findIndex((part, index) => part !== parts(b)[index]);
    const expected = first !== -1 && parts(a)[first]! < parts(b)[first]!;
    assert.equal(formatPosition(a) < formatPosition(b), expected);
  }));
});

Deno.test("a position among bytes is told as in text, whatever is changed in it", () => {
  const sign = fc.constantFrom(..."0f-g/:`FG\0\u007f");
  fc.assert(
    fc.property(position, fc.nat({ max: POSITION_LENGTH - 1 }), sign, (written, at, sign) => {
      const text = formatPosition(written);
      const changed = text.slice(0, at) + sign + text.slice(at + 1);
      for (const found of [text, changed, text.slice(1)]) {
        const bytes = new TextEncoder().encode(`x${found}`);
        assert.equal(isPositionAt(bytes, 1), isPosition(found), found);
      }
    }),
  );
});

Deno.test("text that is no position is refused and named", () => {
  for (const text of ["", "1-2-3-4", `${formatPosition(parsePositionOf(1))}0`, "g".repeat(51)]) {
    assert.throws(() => parsePosition(text), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.ok(error.message.includes(JSON.stringify(text)), error.message);
      return true;
    });
  }
});

function parsePositionOf(row: number): Position {
  return { generation: 0, major: 0n, minor: 0n, row };
}
