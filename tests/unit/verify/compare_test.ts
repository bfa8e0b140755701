import assert from "node:assert/strict";
import fc from "fast-check";
import { Comparison } from "../../../shared/verify/compare.ts";
import type { Cell, Entry } from "../../../shared/verify/fold.ts";
import { RecordWriter } from "../../../shared/verify/record.ts";
import { Records } from "../../../shared/verify/records.ts";
import type { VerifyResult } from "../../../shared/verify/result.ts";
import { COLUMNS, histories, type History } from "./histories.ts";

interface Options {
  positions?: boolean;
  key?: number[];
  complete_history?: boolean;
  differences?: number;
}

function compare(
  entries: readonly Entry[],
  rows: Iterable<readonly Cell[]>,
  { positions = true, key = [0], complete_history = true, differences = 10 }: Options = {},
): VerifyResult {
  const comparison = new Comparison({
    columns: COLUMNS,
    key,
    positions,
    complete_history,
    files: ["inserts.csv", "deletes.csv"],
    differences,
  });
  const order = COLUMNS.map((_, at) => at);
  const records = new Records(order);
  const record = new RecordWriter(positions && key.length > 0 ? key.length : COLUMNS.length);
  const put = (entry: Entry) => {
    record.entry(entry, order);
    records.grow(record.length).set(record.bytes.subarray(0, record.length));
  };
  entries.forEach(put);
  const first_row = records.length;
  for (const cells of rows) {
    put({ cells, insert: true, op: null, position: "", file: 0, row: 0 });
  }
  comparison.bucket(records, first_row);
  return comparison.result();
}

/** A history with at least one entry, and one of its entries. */
const withEntry = (options: Parameters<typeof histories>[0]) =>
  histories(options).filter((history) => history.entries.length > 0)
    .chain((history) => fc.tuple(fc.constant(history), fc.nat(history.entries.length - 1)));

function named(result: VerifyResult, key: string): boolean {
  return result.differences.some((difference) => difference.key.id === key);
}

Deno.test("a list rebuilt from all changes equals the table", () => {
  fc.assert(fc.property(histories({ keys: 6 }), ({ entries, rows }) => {
    const result = compare(entries, rows.values());
    assert.deepEqual(result.differences, []);
    assert.equal(result.verified, true);
    assert.equal(result.rows_compared, rows.size);
    assert.equal(result.checksum_found, result.checksum_expected);
  }));
});

Deno.test("without any one line of the files the comparison fails and names the key", () => {
  fc.assert(fc.property(withEntry({ keys: 6 }), ([{ entries, rows }, at]) => {
    const result = compare(entries.toSpliced(at, 1), rows.values());
    assert.equal(result.verified, false);
    assert.ok(named(result, entries[at]!.cells[0]!), JSON.stringify(result.differences));
  }));
});

Deno.test("with any one line doubled the comparison fails, names the key and counts a repetition", () => {
  fc.assert(fc.property(withEntry({ keys: 6 }), ([{ entries, rows }, at]) => {
    const result = compare([...entries, entries[at]!], rows.values());
    assert.equal(result.verified, false);
    assert.equal(result.repetitions, 1);
    assert.deepEqual(result.differences.map((difference) => difference.kind), ["repeated"]);
    assert.ok(named(result, entries[at]!.cells[0]!));
  }));
});

const changed = ([history, at]: [History, number], column: number): Entry[] =>
  history.entries.with(at, {
    ...history.entries[at]!,
    cells: history.entries[at]!.cells.with(column, "changed"),
  });

Deno.test("with any one cell changed the comparison fails, where old rows are whole", () => {
  const cells = fc.tuple(withEntry({ keys: 6, images: "full" }), fc.nat(COLUMNS.length - 1));
  fc.assert(fc.property(cells, ([sample, column]) => {
    const [{ entries, rows }, at] = sample;
    const result = compare(changed(sample, column), rows.values());
    assert.equal(result.verified, false);
    const key = column === 0 ? "changed" : entries[at]!.cells[0]!;
    assert.ok(named(result, key), JSON.stringify(result.differences));
  }));
});

