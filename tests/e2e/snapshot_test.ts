/** Rows that were there before the capture: from the table through Kafka into CSV files, history and all. */
import assert from "node:assert/strict";
import type { CaptureSummary } from "../../shared/pipeline/capture.ts";
import { databases } from "../databases.ts";
import { Scenario } from "../scenario.ts";

const CHANGES = 6_000;

const FORMATS = ["json", "protobuf"] as const;

for (const [index, db] of databases().entries()) {
  const format = FORMATS[index]!;
  Deno.test(`${db.name}, ${format}: a snapshot and what follows it make up the table in CSV files`, async () => {
    const scenario = new Scenario(db, { format, mode: "batch", snapshot: "initial" });
    await scenario.createTable();
    await scenario.seed(CHANGES);
    const { c, d } = scenario.made;
    const first = await scenario.capture().result<CaptureSummary>();
    assert.deepStrictEqual(first.changes, { r: c - d, c: 0, u: 0, d: 0, t: 0 });

    await scenario.seed(CHANGES);
    const second = await scenario.capture().result<CaptureSummary>();
    assert.equal(second.changes.r, 0);
    assert.equal(second.changes.c + second.changes.u + second.changes.d, CHANGES);
    await scenario.consume().ended();
    const result = await scenario.verify();
    assert.ok(result.verified, `${JSON.stringify(result)}; logs in ${scenario.folder}`);
  });
}
