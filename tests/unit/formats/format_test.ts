import assert from "node:assert/strict";
import fc from "fast-check";
import protobuf from "protobufjs";
import { type Change, plainChange, type TableSchema } from "../../../shared/change.ts";
import { RecordError } from "../../../shared/errors.ts";
import { type FormatName, formats } from "../../../shared/formats/mod.ts";
import type { InRecord } from "../../../shared/kafka/port.ts";
import { encoded } from "../../encoded.ts";
import { change } from "./arbitrary.ts";

const utf8 = new TextEncoder();

function received({ key, value }: ReturnType<typeof encoded>): InRecord {
  const bytes = (data: string | Uint8Array) => typeof data === "string" ? utf8.encode(data) : data;
  return {
    offset: 42,
    size: 0,
    key: bytes(key),
    value: bytes(value),
    timestamp_ms: 0,
    headers: [],
  };
}

const textOf = (data: string | Uint8Array) =>
  typeof data === "string" ? data : new TextDecoder().decode(data);

const knowing = (table: TableSchema) => () => table;

for (const name of Object.keys(formats) as FormatName[]) {
  const { format } = await formats[name]();

  Deno.test(`${name}: any change reads back as it was written`, () => {
    fc.assert(fc.property(change, (sent) => {
      const back = format.decode(
        received(encoded(format, sent)),
        knowing(sent.table),
      );
      assert.deepStrictEqual(plainChange(back), sent);
    }));
  });

  Deno.test(`${name}: the stamp tells source and position without the table`, () => {
    fc.assert(fc.property(change, (sent) => {
      assert.deepStrictEqual(format.stamp(received(encoded(format, sent))), {
        source: "postgresql/orders",
        position: sent.position,
      });
    }));
  });

  Deno.test(`${name}: bytes that are no change are refused with their offset, whatever they are`, () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => utf8.encode(text)),
      change.chain((sent) =>
        fc.tuple(
          fc.constant(received(encoded(format, sent)).value!),
          fc.nat(),
          fc.nat({ max: 255 }),
        )
          .map(([bytes, at, byte]) => {
            const torn = new Uint8Array(bytes);
            torn[at % torn.length] = byte;
            return torn;
          })
      ),
    );
    fc.assert(
      fc.property(anything, change, (value, { table }) => {
        try {
          format.decode(
            { offset: 42, size: 0, key: null, value, timestamp_ms: 0, headers: [] },
            knowing(table),
          );
        } catch (error) {
          assert.ok(error instanceof RecordError, `threw ${error}`);
          assert.match(error.message, /offset 42/);
        }
      }),
      { numRuns: 2000 },
    );
  });
}

Deno.test("the other format's records are refused, each naming the cure", async () => {
  const json = (await formats.json()).format;
  const proto = (await formats.protobuf()).format;
  fc.assert(fc.property(change, (sent) => {
    const cure = { cure: "set the job's `format` to the one that the topic was written with" };
    assert.throws(
      () => json.decode(received(encoded(proto, sent)), knowing(sent.table)),
      cure,
    );
    assert.throws(
      () => proto.decode(received(encoded(json, sent)), knowing(sent.table)),
      cure,
    );
  }));
});

Deno.test("both formats write the same key", async () => {
  const json = (await formats.json()).format;
  const proto = (await formats.protobuf()).format;
  fc.assert(fc.property(change, (sent) => {
    assert.equal(encoded(proto, sent).key, encoded(json, sent).key);
  }));
});

/** The message as another library knows it. */
async function changeType(): Promise<protobuf.Type> {
  const file = new URL("../../../shared/formats/change.proto", import.meta.url).pathname;
  return (await protobuf.load(file)).lookupType("list_sync.v1.Change");
}

Deno.test("protobuf: another library writes what it reads in the same bytes", async () => {
  const type = await changeType();
  const { format } = await formats.protobuf();
  fc.assert(fc.property(change, (sent) => {
    const total_order = sent.total_order + 1; // the other leaves a 0 out, which no capture writes
    const ours = encoded(format, { ...sent, total_order }).value;
    const theirs = type.encode(type.decode(ours)).finish();
    assert.deepStrictEqual([...ours], [...theirs]);
  }));
});

