import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import type { Value } from "../../../shared/change.ts";
import { RecordError } from "../../../shared/errors.ts";
import {
  arrayConversion,
  type Conversion,
  conversionOf,
  OID,
} from "../../../shared/wire/postgres_value.ts";

/** Both ways of reading must agree, wherever the text stands in a buffer. */
function read(conversion: Conversion, text: string): Value {
  const bytes = Buffer.from(`<${text}>`);
  const fromBytes = conversion.fromBytes(bytes, 1, bytes.length - 1);
  assert.equal(bytes.toString(), `<${text}>`, "the bytes are as they were");
  const fromText = conversion.fromText(text);
  assert.deepEqual(fromBytes, fromText, `${text}: from bytes and from text`);
  return fromText;
}

const CASES: readonly (readonly [oid: number, text: string, value: Value])[] = [
  [OID.int2, "-32768", -32768],
  [OID.int4, "0", 0],
  [OID.int8, "999999999999999", 999999999999999],
  [OID.int8, "9007199254740991", 9007199254740991],
  [OID.int8, "9007199254740992", 9007199254740992n],
  [OID.int8, "-9223372036854775808", -9223372036854775808n],
  [OID.oid, "4294967295", 4294967295],
  [OID.float4, "0.1", Math.fround(0.1)],
  [OID.float4, "1e-45", Math.fround(1e-45)],
  [OID.float8, "0.1", 0.1],
  [OID.float8, "-0", -0],
  [OID.float8, "1.7976931348623157e+308", Number.MAX_VALUE],
  [OID.float8, "NaN", NaN],
  [OID.float8, "-Infinity", -Infinity],
  [OID.bool, "t", true],
  [OID.bool, "f", false],
  [OID.bytea, "\\x", new Uint8Array()],
  [OID.bytea, "\\x00ff10", new Uint8Array([0, 255, 16])],
  [OID.numeric, "12.50", "12.50"],
  [OID.numeric, "NaN", "NaN"],
  [OID.timestamp, "2026-11-21 10:00:00.123456", "2026-11-21T10:00:00.123456"],
  [OID.timestamp, "2026-11-21 10:00:00", "2026-11-21T10:00:00"],
  [OID.timestamp, "12026-11-21 10:00:00.5", "12026-11-21T10:00:00.5"],
  [OID.timestamp, "infinity", "infinity"],
  [OID.timestamp, "0044-03-15 10:00:00 BC", "0044-03-15 10:00:00 BC"],
  [OID.timestamptz, "2026-11-21 10:00:00.123456+00", "2026-11-21T10:00:00.123456Z"],
  [OID.timestamptz, "294276-12-31 23:59:59.999999+00", "294276-12-31T23:59:59.999999Z"],
  [OID.timestamptz, "-infinity", "-infinity"],
  [OID.timestamptz, "0044-03-15 10:00:00+00 BC", "0044-03-15 10:00:00+00 BC"],
  [1266, "10:00:00+05:30", "10:00:00+05:30"],
  [114, '{"a": 1.0}', '{"a": 1.0}'],
  [1560, "0101", "0101"],
  [25, "größe", "größe"],
];

for (const [oid, text, value] of CASES) {
  Deno.test(`a value of type ${oid}, ${text}, is read as ${typeof value} ${value}`, () => {
    assert.deepEqual(read(conversionOf(oid), text), value);
  });
}

for (
  const [oid, text] of [
    [OID.int4, ""],
    [OID.int4, "-"],
    [OID.int4, "1.5"],
    [OID.int8, "123456789012345678901"],
    [OID.float8, "0x10"],
    [OID.float8, ""],
    [OID.bool, "true"],
    [OID.bytea, "abc"],
    [OID.bytea, "\\x0"],
    [OID.bytea, "\\x0g"],
    [OID.timestamp, "21/11/2026 10:00:00"],
    [OID.timestamptz, "2026-11-21 10:00:00+01"],
  ] as const
) {
  Deno.test(`${JSON.stringify(text)} is no value of type ${oid}: RecordError, both ways`, () => {
    const bytes = Buffer.from(text);
    assert.throws(() => conversionOf(oid).fromText(text), RecordError);
    assert.throws(() => conversionOf(oid).fromBytes(bytes, 0, bytes.length), RecordError);
  });
}

Deno.test("every 64-bit integer keeps all its digits", () => {
  fc.assert(fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (integer) => {
    const value = read(conversionOf(OID.int8), String(integer));
    assert.equal(BigInt(value as number | bigint), integer);
    assert.equal(typeof value, Number.isSafeInteger(Number(integer)) ? "number" : "bigint");
  }));
});

