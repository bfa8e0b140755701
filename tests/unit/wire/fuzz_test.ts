/**
 * Whatever bytes come, a decoder answers a value or its own error: no crash, no endless loop, no value
 * from beyond the message. `deno task fuzz` runs the same for longer.
 */
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ConfigError, RecordError } from "../../../shared/errors.ts";
import * as requests from "../../../shared/kafka/requests.ts";
import {
  EventType,
  readEvent,
  readFormatDescription,
  readGtid,
  readGtidList,
  readHeartbeatV2,
  readIncident,
  readMariadbGtid,
  readQuery,
  readRotate,
  readTaggedGtid,
  readTransactionPayload,
} from "../../../shared/wire/binlog_event.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import {
  readRows,
  readRowsHead,
  type RowLayout,
  ROWS_EVENTS,
} from "../../../shared/wire/binlog_rows.ts";
import {
  ColumnType,
  type MappedColumn,
  readTableId,
  readTableMap,
} from "../../../shared/wire/binlog_table_map.ts";
import { CsvError, CsvReader } from "../../../shared/wire/csv_reader.ts";
import { crc32c } from "../../../shared/wire/crc32c.ts";
import { GtidSet } from "../../../shared/wire/gtid_set.ts";
import { GtidPosition } from "../../../shared/wire/mariadb_gtid.ts";
import { typeOfColumn, valueReader } from "../../../shared/wire/mysql_column.ts";
import { readDecimal } from "../../../shared/wire/mysql_decimal.ts";
import { readJson } from "../../../shared/wire/mysql_json.ts";
import { applyJsonDiffs } from "../../../shared/wire/mysql_json_diff.ts";
import { readStatement } from "../../../shared/wire/mysql_statement.ts";
import { cellReader, readTextRow } from "../../../shared/wire/mysql_text.ts";
import { decodePgoutput } from "../../../shared/wire/pgoutput.ts";
import { parseArray } from "../../../shared/wire/postgres_array.ts";
import { readDataRow } from "../../../shared/wire/postgres_data_row.ts";
import { parseLsn } from "../../../shared/wire/postgres_lsn.ts";
import { WireReader } from "../../../shared/wire/postgres_reader.ts";
import { conversionOf, OID } from "../../../shared/wire/postgres_value.ts";
import { MalformedBatchError, readRecordBatches } from "../../../shared/wire/record_batch.ts";
import { MalformedMessageError } from "../../../shared/wire/kafka_message.ts";
import { Wal2jsonDecoder } from "../../../shared/wire/wal2json.ts";

import { byte, bytes, survives } from "../fuzzing.ts";
import fixture from "./binlog_fixture.json" with { type: "json" };

const BINLOG_READERS = {
  readFormatDescription: (reader: BinlogReader) =>
    readFormatDescription(reader.bytes, 0, reader.bytes.length),
  readRotate,
  readHeartbeatV2,
  readTaggedGtid,
  readQuery: (body: BinlogReader) => readQuery({ type: EventType.QUERY, flags: 0, body }),
  readCompressedQuery: (body: BinlogReader) =>
    readQuery({ type: EventType.QUERY_COMPRESSED, flags: 0, body }),
  readGtidList,
  readIncident,
  readTransactionPayload,
  readTableMap: (reader: BinlogReader) => readTableMap(reader),
  readTableMapOfMariadb: (reader: BinlogReader) => readTableMap(reader, true),
  lenenc: (reader: BinlogReader) => reader.lenenc(),
};

for (const [name, read] of Object.entries(BINLOG_READERS)) {
  Deno.test(`binlog: ${name} survives any bytes`, () => {
    survives(bytes, (value) => read(new BinlogReader(value)), RecordError);
  });
}

Deno.test("binlog: whole events of any type and length survive, with and without checksums", () => {
  const event = fc.tuple(
    bytes,
    fc.constantFrom(...Object.values(EventType)),
    fc.boolean(),
    fc.boolean(),
  );
  survives(event, ([body, type, checksums, isHonest]) => {
    const whole = new Uint8Array(19 + body.length);
    whole.set(body, 19);
    whole[4] = type;
    if (isHonest) new DataView(whole.buffer).setUint32(9, whole.length, true);
    const read = readEvent(whole, 0, whole.length, checksums);
    if (type === EventType.GTID) return readGtid(read);
    if (type === EventType.MARIADB_GTID) return readMariadbGtid(read);
    readTableId(read);
    return readTableMap(read.body);
  }, RecordError);
});

Deno.test("binlog: rows of any bytes survive under any table map that can be read", () => {
  const how = fc.record({
    op: fc.constantFrom("c", "u", "d"),
    partial_json: fc.boolean(),
    compressed: fc.boolean(),
  });
  survives(fc.tuple(bytes, bytes, how), ([map, rows, how]) => {
    const { columns } = readTableMap(new BinlogReader(map));
    columns.forEach(typeOfColumn);
    readRows(new BinlogReader(rows), how, layoutOf(columns), () => {});
  }, RecordError);
});

