import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import { doubleText, readJson } from "../../../shared/wire/mysql_json.ts";

/** Left: the value; right: what MySQL 9.7.4 writes for it in JSON. */
const DOUBLES: readonly (readonly [number, string])[] = [
  [1, "1.0"],
  [0, "0.0"],
  [-0, "-0.0"],
  [1.5, "1.5"],
  [-12.25, "-12.25"],
  [0.1, "0.1"],
  [1e-7, "0.0000001"],
  [1e-15, "0.000000000000001"],
  [1e-16, "1e-16"],
  [1e15, "1e15"],
  [123456789012345, "123456789012345.0"],
  [1234567890123456.8, "1234567890123456.8"],
  [100000, "100000.0"],
  [1e300, "1e300"],
  [1.7976931348623157e308, "1.7976931348623157e308"],
  [5e-324, "5e-324"],
];

Deno.test("a double has the server's text", () => {
  for (const [value, text] of DOUBLES) assert.equal(doubleText(value), text);
});

Deno.test("every double's text reads back to the same double and is no integer", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = doubleText(value);
      assert.ok(Object.is(Number(text), value), text);
      assert.match(text, /[.e]/);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a document of each kind of value keeps its text", () => {
  const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));
  assert.equal(readJson(new Uint8Array()), "null");
  assert.equal(readJson(hex("04 00")), "null");
  assert.equal(readJson(hex("04 01")), "true");
  assert.equal(readJson(hex("05 fe ff")), "-2");
  assert.equal(readJson(hex("0a ff ff ff ff ff ff ff ff")), "18446744073709551615");
  assert.equal(readJson(hex("09 00 00 00 00 00 00 00 80")), "-9223372036854775808");
  assert.equal(readJson(hex("0c 03 61 22 0a")), String.raw`"a\"\n"`);
  assert.equal(readJson(hex("0f 0f 02 00 ff")), '"base64:type15:AP8="');
  // {"a": [1, "x"]}
  const object = "00 0100 1800 0b00 0100 02 0c00 61 0200 0c00 05 0100 0c 0a00 01 78";
  assert.equal(readJson(hex(object)), '{"a": [1, "x"]}');
});

Deno.test("offsets that point at their own container end in an error, not in a loop", () => {
  // An array whose one member says that it begins where the array's entries do.
  const bytes = Uint8Array.fromHex("02" + "01000700" + "020400");
  assert.throws(() => readJson(bytes), RecordError);
});