Deno.test("every float64 is read back from its shortest text", () => {
  fc.assert(fc.property(fc.double(), (float) => {
    const text = Object.is(float, -0) ? "-0" : String(float);
    assert(Object.is(read(conversionOf(OID.float8), text), float), text);
  }));
});

Deno.test("every bytea is read back from its hexadecimal text", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    const text = `\\x${Buffer.from(bytes).toString("hex")}`;
    assert.deepEqual(read(conversionOf(OID.bytea), text), new Uint8Array(bytes));
  }));
});

Deno.test("an array has kind array and the kind of its elements", () => {
  const { kind, element } = arrayConversion(conversionOf(OID.int8), ",");
  assert.deepEqual({ kind, element }, { kind: "array", element: "integer" });
});

Deno.test("arrays keep null, quotes, dimensions and large numbers", () => {
  const integers = arrayConversion(conversionOf(OID.int8), ",");
  const texts = arrayConversion(conversionOf(25), ",");
  assert.deepEqual(read(integers, "{1,NULL,9223372036854775807}"), [1, null, 9223372036854775807n]);
  assert.deepEqual(read(integers, "{{1,2},{3,4}}"), [[1, 2], [3, 4]]);
  assert.deepEqual(read(integers, "{}"), []);
  assert.deepEqual(read(texts, `{"NULL",NULL,"a \\"b\\" \\\\ {,}",é,""}`), [
    "NULL",
    null,
    'a "b" \\ {,}',
    "é",
    "",
  ]);
  const boxes = arrayConversion(conversionOf(603), ";");
  assert.deepEqual(read(boxes, "{(1,1),(0,0);(2,2),(1,1)}"), ["(1,1),(0,0)", "(2,2),(1,1)"]);
  const bytes = arrayConversion(conversionOf(OID.bytea), ",");
  assert.deepEqual(read(bytes, `{"\\\\x00ff"}`), [new Uint8Array([0, 255])]);
});

Deno.test("an array whose indexes begin elsewhere keeps its elements; bounds have no place", () => {
  const integers = arrayConversion(conversionOf(OID.int4), ",");
  assert.deepEqual(read(integers, "[0:2]={1,2,3}"), [1, 2, 3]);
  assert.deepEqual(read(integers, "[-1:0][2:3]={{1,2},{3,4}}"), [[1, 2], [3, 4]]);
});

for (
  const text of [
    "",
    "1",
    "{",
    "{1",
    "{1,",
    "{,}",
    "{1}x",
    '{"a',
    "{{1}",
    "{1}}",
    "[0:1]{1}",
    "{{{{{{{1}}}}}}}",
    '{a"b}',
  ]
) {
  Deno.test(`${JSON.stringify(text)} is no array: RecordError`, () => {
    assert.throws(() => arrayConversion(conversionOf(25), ",").fromText(text), RecordError);
  });
}

Deno.test("arrays of any texts are read back from what PostgreSQL writes for them", () => {
  const quote = (text: string) => `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
  const item = fc.option(fc.string({ unit: "binary" }));
  fc.assert(fc.property(fc.array(item, { minLength: 1 }), (items) => {
    const text = `{${items.map((text) => text === null ? "NULL" : quote(text)).join(",")}}`;
    assert.deepEqual(arrayConversion(conversionOf(25), ",").fromText(text), items);
  }));
});

const FUZZ_RUNS = Number(Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? 20_000);

Deno.test("whatever the text is, each type answers or throws RecordError", () => {
  const types = [
    ...Object.values(OID).map(conversionOf),
    arrayConversion(conversionOf(OID.int4), ","),
    arrayConversion(conversionOf(25), ","),
  ];
  const sign = fc.constantFrom(...'{}[]=:,;"\\ x0123456789-+.eE TZNUL');
  const texts = fc.oneof(fc.string({ unit: sign, maxLength: 30 }), fc.string({ maxLength: 30 }));
  fc.assert(
    fc.property(fc.constantFrom(...types), texts, (type, text) => {
      const bytes = Buffer.from(text);
      for (
        const attempt of [() => type.fromText(text), () => type.fromBytes(bytes, 0, bytes.length)]
      ) {
        try {
          attempt();
        } catch (error) {
          assert(error instanceof RecordError, `${JSON.stringify(text)}: ${error}`);
        }
      }
    }),
    { numRuns: FUZZ_RUNS },
  );
});
