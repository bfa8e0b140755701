import assert from "node:assert/strict";
import { sourceId } from "../../../shared/formats/format.ts";
import { Load, type Target } from "../../../shared/pipeline/load.ts";
import { Notes, noteStamp } from "../../../shared/pipeline/notes.ts";
import { SchemaChanges } from "../../../shared/pipeline/schema_changes.ts";
import { Transactions } from "../../../shared/pipeline/transactions.ts";
import { RecordArena } from "../../../shared/wire/packed_records.ts";
import { change, listTable, positionOf } from "../sinks/fixtures.ts";

const SOURCE = { connector: "postgresql", name: "orders", version: "0.1.0" } as const;

/** Notes whose topics hold what is told up to `held`, and the load that they go to. */
function notesHolding(held: string) {
  const target = (topic: string): Target => ({ topic, partition: 0, held, last: held });
  const notes = new Notes(SOURCE, {
    schema_changes: { target: target("schemas"), teller: new SchemaChanges(SOURCE) },
    transactions: { target: target("transactions"), teller: new Transactions() },
  });
  const load = new Load(new RecordArena());
  const told = (topic: string) =>
    load.batches().filter((batch) => batch.topic === topic).flatMap(({ records }) =>
      Array.from({ length: records.length }, (_, index) => records.at(index)!)
    );
  return { notes, load, told };
}

const textOf = (value: Uint8Array | null) => new TextDecoder().decode(value!);

/** Two transactions, of two changes and of one. */
function changes() {
  const [first, second] = ["1", "2"].map((id) => ({ id, ts_us: 5_000 }));
  const other = listTable("more");
  return [
    { ...change(1, "c", { after: [1] }), transaction: first! },
    { ...change(2, "c", { after: [2] }, { ...other, table: "other" }), transaction: first! },
    { ...change(3, "c", { after: [3] }, other), transaction: second! },
  ];
}

Deno.test("every transaction begins and ends, its changes are numbered by table, and notes carry stamps", () => {
  const { notes, load, told } = notesHolding("");
  const numbered = changes().map((change) => notes.take(change, load));
  assert.deepEqual(numbered.map(({ data_collection_order }) => data_collection_order), [1, 1, 1]);
  notes.whole(load);
  const records = told("transactions").map((record) => {
    const stamp = noteStamp(record)!;
    assert.equal(stamp.source, sourceId(SOURCE));
    return { ...JSON.parse(textOf(record.value)), position: stamp.position };
  });
  assert.deepEqual(records.map(({ status, id, event_count }) => [status, id, event_count]), [
    ["BEGIN", "1", null],
    ["END", "1", 2],
    ["BEGIN", "2", null],
    ["END", "2", 1],
  ]);
  assert.deepEqual(records[1].data_collections, [
    { data_collection: "public.list", event_count: 1 },
    { data_collection: "public.other", event_count: 1 },
  ]);
  const positions = records.map(({ position }) => position);
  assert.deepEqual(positions, [...positions].sort());
  assert.equal(new Set(positions).size, 4);
  assert.equal(notes.last, positions[3]);
  assert.equal(told("schemas").length, 3, "two tables, and one of them altered");
});

Deno.test("what the topics hold is not told again, and what came after it is", () => {
  const { notes, load, told } = notesHolding(positionOf(3));
  for (const change of changes()) notes.take(change, load);
  assert.deepEqual(load.batches(), []);
  notes.whole(load);
  assert.deepEqual(told("transactions").map(({ value }) => JSON.parse(textOf(value)).status), [
    "END",
  ]);
});

Deno.test("a header that is no stamp makes no note of a record", () => {
  for (const text of ["", "{", "null", "7", '{"source":1,"position":"a"}']) {
    const headers = [["list-sync.note", new TextEncoder().encode(text)]] as const;
    assert.equal(noteStamp({ headers }), undefined, text);
  }
  assert.equal(noteStamp({ headers: [] }), undefined);
});