Deno.test("protobuf: what is written is what change.proto describes", async () => {
  const type = await changeType();
  const { format } = await formats.protobuf();
  const message = type.decode(encoded(format, EXAMPLE).value as Uint8Array);
  const object = type.toObject(message, { longs: String, bytes: String });
  assert.deepStrictEqual(object.after.values, [
    { integer: "42" },
    { text: "news" },
    { null: true },
    {},
  ]);
  assert.deepStrictEqual(
    [object.op, object.source.position, object.source.tsUs, object.transaction.totalOrder],
    ["c", EXAMPLE.position, "1795255200123456", "7"],
  );
});

const EXAMPLE: Change = {
  op: "c",
  source: { connector: "mysql", name: "orders", version: "0.1.0" },
  table: {
    id: "9f1c2b3a",
    db: "shop",
    schema: null,
    table: "list",
    columns: [
      { name: "id", type: "bigint", kind: "integer" },
      { name: "category", type: "varchar(64)", kind: "string" },
      { name: "note", type: "text", kind: "string" },
      { name: "big", type: "longtext", kind: "string" },
    ],
    key: [0],
  },
  before: null,
  after: [42, "news", null, undefined],
  position: "6923a1f0-0000000000000003-000000000000060b-00000000",
  coordinates: { gtid: "a:1", file: "binlog.000003", pos: 1547, row: 0 },
  transaction: { id: "a:1", ts_us: 1_795_255_200_123_456 },
  total_order: 7,
  ts_ms: 1_795_255_200_130,
};

Deno.test("json: the envelope has Debezium's keys in Debezium's order, and ours in source", async () => {
  const { format } = await formats.json();
  const { key, value } = encoded(format, EXAMPLE);
  assert.deepStrictEqual({ key, value: textOf(value) }, {
    key: '{"id":42}',
    value: '{"before":null,"after":{"id":42,"category":"news","note":null},' +
      '"source":{"connector":"mysql","name":"orders","version":"0.1.0","ts_us":1795255200123456,' +
      '"snapshot":"false","ts_ms":1795255200123,"db":"shop","schema":null,"table":"list",' +
      '"position":"6923a1f0-0000000000000003-000000000000060b-00000000","schema_id":"9f1c2b3a",' +
      '"gtid":"a:1","file":"binlog.000003","pos":1547,"row":0},' +
      '"op":"c","ts_ms":1795255200130,"transaction":{"id":"a:1","total_order":7}}',
  });
});

Deno.test("json: every 64-bit integer keeps all its digits", async () => {
  const { format } = await formats.json();
  for (const id of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n, 9007199254740993n]) {
    const sent = { ...EXAMPLE, after: [id, "a", null, undefined] };
    const record = encoded(format, sent);
    assert.match(textOf(record.value), new RegExp(`"id":${id},`));
    assert.deepStrictEqual(
      plainChange(format.decode(received(record), knowing(sent.table))),
      sent,
    );
  }
});

for (const name of Object.keys(formats) as FormatName[]) {
  Deno.test(`${name}: changes of one transaction read back one after another, whatever differs`, async () => {
    const { format } = await formats[name]();
    fc.assert(
      fc.property(change, fc.array(change, { minLength: 1, maxLength: 4 }), (first, others) => {
        const lookup = knowing(first.table);
        const changes = [
          first,
          ...others.map((other, index) => ({
            ...first,
            op: first.before === null && first.after === null ? first.op : other.op,
            before: index % 2 === 0 ? first.before ?? first.after : first.after ?? first.before,
            position: other.position.replace(/.$/, String(index)),
            coordinates: other.coordinates,
            total_order: first.transaction.id === "" ? 0 : other.total_order,
            ...first.transaction.id === "" || other.data_collection_order === undefined
              ? {}
              : { data_collection_order: other.data_collection_order },
            transaction: index === 3
              ? { ...first.transaction, ts_us: other.transaction.ts_us }
              : first.transaction,
          })),
        ];
        for (const sent of changes) {
          assert.deepStrictEqual(
            plainChange(format.decode(received(encoded(format, sent)), lookup)),
            sent,
          );
        }
      }),
    );
  });
}

Deno.test("a truncate has a key of its own that no row has", async () => {
  const { format } = await formats.json();
  assert.equal(encoded(format, { ...EXAMPLE, op: "t", after: null }).key, "{}");
});
