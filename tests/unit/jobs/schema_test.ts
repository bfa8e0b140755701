import assert from "node:assert/strict";
import { z } from "zod";
import { editorSchema, expectation, jsonSchema, schemaAt } from "../../../shared/jobs/schema.ts";

const schema = z.strictObject({
  port: z.int().min(1).max(65535).default(5432).describe("TCP port."),
  rate: z.number().positive().optional(),
  tables: z.array(z.string().min(1)).min(1),
  tls: z.union([z.boolean(), z.strictObject({ ca: z.string() })]).default(false),
  limits: z.record(z.string(), z.int()).optional(),
});

Deno.test("what is allowed is said in words", () => {
  const words = (path: string[]) => expectation(schemaAt(jsonSchema(schema), path));
  assert.equal(words(["port"]), "a whole number from 1 to 65535");
  assert.equal(words(["rate"]), "a number above 0");
  assert.equal(words(["tables"]), "a list of one or more texts");
  assert.equal(words(["tls"]), "true or false or keys and values (ca)");
  assert.equal(words(["tls", "ca"]), "text");
  assert.equal(words(["limits", "any"]), "a whole number");
});

Deno.test("the schema for editors takes a reference wherever it takes no text", () => {
  const { properties } = editorSchema("a job", schema);
  const [own, reference] = properties!.port!.anyOf!;
  assert.equal(own!.type, "integer");
  const pattern = new RegExp(reference!.pattern!);
  assert.ok(pattern.test("${env:PG_PORT:-5432}"));
  assert.ok(!pattern.test("5432"));
  assert.equal(properties!.port!.default, 5432);
});

Deno.test("the schema for editors refuses keys that the job would refuse", () => {
  assert.equal(editorSchema("a job", schema).additionalProperties, false);
});
