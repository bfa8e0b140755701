import assert from "node:assert/strict";
import fc from "fast-check";
import { csvOptions } from "../../../shared/sinks/csv/options.ts";
import {
  fileName,
  nameReader,
  safeName,
  templateProblem,
} from "../../../shared/sinks/csv/filename.ts";

const TEMPLATE = "{topic}/{operation}-{partition}-{sequence}.csv";

Deno.test("Names are read back as they were made, whatever the topic is called", () => {
  const parts = fc.record({
    topic: fc.oneof(
      fc.string({ unit: "grapheme", minLength: 1 }),
      fc.constantFrom(".", "..", "a/b"),
    ),
    partition: fc.nat(),
    sequence: fc.integer({ min: 1, max: 2 ** 40 }),
    operation: fc.constantFrom("inserts" as const, "deletes" as const),
    consumer_id: fc.constantFrom("a", "b-2"),
  });
  fc.assert(fc.property(parts, ({ consumer_id, ...parts }) => {
    const name = fileName(TEMPLATE, { ...parts, consumer_id });
    assert.deepEqual(nameReader(TEMPLATE)(name), parts, name);
  }));
});

Deno.test("A name from data is one visible segment of a path", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
    assert.match(safeName(text), /^[A-Za-z0-9_%-][A-Za-z0-9._%-]*$/);
  }));
  assert.equal(safeName("orders.public.list"), "orders.public.list");
  assert.equal(safeName("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
  assert.equal(safeName(".list-sync"), "%2Elist-sync");
});

Deno.test("Templates that could lose or mix files are refused with the cure", () => {
  for (
    const [template, split, message] of [
      ["{topic}.csv", true, /\{partition\} and \{sequence\} and \{operation\} must stand in it/],
      ["{topic}/{partition}-{sequence}.csv", true, /\{operation\} must stand in it/],
      ["{partition}{sequence}-{operation}.csv", true, /two tokens touch.*put a "-"/],
      [
        "{tpic}/{operation}-{partition}-{sequence}.csv",
        true,
        /\{tpic\} is no token; nearest is "\{topic\}"/,
      ],
      ["../{operation}-{partition}-{sequence}.csv", true, /begins with a dot/],
      ["/{operation}-{partition}-{sequence}.csv", true, /inside the output folder/],
      [".list-sync/{operation}-{partition}-{sequence}", true, /begins with a dot/],
      ["{operation}-{partition}-{sequence}.part", true, /marks files not yet complete/],
      ["{operation}-{partition}-{sequence}}.csv", true, /a brace is unpaired/],
    ] as const
  ) {
    assert.match(templateProblem(template, split) ?? "accepted", message, template);
  }
  assert.equal(templateProblem(TEMPLATE, true), undefined);
  assert.equal(templateProblem("{partition}-{sequence}.csv", false), undefined);
});

Deno.test("The options say which field is wrong", () => {
  const result = csvOptions.safeParse({ output: "out", filename: "{topic}.csv" });
  assert.deepEqual(result.error?.issues.map((issue) => issue.path), [["filename"]]);
});
