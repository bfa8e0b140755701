import assert from "node:assert/strict";
import { Random } from "../../../shared/seed/random.ts";
import { CATEGORIES, listRow, listUpdate } from "../../../shared/seed/values.ts";

Deno.test("the same seed gives the same rows, another seed others", () => {
  const rows = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 100 }, () => listRow(random));
  };
  assert.deepEqual(rows(42), rows(42));
  assert.notDeepEqual(rows(42), rows(43));
});

Deno.test("rows look like rows: known categories, domains, moments with microseconds", () => {
  const random = new Random(1);
  for (let i = 0; i < 10_000; i++) {
    const row = listRow(random);
    assert.ok((CATEGORIES as readonly string[]).includes(row.category), row.category);
    assert.match(row.domain, /^[a-z]+-[a-z]+\.(example(\.com|\.net|\.org)?|test)$/);
    assert.match(row.timestamp, /^20(19|2[0-5])-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
  }
});

Deno.test("an update brings two different categories, so that one of them is not the row's", () => {
  const random = new Random(2);
  const domains = Array.from({ length: 10_000 }, (_, id) => {
    const update = listUpdate(random, id);
    assert.equal(update.id, id);
    assert.notEqual(update.category, update.other_category);
    return update.domain;
  });
  const kept = domains.filter((domain) => domain === null).length;
  assert.ok(kept > 7000 && kept < 8000, `${kept} of 10,000 updates leave the domain as it is`);
});

Deno.test("numbers below a limit stay below it and reach all of it", () => {
  const random = new Random(3);
  const seen = new Set(Array.from({ length: 2000 }, () => random.below(13)));
  assert.deepEqual([...seen].sort((a, b) => a - b), Array.from({ length: 13 }, (_, i) => i));
});