Deno.test("binlog: columns of every type survive any bytes", () => {
  const column = fc.record({
    type: fc.nat(255),
    size: fc.nat(70),
    scale: fc.nat(40),
    nullable: fc.boolean(),
    name: fc.constant("c"),
    unsigned: fc.boolean(),
    collation: fc.constantFrom(8, 33, 45, 63, 255, 9999, undefined),
    members: fc.constantFrom(undefined, [], [Uint8Array.of(97)]),
    geometry: fc.constant(undefined),
    dimension: fc.constant(undefined),
    visible: fc.constant(true),
  });
  survives(fc.tuple(column, bytes), ([mapped, value]) => {
    typeOfColumn(mapped);
    return valueReader(mapped)(new BinlogReader(value));
  }, RecordError);
});

Deno.test("binlog: the head of a rows event survives any bytes", () => {
  survives(bytes, (value) => {
    const whole = new Uint8Array(19 + value.length);
    whole.set(value, 19);
    whole[4] = 30;
    new DataView(whole.buffer).setUint32(9, whole.length, true);
    return readRowsHead(readEvent(whole, 0, whole.length, false));
  }, RecordError);
});

/** Events as a server sent them, checksums cut off, each with the table map that stands before it. */
const RECORDED = Object.values<string[]>(fixture.sections).flatMap((events) => {
  let map: Uint8Array | undefined;
  return events.map((hex) => {
    const event = Uint8Array.from(Buffer.from(hex, "hex").subarray(0, -4));
    new DataView(event.buffer).setUint32(9, event.length, true);
    if (event[4] === EventType.TABLE_MAP) map = event;
    return { event, map };
  });
});

/** An event with a few bytes changed and its length made to fit what is left of it. */
const damaged = fc.tuple(
  fc.constantFrom(...RECORDED),
  fc.array(fc.tuple(fc.nat(), byte), { maxLength: 4 }),
  fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(40)),
).map(([{ event, map }, changes, cut]) => {
  const changed = event.slice(0, Math.max(19, event.length - cut));
  const body = changed.length - 19;
  for (const [at, value] of changes) if (body > 0) changed[19 + at % body] = value;
  new DataView(changed.buffer).setUint32(9, changed.length, true);
  return { event: changed, map };
});

function mappedLayout(map: Uint8Array): RowLayout {
  const mapped = readEvent(map, 0, map.length, false);
  readTableId(mapped);
  const { columns } = readTableMap(mapped.body);
  columns.forEach(typeOfColumn);
  return layoutOf(columns);
}

function layoutOf(columns: readonly MappedColumn[]): RowLayout {
  return {
    readers: columns.map(valueReader),
    targets: columns.map((_, index) => index),
    width: columns.length,
    names: columns.map((_, index) => `c${index}`),
    json: columns.flatMap(({ type }, index) => type === ColumnType.JSON ? [index] : []),
  };
}

Deno.test("binlog: recorded events with a few bytes changed survive", () => {
  survives(damaged, ({ event, map }) => {
    const read = readEvent(event, 0, event.length, false);
    const op = ROWS_EVENTS.get(read.type);
    if (read.type === EventType.TABLE_MAP) mappedLayout(event);
    else if (read.type === EventType.QUERY) readQuery(read);
    else if (read.type === EventType.GTID) readGtid(read);
    else if (op !== undefined && map !== undefined) {
      readRows(read.body, { op, ...readRowsHead(read) }, mappedLayout(map), () => {});
    }
  }, RecordError);
});

Deno.test("MySQL's JSON and DECIMAL survive any bytes", () => {
  survives(bytes, readJson, RecordError);
  const documents = fc.oneof(fc.json(), fc.constantFrom('{"a": [1, {"b": null}]}', "[[]]", '"x"'));
  survives(
    fc.tuple(documents, bytes),
    ([before, diffs]) => applyJsonDiffs(before, new BinlogReader(diffs)),
    RecordError,
  );
  survives(
    fc.tuple(bytes, fc.nat(80), fc.nat(40)),
    ([value, precision, scale]) => readDecimal(new BinlogReader(value), precision, scale),
    RecordError,
  );
});

Deno.test("GTID sets and statements survive any text", () => {
  const gtids = fc.string({
    unit: fc.constantFrom(..."0123456789abcdef-:, x"),
    maxLength: 80,
  });
  survives(gtids, (text) => GtidSet.parse(text), ConfigError);
  survives(gtids, (text) => GtidPosition.parse(text), ConfigError);
  const both = (text: string) =>
    [false, true].map((mariadb) => readStatement(text, "shop", mariadb));
  survives(fc.string({ unit: "binary" }), both, RecordError);
});

