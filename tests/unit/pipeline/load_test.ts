import assert from "node:assert/strict";
import { Load, type Target } from "../../../shared/pipeline/load.ts";
import { RecordArena } from "../../../shared/wire/packed_records.ts";
import { change, positionOf } from "../sinks/fixtures.ts";

/** Bytes of every record here: key, value, their lengths and the number of headers. */
const RECORD_BYTES = 10 + 90 + 1 + 2 + 1;

/** A load in which a record has just been written. */
function written(): Load {
  const load = new Load(new RecordArena());
  load.arena.add({ key: "k".repeat(10), value: "v".repeat(90), timestamp_ms: 0 });
  return load;
}

/** A partition that holds the changes up to number `n`. */
function holding(n: number, partition = 0): Target {
  const held = positionOf(n);
  return { topic: "t", partition, held, last: held };
}

Deno.test("dropped repetitions count towards the bytes that are held, not towards those that are sent", () => {
  const load = written();
  const first = change(1, "c", { after: [1] });
  load.add(first, [holding(5)]);
  assert.deepStrictEqual(
    { held: load.held_bytes, sent: load.bytes, repetitions: load.repetitions },
    { held: RECORD_BYTES, sent: 0, repetitions: 1 },
  );
});

Deno.test("a truncate that some partitions hold goes to the others alone", () => {
  const load = written();
  const truncate = change(5, "t", {});
  load.add(truncate, [holding(4), holding(5, 1), holding(0, 2)]);
  assert.deepStrictEqual(load.batches().map(({ partition }) => partition), [0, 2]);
  assert.deepStrictEqual({ t: load.changes.t, repetitions: load.repetitions }, {
    t: 1,
    repetitions: 0,
  });
});

Deno.test("a record's time is that of its capture: retention counts from there, whenever it was committed", () => {
  const load = written();
  const captured = change(5, "c", { after: [1] });
  const committed = { ...captured.transaction, ts_us: 1_000_000 };
  load.add({ ...captured, transaction: committed }, [holding(0)]);
  assert.equal(load.batches()[0]!.records.at(0)!.timestamp_ms, captured.ts_ms);
});

Deno.test("positions that do not grow within a session are refused, not dropped", () => {
  const load = written();
  const target = holding(0);
  const again = change(5, "c", { after: [1] });
  load.add(again, [target]);
  assert.throws(() => load.add(again, [target]), /positions must grow/);
});
