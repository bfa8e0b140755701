import assert from "node:assert/strict";
import { Outbox } from "../../../shared/pipeline/outbox.ts";

Deno.test("sends run one after another in the order in which they came", async () => {
  const outbox = new Outbox(() => {});
  const seen: string[] = [];
  for (const name of ["a", "b", "c"]) {
    outbox.add(async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  await outbox.drained();
  assert.deepStrictEqual(seen, [
    "a begins",
    "a ends",
    "b begins",
    "b ends",
    "c begins",
    "c ends",
  ]);
});

Deno.test("after a failure nothing is sent, the owner is told, and draining rejects with it", async () => {
  const told: unknown[] = [];
  const outbox = new Outbox((error) => told.push(error));
  const fault = new Error("refused");
  let sent = false;
  outbox.add(() => Promise.reject(fault));
  outbox.add(async () => void (sent = true));
  await assert.rejects(outbox.drained(), fault);
  assert.equal(sent, false);
  assert.equal(told[0], fault);
});
