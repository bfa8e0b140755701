import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import * as fields from "../../../shared/wire/kafka_message.ts";
import { type Field, MessageReader, MessageWriter } from "../../../shared/wire/kafka_message.ts";

function written<Value>(field: Field<Value>, value: Value): Buffer {
  const writer = new MessageWriter();
  field.write(writer, value);
  return Buffer.concat(writer.pieces);
}

const { struct, plainStruct, list, listOrNull, plainList, plainListOrNull } = fields;

/** One of everything, of both kinds of structures. */
const message = struct({
  numbers: plainStruct({
    int8: fields.int8,
    int16: fields.int16,
    int32: fields.int32,
    int64: fields.int64,
    long: fields.long,
    boolean: fields.boolean,
  }),
  id: fields.uuid,
  texts: list(fields.text),
  nulls: listOrNull(struct({ text: fields.textOrNull, bytes: fields.bytes })),
  plain_texts: plainList(fields.plainText),
  plain_nulls: plainListOrNull(plainStruct({
    text: fields.plainTextOrNull,
    bytes: fields.plainBytesOrNull,
    more: fields.plainBytes,
  })),
});

const int = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const text = fc.string({ unit: "grapheme" });
/** Some of which the writer does not copy. */
const bytes = fc.oneof(
  fc.uint8Array(),
  fc.constantFrom(4_095, 4_096, 9_000).map((length) => new Uint8Array(length)),
).map((bytes) => Buffer.from(bytes));

const messages = fc.record({
  numbers: fc.record({
    int8: int(8),
    int16: int(16),
    int32: int(32),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    long: fc.maxSafeInteger(),
    boolean: fc.boolean(),
  }),
  id: fc.uuid(),
  texts: fc.array(text),
  nulls: fc.option(fc.array(fc.record({ text: fc.option(text), bytes }), { maxLength: 3 })),
  plain_texts: fc.array(text),
  plain_nulls: fc.option(
    fc.array(fc.record({ text: fc.option(text), bytes: fc.option(bytes), more: bytes }), {
      maxLength: 3,
    }),
  ),
});

Deno.test("what is written is read again, to the last byte", () => {
  fc.assert(fc.property(messages, (value) => {
    const reader = new MessageReader(written(message, value));
    assert.equal(plain(message.read(reader)), plain(value));
    assert.equal(reader.left, 0);
  }));
});

/** As text: bytes without the kinds of arrays that they were made as. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_, one) => {
    if (typeof one === "bigint") return `${one}`;
    return one?.type === "Buffer" ? Buffer.from(one.data).toString("base64") : one;
  });
}

Deno.test("every cut of a message is told", () => {
  fc.assert(
    fc.property(messages, fc.double({ min: 0, max: 1, maxExcluded: true }), (value, share) => {
      const whole = written(message, value);
      const cut = whole.subarray(0, Math.floor(whole.length * share));
      assert.throws(() => message.read(new MessageReader(cut)), fields.MalformedMessageError);
    }),
  );
});

Deno.test("a null, a varint or a list that cannot be is refused", () => {
  const read = (field: Field<unknown>, ...body: number[]) => () =>
    field.read(new MessageReader(Buffer.from(body)));
  assert.throws(read(fields.text, 0), /null that may not be/);
  assert.throws(read(fields.text, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), /varint before byte 5/);
  assert.throws(
    read(list(fields.int8), 0xff, 0xff, 0xff, 0xff, 0x07),
    /list of 2147483646 in the last 0/,
  );
});

Deno.test("large bytes are not copied", () => {
  const large = new Uint8Array(100_000);
  const writer = new MessageWriter();
  fields.int32.write(writer, 1);
  fields.bytes.write(writer, large);
  fields.int32.write(writer, 2);
  assert.equal(writer.pieces.length, 3);
  assert.equal(writer.pieces[1], large);
});
