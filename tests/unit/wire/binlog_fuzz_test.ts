/** Damaged events: every decoder answers with a value or a RecordError, and never with anything else. */
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import {
  EventType,
  readEvent,
  readFormatDescription,
  readGtid,
  readHeartbeatV2,
  readIncident,
  readQuery,
  readRotate,
  readTaggedGtid,
  readTransactionPayload,
} from "../../../shared/wire/binlog_event.ts";
import { readRows, readRowsHead, ROWS_EVENTS } from "../../../shared/wire/binlog_rows.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import {
  ColumnType,
  readTableId,
  readTableMap,
  type TableMap,
} from "../../../shared/wire/binlog_table_map.ts";
import { typeOfColumn, valueReader } from "../../../shared/wire/mysql_column.ts";
import { readJson } from "../../../shared/wire/mysql_json.ts";
import { readStatement } from "../../../shared/wire/mysql_statement.ts";
import { eventsOf, SECTIONS } from "./binlog_fixture.ts";

/** Inputs of one run; `deno task fuzz` sets more. */
const RUNS = Number(Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? 20_000);

const EVENTS = SECTIONS.flatMap(eventsOf);

/** Bytes to change: where (as a share of the length) and into what; and how much of the end to cut off. */
const damage = fc.record({
  event: fc.nat(EVENTS.length - 1),
  edits: fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 255 })),
    {
      maxLength: 6,
    },
  ),
  cut: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })),
});

function valueOrRecordError(read: () => unknown, input: () => string): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof RecordError, `${input()} gave ${(error as Error).stack}`);
  }
}

const hex = (bytes: Uint8Array) => () => bytes.toHex();

/** The event with its edits, and header and checksum made right again: the damage is inside. */
function damaged({ event, edits, cut }: { event: number; edits: [number, number][]; cut: number }) {
  const original = EVENTS[event]!;
  const size = Math.max(23, original.length - cut);
  const bytes = new Uint8Array(original.subarray(0, size));
  for (const [where, value] of edits) bytes[19 + Math.floor(where * (size - 20))] = value;
  const view = new DataView(bytes.buffer);
  view.setUint32(9, size, true);
  view.setUint32(size - 4, crc32(bytes.subarray(0, size - 4)), true);
  return bytes;
}

const READERS: Readonly<Record<number, (bytes: Uint8Array) => unknown>> = {
  [EventType.FORMAT_DESCRIPTION]: (bytes) => readFormatDescription(bytes, 0, bytes.length),
  [EventType.ROTATE]: (bytes) => readRotate(open(bytes).body),
  [EventType.GTID]: (bytes) => readGtid(open(bytes)),
  [EventType.GTID_TAGGED]: (bytes) => readTaggedGtid(open(bytes).body),
  [EventType.QUERY]: (bytes) => {
    const { text, database } = readQuery(open(bytes));
    return readStatement(text, database);
  },
  [EventType.TRANSACTION_PAYLOAD]: (bytes) => readTransactionPayload(open(bytes).body),
  [EventType.TABLE_MAP]: (bytes) => {
    const event = open(bytes);
    readTableId(event);
    for (const column of readTableMap(event.body).columns) {
      typeOfColumn(column);
      valueReader(column);
    }
  },
};

function open(bytes: Uint8Array) {
  return readEvent(bytes, 0, bytes.length, true);
}

Deno.test("a damaged event is a value or a RecordError", () => {
  fc.assert(
    fc.property(damage, (input) => {
      const bytes = damaged(input);
      const read = READERS[bytes[4]!] ?? ((bytes) => readIncident(open(bytes).body));
      valueOrRecordError(() => read(bytes), hex(bytes));
    }),
    { numRuns: RUNS },
  );
});

Deno.test("damaged rows under a whole table definition are values or a RecordError", () => {
  const pairs = SECTIONS.flatMap((section) => {
    const events = eventsOf(section);
    return events.flatMap((event, i) => {
      const map = events[i - 1];
      return ROWS_EVENTS.has(event[4]!) && map?.[4] === EventType.TABLE_MAP
        ? [{ layout: layoutOf(mapOf(map)), index: EVENTS.findIndex((one) => same(one, event)) }]
        : [];
    });
  });
  assert.ok(pairs.length > 5, `${pairs.length} rows events`);
  fc.assert(
    fc.property(fc.nat(pairs.length - 1), damage, (pair, input) => {
      const { layout, index } = pairs[pair]!;
      const bytes = damaged({ ...input, event: index });
      valueOrRecordError(() => {
        const event = open(bytes);
        const head = readRowsHead(event);
        readRows(event.body, { op: ROWS_EVENTS.get(event.type)!, ...head }, layout, () => {});
      }, hex(bytes));
    }),
    { numRuns: RUNS },
  );
});

const DOCUMENT = Uint8Array.fromHex(
  "000300480019001a0001001b0001001c0001000b1d00022500" + "0f3a00616263" + "9a9999999999f13f" +
    "02001500" + "0c0a00050100" + "0178" + "00".repeat(6) + "0a0f02ff00",
);

Deno.test("any bytes as a JSON document are text or a RecordError", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.array(fc.tuple(fc.nat(DOCUMENT.length - 1), fc.integer({ min: 0, max: 255 })), {
      maxLength: 5,
    })
      .map((edits) => {
        const copy = new Uint8Array(DOCUMENT);
        for (const [at, value] of edits) copy[at] = value;
        return copy;
      }),
  );
  fc.assert(
    fc.property(bytes, (bytes) => valueOrRecordError(() => readJson(bytes), hex(bytes))),
    { numRuns: RUNS },
  );
});

Deno.test("any bytes as a heartbeat are a place or a RecordError", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      (bytes) => valueOrRecordError(() => readHeartbeatV2(new BinlogReader(bytes)), hex(bytes)),
    ),
    { numRuns: RUNS },
  );
});

function mapOf(bytes: Uint8Array): TableMap {
  const event = open(bytes);
  readTableId(event);
  return readTableMap(event.body);
}

function layoutOf(map: TableMap) {
  return {
    readers: map.columns.map(valueReader),
    targets: map.columns.map((_, i) => i),
    width: map.columns.length,
    names: map.columns.map(({ name }) => name ?? ""),
    json: map.columns.flatMap(({ type }, i) => type === ColumnType.JSON ? [i] : []),
  };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