const CONVERSIONS = Object.values(OID).map(conversionOf);

Deno.test("pgoutput: messages of every letter survive any bytes", () => {
  const message = fc.tuple(fc.constantFrom(..."BCDIMORTUYKNx"), bytes);
  survives(message, ([letter, body]) => {
    const whole = Buffer.concat([Buffer.from(letter), body]);
    return decodePgoutput(new WireReader(whole), () => [...CONVERSIONS, null]);
  }, RecordError);
});

Deno.test("PostgreSQL's values, arrays and LSNs survive any text", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(...'0123456789-+.:{},"\\ TZeBCxNaInfity'), maxLength: 60 }),
  );
  survives(fc.tuple(text, fc.constantFrom(...CONVERSIONS)), ([value, conversion]) => {
    conversion.fromText(value);
  }, RecordError);
  survives(fc.tuple(text, fc.constantFrom(...CONVERSIONS)), ([value, conversion]) => {
    const whole = Buffer.from(value);
    conversion.fromBytes(whole, 0, whole.length);
  }, RecordError);
  survives(text, (value) => parseArray(value, ",", (element) => element), RecordError);
  survives(text, parseLsn, RecordError);
});

Deno.test("wal2json: any text, and good records with one sign changed, survive", () => {
  const good =
    '{"action":"I","xid":7,"timestamp":"2026-11-21 10:00:00.1+00","lsn":"0/16B","nextlsn":' +
    '"0/16C","schema":"public","table":"list","columns":[{"name":"id","type":"bigint","typeoid":20,' +
    '"value":42,"optional":false}],"pk":[{"name":"id","type":"bigint"}]}';
  const changed = fc.tuple(fc.nat(good.length), fc.string({ maxLength: 2 }), fc.nat(3))
    .map(([at, put, cut]) => good.slice(0, at) + put + good.slice(at + cut));
  survives(
    fc.oneof(fc.string(), changed),
    (text) => new Wal2jsonDecoder().decode(text),
    RecordError,
  );
});

Deno.test("Kafka record batches survive any bytes after any header", () => {
  const batch = fc.tuple(bytes, fc.integer({ min: -2, max: 300 }), fc.nat(8), fc.nat(40));
  survives(batch, ([body, length, attributes, count]) => {
    const whole = new Uint8Array(61 + body.length);
    const view = new DataView(whole.buffer);
    view.setInt32(8, length === 300 ? whole.length - 12 : length);
    view.setInt8(16, 2);
    view.setInt16(21, attributes);
    view.setInt32(23, count);
    view.setInt32(57, count);
    whole.set(body, 61);
    view.setUint32(17, crc32c(whole.subarray(21, view.getInt32(8) + 12)));
    return readRecordBatches(whole, 0, (_, payload) => payload);
  }, MalformedBatchError);
});

for (const [name, request] of Object.entries(requests)) {
  if (typeof request !== "object" || !("decode" in request)) continue;
  Deno.test(`Kafka's answers to ${name} survive any bytes`, () => {
    survives(bytes, (body) => request.decode(Buffer.from(body)), MalformedMessageError);
  });
}

Deno.test("CSV survives any text in any pieces", () => {
  const text = fc.string({ unit: fc.constantFrom(...'a,"\r\n '), maxLength: 60 });
  survives(fc.tuple(text, fc.nat(60)), ([value, cut]) => {
    const reader = new CsvReader({ name: "a.csv" });
    const encoder = new TextEncoder();
    for (const piece of [value.slice(0, cut), value.slice(cut)]) {
      reader.push(encoder.encode(piece));
      while (reader.next()) reader.row();
    }
    reader.end();
    while (reader.next()) reader.row();
  }, CsvError);
});

Deno.test("rows of a PostgreSQL query survive any bytes", () => {
  const columns = [OID.int8, OID.timestamptz, OID.bytea, 25].map(conversionOf);
  survives(
    bytes,
    (input) => readDataRow(new WireReader(Buffer.from([0, 4, ...input])), columns),
    RecordError,
  );
});

Deno.test("rows of a MySQL query survive any bytes", () => {
  const cells = [
    ...["bigint unsigned", "double", "decimal(9,2) zerofill", "datetime(6)", "timestamp", "bit(9)"]
      .map((type) => cellReader(type, undefined)),
    ...["latin1", "gbk", "utf16", "big5", "ujis", "gb18030"].map((charset) =>
      cellReader("varchar(9)", charset)
    ),
    ...["json", "blob"].map((type) => cellReader(type, undefined)),
  ];
  survives(
    fc.tuple(bytes, fc.nat(cells.length - 1)),
    ([input, from]) => readTextRow(new BinlogReader(input), cells.slice(from)),
    RecordError,
  );
});
