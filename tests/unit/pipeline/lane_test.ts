import assert from "node:assert/strict";
import { RecordError, RetryableError } from "../../../shared/errors.ts";
import { format } from "../../../shared/formats/json.ts";
import { format as protobuf } from "../../../shared/formats/protobuf.ts";
import type { Bytes, InRecord } from "../../../shared/kafka/port.ts";
import { type DeadLetter, replayRecord } from "../../../shared/pipeline/dead_letter.ts";
import { Lane, type LaneContext } from "../../../shared/pipeline/lane.ts";
import { type SchemaReader, UnknownSchemaError } from "../../../shared/pipeline/schemas.ts";
import type { Sink, SinkBatch, Standing } from "../../../shared/sinks/sink.ts";
import { NoneSink } from "../../../shared/sinks/none.ts";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import { crc32c } from "../../../shared/wire/crc32c.ts";
import {
  readRecordBatches,
  RecordBatchWriter,
  type RecordToWrite,
} from "../../../shared/wire/record_batch.ts";
import { encoded } from "../../encoded.ts";
import { change, context, partition, table } from "../sinks/fixtures.ts";

/** A sink that says what is asked of it, and refuses rows of the category `refused`. */
class TellingSink extends NoneSink implements Sink {
  readonly calls: string[] = [];
  readonly ids: unknown[] = [];
  standing: Standing | undefined;
  readonly any_order: boolean;
  override readonly reads_rows: boolean;

  constructor({ any_order = true, reads_rows = true } = {}) {
    super();
    this.any_order = any_order;
    this.reads_rows = reads_rows;
  }

  override write(at: Parameters<NoneSink["write"]>[0], batch: SinkBatch) {
    if (batch.changes.some(({ after }) => after?.[1] === "refused")) {
      return Promise.reject(new RecordError("the target refuses the row"));
    }
    this.ids.push(...batch.changes.map(({ before, after }) => (after ?? before)?.[0]));
    this.standing = batch.standing;
    return super.write(at, batch);
  }

  override flush(...args: Parameters<NoneSink["flush"]>) {
    this.calls.push("flush");
    return super.flush(...args);
  }

  override release(...args: Parameters<NoneSink["release"]>) {
    this.calls.push("release");
    return super.release(...args);
  }
}

/** Knows the one table. */
const known = {
  lookup: (_source: string, _db: string, _schema: string | null, name: string) => {
    if (name === table.table) return table;
    throw new UnknownSchemaError(`No definition of ${name}`);
  },
  refresh: () => Promise.resolve(),
} as unknown as SchemaReader;

interface Tried {
  readonly sink: TellingSink;
  readonly lane: Lane;
  readonly letters: DeadLetter[];
  readonly log: Record<string, unknown>[];
}

/** A lane over a telling sink, and what it hands over to be handled. */
function laneOf(
  on_error: LaneContext["poison"]["on_error"],
  {
    limit = 10,
    sink = new TellingSink(),
    standing = undefined as Standing | undefined,
    schemas = known,
  } = {},
): Tried {
  const letters: DeadLetter[] = [];
  const handle = (more: readonly DeadLetter[]) => {
    sink.calls.push(`handle ${more.map(({ origin }) => origin.offset)}`);
    letters.push(...more);
    return Promise.resolve();
  };
  const { log, lines } = context();
  const poison = { on_error, limit, job: "csv", group_id: "orders", handle };
  const lane = new Lane(partition, { sink, format, schemas, poison, log, now: () => 1_000 });
  lane.begin(standing?.next_offset ?? 0, standing);
  return { sink, lane, letters, log: lines };
}

const bytes = (value: Bytes) =>
  typeof value === "string" ? new TextEncoder().encode(value) : value.slice();

/** The record of change number `n`, at offset `n`. */
function good(n: number, category = "news", op: "c" | "d" = "c", id = n): InRecord {
  const row = [id, category, "a"];
  return recordOf(n, change(n, op, op === "c" ? { after: row } : { before: row }));
}

function recordOf(offset: number, of: ReturnType<typeof change>, how = format): InRecord {
  const { key, value } = encoded(how, of);
  return { offset, size: 1, key: bytes(key), value: bytes(value), timestamp_ms: 5, headers: [] };
}

function garbage(offset: number, text = "\u0000not ours"): InRecord {
  const headers = [["trace", bytes("7")]] as const;
  return { offset, size: 1, key: bytes("k"), value: bytes(text), timestamp_ms: 5, headers };
}

