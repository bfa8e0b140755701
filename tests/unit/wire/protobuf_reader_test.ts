import assert from "node:assert/strict";
import fc from "fast-check";
import protobuf from "protobufjs/minimal.js";
import { ProtobufReader, RepeatedText } from "../../../shared/wire/protobuf_reader.ts";
import { bytes, survives } from "../fuzzing.ts";

/** Field 1 of each type, as another library writes it. */
const WRITTEN = {
  text: (out: protobuf.Writer, value: string) => out.uint32(10).string(value),
  bytes: (out: protobuf.Writer, value: Uint8Array) => out.uint32(10).bytes(value),
  boolean: (out: protobuf.Writer, value: boolean) => out.uint32(8).bool(value),
  float: (out: protobuf.Writer, value: number) => out.uint32(13).float(value),
  double: (out: protobuf.Writer, value: number) => out.uint32(9).double(value),
  uint64: (out: protobuf.Writer, value: bigint) => out.uint32(8).uint64(long(value, true)),
  int64: (out: protobuf.Writer, value: bigint) => out.uint32(8).int64(long(value, false)),
  sint64: (out: protobuf.Writer, value: bigint) => out.uint32(8).sint64(long(value, false)),
};

function long(value: bigint, unsigned: boolean): protobuf.Long {
  const bits = BigInt.asUintN(64, value);
  const [low, high] = [Number(bits & 0xffff_ffffn) | 0, Number(bits >> 32n) | 0];
  return { low, high, unsigned } as protobuf.Long;
}

const signed = fc.oneof(
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  fc.integer().map(BigInt),
  fc.constantFrom(
    ...[52n, 53n, 54n, 63n].flatMap((bits) =>
      [-1n, 0n, 1n].flatMap((more) => [(1n << bits) + more, -(1n << bits) + more])
    ).map((value) => BigInt.asIntN(64, value)),
  ),
);
const unsigned = signed.map((value) => BigInt.asUintN(64, value));

const field = fc.oneof(
  fc.tuple(fc.constant("text" as const), fc.string({ unit: "grapheme" })),
  fc.tuple(fc.constant("text" as const), fc.constantFrom("\uFEFFmark", "a".repeat(300), "")),
  fc.tuple(fc.constant("bytes" as const), fc.uint8Array()),
  fc.tuple(fc.constant("boolean" as const), fc.boolean()),
  fc.tuple(fc.constant("float" as const), fc.float()),
  fc.tuple(fc.constant("double" as const), fc.double()),
  fc.tuple(fc.constant("uint64" as const), unsigned),
  fc.tuple(fc.constant("int64" as const), signed),
  fc.tuple(fc.constant("sint64" as const), signed),
);

/** A bigint only where a double would not be exact. */
function narrow(value: unknown): unknown {
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

Deno.test("fields of every type are read as another library writes them, and skipped, anywhere in memory", () => {
  fc.assert(fc.property(fc.array(field), fc.nat(9), (fields, before) => {
    const out = protobuf.Writer.create();
    for (const [type, value] of fields) {
      WRITTEN[type](out.uint32(18).fork(), value as never).ldelim();
      WRITTEN[type](out, value as never);
    }
    const message = out.finish();
    const memory = new Uint8Array(before + message.length + 9);
    memory.set(message, before);
    const input = new ProtobufReader();
    input.reset(memory.subarray(1), before - 1, before - 1 + message.length);
    for (const [type, value] of fields) {
      assert.equal(input.tag(), 18);
      const outer = input.enter();
      input.tag();
      const read: unknown = input[type]();
      assert.deepStrictEqual(
        read instanceof Uint8Array ? [...read] : read,
        value instanceof Uint8Array ? [...value] : narrow(value),
      );
      assert.equal(input.more, false, "the inner message ends");
      input.leave(outer);
      input.skip(input.tag());
    }
    assert.equal(input.more, false, "the message ends");
  }));
});

Deno.test("a text that repeats is the same, and another one is read", () => {
  const texts = fc.array(fc.constantFrom("a", "ab", "b", "", "a".repeat(200)));
  fc.assert(fc.property(texts, (texts) => {
    const out = protobuf.Writer.create();
    for (const text of texts) out.string(text);
    const message = out.finish();
    const input = new ProtobufReader();
    input.reset(message, 0, message.length);
    const repeated = new RepeatedText();
    assert.deepEqual(texts.map(() => repeated.read(input)), texts);
    assert.equal(input.more, false);
  }));
});

Deno.test("whatever the bytes are, a message is passed or refused with a RangeError that names the place", () => {
  survives(bytes, (value) => {
    const input = new ProtobufReader();
    const memory = new Uint8Array(1_000 + value.length);
    memory.set(value, 1_000);
    input.reset(memory.subarray(1_000), 0, value.length);
    try {
      while (input.more) input.skip(input.tag());
    } catch (error) {
      const [, place] = /byte (\d+)/.exec((error as Error).message) ?? [];
      assert.ok(Number(place) <= value.length, String(error));
      throw error;
    }
  }, RangeError);
});
