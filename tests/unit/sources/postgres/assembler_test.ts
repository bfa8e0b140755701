import assert from "node:assert/strict";
import type { Change, Row } from "../../../../shared/change.ts";
import { RecordError } from "../../../../shared/errors.ts";
import { parsePosition } from "../../../../shared/position.ts";
import { Assembler } from "../../../../shared/sources/postgres/assembler.ts";
import { TableFactory } from "../../../../shared/sources/postgres/table.ts";
import type { Tuple } from "../../../../shared/wire/pgoutput.ts";
import { conversionOf, OID } from "../../../../shared/wire/postgres_value.ts";

const SOURCE = { connector: "postgresql", name: "orders", version: "0" } as const;

function table({ key = [0], full = false }: { key?: number[]; full?: boolean }) {
  return new TableFactory("shop").make({
    schema: "public",
    table: "list",
    columns: ["id", "a", "b"].map((name) => ({ name, type: "text", conversion: conversionOf(25) })),
    key,
    identity: key,
    full,
  });
}

function assembled(work: (assembler: Assembler) => void): Change[] {
  const assembler = new Assembler(SOURCE, 5, () => 1_000);
  assembler.tick();
  assembler.begin(0x16_b374d848n, 123, 745);
  assembler.at(0x16, 0xb374d000);
  work(assembler);
  assembler.end();
  return assembler.take();
}

function told(changes: Change[]): [string, Row | null, Row | null][] {
  return changes.map(({ op, before, after }) => [op, before, after]);
}

Deno.test("a change says its transaction, its order in it, its position and its coordinates", () => {
  const [change] = assembled((a) => a.insert(table({}), ["1", "x", null]));
  assert.deepEqual({ ...change, table: change?.table.table }, {
    op: "c",
    source: SOURCE,
    table: "list",
    before: null,
    after: ["1", "x", null],
    position: "00000005-00000016b374d848-00000016b374d000-00000000",
    coordinates: { txId: 745, lsn: 0x16_b374d000, row: 0 },
    transaction: { id: "745", ts_us: 123 },
    total_order: 1,
    ts_ms: 1_000,
  });
});

Deno.test("records of one LSN are numbered from 0, and each LSN begins anew", () => {
  const changes = assembled((a) => {
    a.insert(table({}), ["1", null, null]);
    a.insert(table({}), ["2", null, null]);
    a.at(0x16, 0xb374d100);
    a.insert(table({}), ["3", null, null]);
  });
  const positions = changes.map((change) => parsePosition(change.position));
  assert.deepEqual(positions.map((position) => [position.minor & 0xfffn, position.row]), [
    [0x000n, 0],
    [0x000n, 1],
    [0x100n, 0],
  ]);
  assert.deepEqual(changes.map((change) => change.total_order), [1, 2, 3]);
});

Deno.test("the same LSN in the next transaction begins at row 0 again", () => {
  const assembler = new Assembler(SOURCE, 5, () => 0);
  for (const commit of [1n, 2n]) {
    assembler.begin(commit, 0, 1);
    assembler.at(0, 1);
    assembler.insert(table({}), ["1", null, null]);
    assembler.end();
  }
  const rows = assembler.take().map((change) => parsePosition(change.position).row);
  assert.deepEqual(rows, [0, 0]);
});

Deno.test("an LSN beyond 2^53 keeps its digits", () => {
  const [change] = assembled((a) => {
    a.at(0xffff_ffff, 0xffff_ffff);
    a.insert(table({}), ["1", null, null]);
  });
  assert.equal(change?.coordinates["lsn"], 0xffff_ffff_ffff_ffffn);
  assert.equal(parsePosition(change.position).minor, 0xffff_ffff_ffff_ffffn);
});

Deno.test("a changed key is a delete of the old key and a create, two records", () => {
  const changes = assembled((a) => {
    a.update(table({}), ["1", null, null], true, ["2", "x", "y"]);
  });
  assert.deepEqual(told(changes), [
    ["d", ["1", undefined, undefined], null],
    ["c", null, ["2", "x", "y"]],
  ]);
  assert.deepEqual(changes.map((change) => parsePosition(change.position).row), [0, 1]);
});

