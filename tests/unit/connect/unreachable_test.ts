import assert from "node:assert/strict";
import { unreachable } from "../../../shared/connect/unreachable.ts";
import { classify, describe } from "../../../shared/errors.ts";

const SOUGHT = { server: "PostgreSQL at db:5432", part: "source" };

for (
  const [code, message, cure] of [
    ["ENOTFOUND", "getaddrinfo ENOTFOUND db", /To mend: correct source\.host/],
    ["ECONNREFUSED", "connect ECONNREFUSED db:5432", /To mend: .*source\.host and source\.port/],
    [undefined, "timeout expired", /To mend: .*source\.host and source\.port/],
  ] as const
) {
  Deno.test(`a server that is not reached (${code}) is named, with the options to look at`, () => {
    const error = unreachable(Object.assign(new Error(message), { code }), SOUGHT)!;
    assert.equal(classify(error), "retry");
    assert.equal(error.message, `Cannot reach PostgreSQL at db:5432: ${message}`);
    assert.match(describe(error), cure);
  });
}

Deno.test("a server that refuses is reached", () => {
  const refused = Object.assign(new Error("no such database"), { code: "3D000" });
  assert.equal(unreachable(refused, SOUGHT), undefined);
});