/** The replay of a letter as it is read at `offset`. */
function replayed(letter: DeadLetter, offset: number): InRecord {
  const { key, value, headers = [], timestamp_ms } = replayRecord(letter, 9);
  return {
    offset,
    size: 1,
    timestamp_ms,
    key: key as Uint8Array,
    value: value as Uint8Array,
    headers: headers.map(([name, value]) => [name, bytes(value)] as const),
  };
}

async function take(lane: Lane, records: readonly InRecord[]) {
  const next_offset = records.at(-1)!.offset + 1;
  return await lane.take({ ...lane.at, records, next_offset, end_offset: next_offset }, Infinity);
}

Deno.test("definitions are read anew once a batch, however many of its records lack theirs", async () => {
  let refreshed = 0;
  const counting = {
    ...known,
    refresh: () => Promise.resolve(void refreshed++),
  } as unknown as SchemaReader;
  const { lane } = laneOf("skip", { schemas: counting });
  const unknown = (n: number) =>
    recordOf(n, change(n, "c", { after: [n, "news", "a"] }, { ...table, table: "gone" }));
  await take(lane, [good(0), unknown(1), unknown(2), good(3)]);
  assert.equal(refreshed, 1);
  await take(lane, [unknown(4), good(5)]);
  assert.equal(refreshed, 2);
});

Deno.test("a batch that stands before all that is wanted is astray: its seek was not heard", () => {
  const { lane } = laneOf("fail", { standing: { next_offset: 10, positions: new Map() } });
  const batch = (from: number, to: number) => ({
    ...lane.at,
    records: Array.from({ length: to - from }, (_, index) => good(from + index)),
    next_offset: to,
    end_offset: 30,
  });
  const astray = [[0, 10], [0, 11], [10, 12], [20, 22], [10, 10]].map(([from, to]) =>
    lane.isAstray(batch(from!, to!))
  );
  assert.deepEqual(astray, [true, false, false, false, false]);
});

Deno.test("what a sink does that looks at no rows is counted as for any other", async () => {
  const records: RecordToWrite[] = Array.from({ length: 40 }, (_, n) => {
    const op = n % 3 === 0 ? "d" : "c";
    // Every seventh comes again, and after it something that is no change.
    const { key, value } = good(n % 7 === 6 ? n - 1 : n, "news", op);
    return { key, value: n % 7 === 0 ? null : value, timestamp_ms: 5 };
  });
  const writer = new RecordBatchWriter({ compression_id: 0, compress: (bytes) => bytes, crc32c });
  const batch = writer.write(PackedRecords.of(records), 0, Infinity);
  writer.stamp(batch, { producer_id: 0n, producer_epoch: 0, base_sequence: 0 });
  const read = readRecordBatches(batch.bytes, 0, (_, bytes) => bytes).records;
  const [looking, counting] = await Promise.all([true, false].map(async (reads_rows) => {
    const { lane, sink } = laneOf("fail", { sink: new TellingSink({ reads_rows }) });
    const taken = [await take(lane, read.slice(0, 25)), await take(lane, read.slice(20))];
    const flushed = await lane.flush();
    return { rows: sink.ids.length, taken, flushed, standing: sink.standing };
  }));
  assert.ok(looking!.rows > counting!.rows, `${counting!.rows} of ${looking!.rows} were read`);
  const { rows: _, ...expected } = looking!;
  const { rows: __, ...found } = counting!;
  assert.deepEqual(found, expected);
  assert.ok(found.taken[0]!.repetitions > 0);
});

Deno.test("what waits after a release leaves the sink alone", async () => {
  const { lane, sink } = laneOf("fail");
  await lane.skipTo(5);
  await Promise.all([
    lane.exclusive(() => lane.flush()),
    lane.exclusive(() => lane.release()),
    lane.exclusive(() => lane.flush()),
    lane.exclusive(() => lane.release()),
  ]);
  assert.deepStrictEqual(sink.calls, ["flush", "release"]);
});

Deno.test("on_error fail: everything before a poison record is written, and the error names the place", async () => {
  const { lane, sink } = laneOf("fail");
  await assert.rejects(take(lane, [good(0), good(1), garbage(2), good(3)]), (error) => {
    assert(error instanceof RecordError);
    assert.match(error.message, /^Topic orders\.public\.list, partition 0: .*offset 2 .*not JSON/);
    return true;
  });
  assert.deepEqual(sink.ids, [0, 1]);
  assert.equal(sink.standing!.next_offset, 2);
});