Deno.test("with old rows by key alone, a changed cell of a row that is still there is found", () => {
  const sample = withEntry({ keys: 6, images: "key" });
  fc.assert(fc.property(sample, ([history, at]) => {
    const { entries, rows } = history;
    const key = entries[at]!.cells[0]!;
    const last = entries.findLastIndex((entry) => entry.cells[0] === key);
    fc.pre(rows.has(key));
    const result = compare(changed([history, last], 1), rows.values());
    assert.equal(result.verified, false);
    const [difference] = result.differences;
    assert.equal(difference?.kind, "different");
    assert.match(difference!.reason, /category/);
    assert.equal(difference!.found?.category, "changed");
    assert.equal(difference!.expected?.category, rows.get(key)![1]);
  }));
});

Deno.test("without positions the list is inserts minus deletes, and each sabotage is found", () => {
  const options = { positions: false };
  const changes = fc.constantFrom("none", "without", "double", "cell" as const);
  fc.assert(fc.property(withEntry({ keys: 6, images: "full" }), changes, (sample, change) => {
    const [{ entries, rows }, at] = sample;
    const files = {
      none: entries,
      without: entries.toSpliced(at, 1),
      double: [...entries, entries[at]!],
      cell: changed(sample, 1),
    }[change];
    const result = compare(files, rows.values(), options);
    assert.equal(result.verified, change === "none", JSON.stringify(result.differences));
    if (change === "none") assert.equal(result.rows_compared, rows.size);
    else assert.ok(named(result, entries[at]!.cells[0]!), JSON.stringify(result.differences));
  }));
});

Deno.test("without positions a row of which not all is known is refused with both cures", () => {
  const entry: Entry = {
    insert: false,
    op: null,
    position: "",
    cells: ["1", undefined, null],
    file: 1,
    row: 17,
  };
  assert.throws(
    () => compare([entry], [], { positions: false }),
    (error: Error & { cure?: string }) => {
      assert.match(error.message, /deletes\.csv row 17/);
      assert.match(error.cure ?? "", /REPLICA IDENTITY FULL.*__position/s);
      return true;
    },
  );
});

Deno.test("a table without a key is compared as a multiset: equal rows count", () => {
  const entry = (insert: boolean, position: string): Entry => ({
    insert,
    op: insert ? "c" : "d",
    position,
    cells: ["1", "news", null],
    file: 0,
    row: 1,
  });
  const entries = [entry(true, "1"), entry(true, "2"), entry(true, "3"), entry(false, "4")];
  const row = ["1", "news", null];
  assert.equal(compare(entries, [row, row], { key: [] }).verified, true);
  const result = compare(entries, [row], { key: [] });
  assert.equal(result.verified, false);
  assert.equal(result.differences[0]?.reason, "2 in the files, 1 in the table");
});

Deno.test("the first differences are those of the lowest keys, numbers as numbers", () => {
  const rows = Array.from({ length: 200 }, (_, id) => [String(id), "news", null]);
  const result = compare([], rows.reverse(), { differences: 3 });
  assert.equal(result.difference_count, 200);
  assert.deepEqual(result.differences.map(({ key }) => key.id), ["0", "1", "2"]);
});

Deno.test("a history that began before the capture passes when the job says so", () => {
  const update = (insert: boolean): Entry => ({
    insert,
    op: "u",
    position: "1",
    cells: insert ? ["1", "news", null] : ["1", undefined, undefined],
    file: 0,
    row: 1,
  });
  const entries = [update(true), update(false)];
  const rows = [["1", "news", null]];
  assert.equal(compare(entries, rows).verified, false);
  assert.equal(compare(entries, rows, { complete_history: false }).verified, true);
});
