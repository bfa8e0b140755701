import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { rangeOf, refuseOthers } from "../../../workers/commands/snapshot.ts";

Deno.test("a range is a value at each end, or a JSON array for a key of several columns", () => {
  assert.equal(rangeOf({}), undefined);
  assert.deepEqual(rangeOf({ from: "9007199254740993" }), { from: ["9007199254740993"] });
  assert.deepEqual(rangeOf({ from: "a b", to: '["eu", 42]' }), {
    from: ["a b"],
    to: ["eu", "42"],
  });
  for (const to of ["[", "[]", "[null]", "[9007199254740993]", "[[1]]"]) {
    assert.throws(() => rangeOf({ to }), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.ok(error.message.startsWith(`--to: found ${to}.`), error.message);
      return true;
    });
  }
});

Deno.test("a table that the job does not capture is refused, with the name that was meant", () => {
  const source = { tables: ["public.list", "eu.*"], exclude_tables: ["eu.secret"] };
  refuseOthers(source, ["public.list", "eu.visits"]);
  assert.throws(() => refuseOthers(source, ["public.lits"]), /nearest is "public\.list"/);
  assert.throws(() => refuseOthers(source, ["eu.visits", "eu.secret"]), /capture "eu\.secret"/);
});