const unknown = recordOf(1, change(1, "c", { after: [1, "x", "y"] }, { ...table, table: "other" }));
const misshapen = garbage(
  1,
  new TextDecoder().decode(good(1).value!).replace(/"after":\{[^}]*\}/, '"after":null'),
);
const unplaced = garbage(
  1,
  new TextDecoder().decode(good(1).value!).replace(/"position":"[^"]*"/, '"position":"zz"'),
);
const poisons: [string, InRecord, DeadLetter["reason"]][] = [
  ["bytes that are no change", garbage(1), "format"],
  ["an unknown definition", unknown, "schema"],
  ["a create without its row", misshapen, "format"],
  ["a change without a position", unplaced, "format"],
  ["a row that the sink refuses", good(1, "refused"), "sink"],
];
for (const [what, record, reason] of poisons) {
  Deno.test(`on_error dead_letter: ${what} is set aside, and the good changes around it stay in order`, async () => {
    const { lane, sink, letters } = laneOf("dead_letter");
    const taken = await take(lane, [good(0), record, good(2), good(3)]);
    assert.equal(taken.records, 4);
    assert.deepEqual(sink.ids, [0, 2, 3]);
    assert.equal(sink.standing!.next_offset, 4);
    assert.deepEqual([...sink.standing!.set_aside!.keys()], [1]);
    await lane.flush();
    assert.deepEqual(sink.calls, ["handle 1", "flush"]);
    const [letter] = letters;
    assert.equal(letter!.reason, reason);
    assert.deepEqual(letter!.origin, { ...partition, offset: 1 });
    assert.deepEqual(letter!.record, {
      key: record.key,
      value: record.value,
      headers: record.headers,
      timestamp_ms: 5,
    });
  });
}

Deno.test("on_error skip: the record is handled before the flush, and nothing is set aside", async () => {
  const { lane, sink, letters } = laneOf("skip");
  await take(lane, [good(0), garbage(1), good(2)]);
  await lane.flush();
  assert.deepEqual(sink.ids, [0, 2]);
  assert.deepEqual(sink.calls, ["handle 1", "flush"]);
  assert.equal(sink.standing!.set_aside!.size, 0);
  assert.equal(letters.length, 1);
});

Deno.test("A letter that is not acknowledged keeps the sink from its flush", async () => {
  const sink = new TellingSink();
  const lane = new Lane(partition, {
    sink,
    format,
    schemas: known,
    log: context().log,
    now: () => 0,
    poison: {
      on_error: "dead_letter",
      limit: 10,
      job: "csv",
      group_id: "orders",
      handle: () => Promise.reject(new RetryableError("no broker answers")),
    },
  });
  lane.begin(0, undefined);
  await take(lane, [good(0), garbage(1), good(2)]);
  await assert.rejects(lane.flush(), /no broker answers/);
  assert.deepEqual(sink.calls, []);
});

for (const on_error of ["fail", "skip", "dead_letter"] as const) {
  Deno.test(`on_error ${on_error}: a change in another format stops the job with the cure`, async () => {
    const { lane, sink, letters } = laneOf(on_error);
    const other = recordOf(1, change(1, "c", { after: [1, "news", "a"] }), protobuf);
    await assert.rejects(take(lane, [good(0), other, good(2)]), (error) => {
      assert(error instanceof RecordError);
      assert.match(error.message, /partition 0: .*offset 1 .*format protobuf.*format is json/);
      assert.equal(error.cure, "set `format: protobuf`");
      return true;
    });
    assert.deepEqual(sink.ids, [0]);
    assert.equal(sink.standing!.next_offset, 1);
    assert.deepEqual(letters, []);
  });
}

Deno.test("More dead letters than the limit stop the job at the first that is too many", async () => {
  for (const poison of [garbage, (n: number) => good(n, "refused")]) {
    const { lane, sink } = laneOf("dead_letter", { limit: 2 });
    const records = [poison(0), good(1), poison(2), poison(3), good(4)];
    await assert.rejects(take(lane, records), /2 dead letters wait .* offset 3 would be one more/);
    assert.deepEqual(sink.ids, [1]);
    assert.equal(sink.standing!.next_offset, 3);
    assert.deepEqual([...sink.standing!.set_aside!.keys()], [0, 2]);
    assert.equal(lane.next_offset, 3, "the next start reads it again");
    // And takes it for what it is, not for a repetition.
    const raised = laneOf("dead_letter", { standing: sink.standing! });
    await take(raised.lane, records);
    await raised.lane.flush();
    assert.deepEqual(raised.letters.map(({ origin }) => origin.offset), [3]);
    assert.deepEqual(raised.sink.ids, [4]);
  }
});

/** A refused record 1 among good ones, and its letter. */
async function withLetter(options: Parameters<typeof laneOf>[1] = {}) {
  const tried = laneOf("dead_letter", options);
  await take(tried.lane, [good(0), good(1, "refused"), good(2)]);
  await tried.lane.flush();
  const letter = tried.letters[0]!;
  // After the fix: the same row, and the sink takes it.
  const mended = { ...letter, record: { ...letter.record, ...valueOf(good(1)) } };
  return { ...tried, letter, mended };
}

