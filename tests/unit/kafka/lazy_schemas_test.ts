import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import { put_off } from "../../../shared/kafka/platformatic/lazy_schemas.ts";

Deno.test("the client's library compiles no schema of options while it is imported", async () => {
  const before = put_off;
  await import("../../../shared/kafka/platformatic.ts");
  assert.ok(put_off > before, "its schemas are not seen: does it use another version of ajv?");
});

Deno.test("a schema that is put off says what it always said", () => {
  const validate = new Ajv2020().compile({ type: "integer", minimum: 3 });
  assert.equal(validate.errors, undefined);
  assert.equal(validate(7), true);
  assert.equal(validate.errors, null);
  assert.equal(validate(2), false);
  assert.match(JSON.stringify(validate.errors), /"keyword":"minimum"/);
});