Deno.test("an old key that is the same is no change of key, and no old row", () => {
  const changes = assembled((a) => {
    a.update(table({}), ["1", null, null], true, ["1", "x", "y"]);
    a.update(table({}), null, true, ["1", "x", "z"]);
  });
  assert.deepEqual(told(changes), [["u", null, ["1", "x", "y"]], ["u", null, ["1", "x", "z"]]]);
});

Deno.test("keys that are equal to the database but not to the byte are two keys", () => {
  const changes = assembled((a) => {
    a.update(table({}), ["1.0", null, null], true, ["1.00", "x", "y"]);
  });
  assert.deepEqual(changes.map((change) => change.op), ["d", "c"]);
});

Deno.test("with whole old rows unchanged out-of-line values come from them", () => {
  const changes = assembled((a) => {
    const full = table({ full: true });
    a.update(full, ["1", "x", "big"], false, ["1", "y", undefined]);
    a.update(full, ["1", null, "big"], false, ["2", null, undefined]);
  });
  assert.deepEqual(told(changes), [
    ["u", ["1", "x", "big"], ["1", "y", "big"]],
    ["d", ["1", null, "big"], null],
    ["c", null, ["2", null, "big"]],
  ]);
});

Deno.test("without whole old rows an unchanged out-of-line value stays absent", () => {
  const changes = assembled((a) => {
    assert.equal(a.update(table({}), null, true, ["1", "y", undefined]), undefined);
  });
  assert.deepEqual(told(changes), [["u", null, ["1", "y", undefined]]]);
});

Deno.test("a created row of a changed key that lacks a value is asked for", () => {
  const after: Tuple = ["2", "x", undefined];
  assembled((a) => {
    const incomplete = a.update(table({}), ["1", null, null], true, after);
    assert.equal(incomplete?.after, after);
  });
});

Deno.test("without a key the whole row is the key: an update is a delete and a create", () => {
  const changes = assembled((a) => {
    const keyless = table({ key: [], full: true });
    a.update(keyless, ["1", "x", null], false, ["1", "y", null]);
    a.update(keyless, ["1", "y", null], false, ["1", "y", null]);
  });
  assert.deepEqual(changes.map((change) => change.op), ["d", "c", "u"]);
});

Deno.test("a delete by key leaves the other values unknown, a whole one keeps its nulls", () => {
  const changes = assembled((a) => {
    a.delete(table({}), ["1", null, null], true);
    a.delete(table({ full: true }), ["1", null, "x"], false);
    a.truncate(table({}));
  });
  assert.deepEqual(told(changes), [
    ["d", ["1", undefined, undefined], null],
    ["d", ["1", null, "x"], null],
    ["t", null, null],
  ]);
});

Deno.test("bytes in a key are compared by content", () => {
  const bytes = () => new Uint8Array([1, 2]);
  const keyed = new TableFactory("shop").make({
    schema: "public",
    table: "list",
    columns: [{ name: "id", type: "bytea", conversion: conversionOf(OID.bytea) }],
    key: [0],
    identity: [0],
    full: false,
  });
  const changes = assembled((a) => a.update(keyed, [bytes()], true, [bytes()]));
  assert.deepEqual(changes.map((change) => change.op), ["u"]);
});

Deno.test("a row outside of a transaction is refused", () => {
  const assembler = new Assembler(SOURCE, 5, () => 0);
  assert.throws(() => assembler.insert(table({}), ["1", null, null]), RecordError);
});

Deno.test("equal definitions share one schema object; another column makes another", () => {
  const factory = new TableFactory("shop");
  const parts = (type: string) => ({
    schema: "public",
    table: "list",
    columns: [{ name: "id", type, conversion: conversionOf(25) }],
    key: [0],
    identity: [0],
    full: false,
  });
  assert.equal(factory.make(parts("text")).schema, factory.make(parts("text")).schema);
  assert.notEqual(factory.make(parts("text")).schema, factory.make(parts("uuid")).schema);
});