const valueOf = ({ key, value }: InRecord) => ({ key, value });

Deno.test("A replay is applied though its position is older, once, and by a later process too", async () => {
  const { lane, sink, mended } = await withLetter();
  const before = sink.standing!;
  const taken = await take(lane, [good(3), replayed(mended, 4), replayed(mended, 5), good(6)]);
  assert.deepEqual(sink.ids, [0, 2, 3, 1, 6]);
  assert.equal(taken.repetitions, 1);
  assert.equal(sink.standing!.set_aside!.size, 0);
  const later = laneOf("dead_letter", { standing: before });
  await take(later.lane, [good(3), replayed(mended, 4), replayed(mended, 5), good(6)]);
  assert.deepEqual(later.sink.ids, [3, 1, 6]);
});

Deno.test("A replay is a repetition to whoever has applied the record", async () => {
  const { mended } = await withLetter();
  const other = laneOf("dead_letter");
  await take(other.lane, [good(0), good(1), good(2), replayed(mended, 3)]);
  assert.deepEqual(other.sink.ids, [0, 1, 2]);
  assert(other.log.some(({ event }) => event === "replay_refused"), "its own group says why");
});

Deno.test("A replay that nobody remembers waits again, where the target does not say where it stands", async () => {
  const { mended } = await withLetter();
  const restarted = laneOf("dead_letter");
  restarted.lane.begin(3, undefined);
  await take(restarted.lane, [good(3), replayed(mended, 4), good(5)]);
  await restarted.lane.flush();
  assert.deepEqual(restarted.sink.ids, [3, 5]);
  assert.deepEqual(
    restarted.letters.map(({ origin, replays, reason }) => [origin.offset, replays, reason]),
    [[1, 1, "sink"]],
  );
  await take(restarted.lane, [replayed({ ...mended, replays: 1 }, 6)]);
  assert.deepEqual(restarted.sink.ids, [3, 5, 1], "it is remembered from now on");
});

Deno.test("A replay that fails again is the same letter, replayed once more", async () => {
  const { lane, sink, letters, letter } = await withLetter();
  await take(lane, [replayed(letter, 3)]);
  await lane.flush();
  assert.deepEqual(letters.map(({ origin, replays }) => [origin.offset, replays]), [[1, 0], [
    1,
    1,
  ]]);
  assert.deepEqual([...sink.standing!.set_aside!.keys()], [1]);
});

Deno.test("A replay from before a truncate is refused", async () => {
  const { lane, sink, mended, log } = await withLetter();
  await take(lane, [recordOf(3, change(3, "t", {})), replayed(mended, 4)]);
  assert(!sink.ids.includes(1), `${sink.ids}`);
  assert(log.some(({ event, offset }) => event === "replay_refused" && offset === 1));
});

Deno.test("Where order counts, a replay is refused after a newer change of its key, and no other", async () => {
  for (const [id, expected] of [[1, [0, 2, 1]], [9, [0, 2, 9, 1]]] as const) {
    const { lane, sink, mended } = await withLetter({
      sink: new TellingSink({ any_order: false }),
    });
    await take(lane, [good(3, "news", "d", id), replayed(mended, 4)]);
    assert.deepEqual(sink.ids, expected, `a delete of ${id} came between`);
  }
});

Deno.test("Replays of one key are taken in the order of their origins, and refused against it", async () => {
  const records = [good(0, "refused", "c", 7), good(1, "refused", "c", 7)];
  for (const [order, expected] of [[[0, 1], [7, 7]], [[1, 0], [7]]] as const) {
    const { lane, sink, letters } = laneOf("dead_letter", {
      sink: new TellingSink({ any_order: false }),
    });
    await take(lane, records);
    await lane.flush();
    const mended = letters.map((letter, n) => ({
      ...letter,
      record: { ...letter.record, ...valueOf(good(n, "news", "c", 7)) },
    }));
    await take(lane, order.map((n, at) => replayed(mended[n]!, 2 + at)));
    assert.deepEqual(sink.ids, expected, `replayed in the order ${order}`);
  }
});

Deno.test("notes of transactions and definitions among the changes are passed over", async () => {
  const { sink, lane } = laneOf("fail");
  const stamp = JSON.stringify({ source: "postgresql/orders", position: "p" });
  const headers = [["list-sync.note", bytes(stamp)]] as const;
  await take(lane, [{ ...garbage(0, '{"status":"BEGIN"}'), headers }, good(1)]);
  assert.deepEqual(sink.ids, [1]);
  assert.equal(lane.next_offset, 2);
});
