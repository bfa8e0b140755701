import assert from "node:assert/strict";
import {
  readSnapshot,
  shows,
  StreamedTransactions,
} from "../../../../shared/sources/postgres/visibility.ts";

Deno.test("a snapshot shows what ended before it: neither those under way nor later ones", () => {
  const snapshot = readSnapshot("10:20:10,14,15");
  const shown = [3, 9, 10, 11, 14, 15, 19, 20, 21].filter((xid) => shows(snapshot, xid));
  assert.deepStrictEqual(shown, [3, 9, 11, 19]);
});

Deno.test("transaction numbers of 32 bits are told apart where the server has counted over them", () => {
  const epoch = 3n << 32n;
  const snapshot = readSnapshot(`${epoch - 5n}:${epoch + 2n}:${epoch - 5n}`);
  assert.equal(shows(snapshot, 2 ** 32 - 5), false);
  assert.equal(shows(snapshot, 2 ** 32 - 4), true);
  assert.equal(shows(snapshot, 1), true);
  assert.equal(shows(snapshot, 2), false);
});

Deno.test("what a predecessor may have streamed must have ended, too", () => {
  const streamed = new StreamedTransactions(readSnapshot("10:20:10,12"));
  assert.equal(streamed.shownBy(readSnapshot("12:25:12")), false);
  assert.equal(streamed.shownBy(readSnapshot("25:25:")), true);
  streamed.add(30);
  assert.equal(streamed.shownBy(readSnapshot("25:30:")), false);
  assert.equal(streamed.shownBy(readSnapshot("30:31:30")), false);
  assert.equal(streamed.shownBy(readSnapshot("31:31:")), true);
});

Deno.test("a transaction that waits for its standby is waited for, however many are streamed meanwhile", () => {
  const streamed = new StreamedTransactions(readSnapshot("100:100:"));
  streamed.add(101);
  for (let xid = 102; xid < 200_000; xid++) streamed.add(xid);
  assert.equal(streamed.shownBy(readSnapshot("101:200000:101,150000")), false);
  assert.equal(streamed.shownBy(readSnapshot("101:200000:101")), false);
  assert.equal(streamed.shownBy(readSnapshot("200000:200000:")), true);
});
