import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import { formatLsn, parseLsn } from "../../../shared/wire/postgres_lsn.ts";

Deno.test("an LSN is written as PostgreSQL writes it", () => {
  assert.equal(formatLsn(0x16_b374d848n), "16/B374D848");
  assert.equal(formatLsn(0n), "0/0");
});

Deno.test("every LSN is read back from its text", () => {
  fc.assert(fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (lsn) => {
    assert.equal(parseLsn(formatLsn(lsn)), lsn);
  }));
});

for (const text of ["", "0", "/", "0/", "0/123456789", "0/0 ", "g/0", "-1/0"]) {
  Deno.test(`${JSON.stringify(text)} is no LSN: RecordError`, () => {
    assert.throws(() => parseLsn(text), RecordError);
  });
}
