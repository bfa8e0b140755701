import assert from "node:assert/strict";
import { loadJob } from "../../../shared/jobs/reader.ts";
import { editorSchema } from "../../../shared/jobs/schema.ts";
import { jobKind, jobKinds } from "../../../workers/jobs.ts";
import { sourceFiles } from "../source_files.ts";

const EXAMPLES = sourceFiles(["jobs"], [".yaml", ".toml"]);

function load(path: string, text: string) {
  return loadJob(path, jobKinds, {
    env: (name) => name.endsWith("PASSWORD") ? `secret of ${name}` : undefined,
    readTextFile: () => text,
  });
}

for (const { path, text } of EXAMPLES) {
  Deno.test(`${path} is a valid job that needs nothing set but passwords, and names its schema`, () => {
    const { kind, secrets, environment } = load(path, text);
    assert.ok(
      text.split("\n")[0]!.endsWith(
        `schema${path.endsWith(".toml") ? " " : "="}./${kind}.schema.json`,
      ),
    );
    const passwords = environment.filter((name) => name.endsWith("PASSWORD"));
    assert.deepEqual([...secrets].sort(), passwords.map((name) => `secret of ${name}`).sort());
  });
}

Deno.test("every kind of job has an example", () => {
  const kinds = new Set<string>(EXAMPLES.map(({ path, text }) => load(path, text).kind));
  assert.deepEqual(Object.keys(jobKinds).filter((kind) => !kinds.has(kind)), []);
});

Deno.test("the job files that help texts name are there", () => {
  for (const kind of Object.keys(jobKinds) as (keyof typeof jobKinds)[]) {
    const { example } = jobKind(kind);
    const found = EXAMPLES.find(({ path }) => path === example);
    assert.equal(found && load(found.path, found.text).kind, kind, example);
  }
});

Deno.test("a mistyped key of any kind is refused with its place and the nearest name", () => {
  for (const { path, text } of EXAMPLES) {
    const mistyped = text.replace(/^(name) ?/m, "nmae ");
    const line = mistyped.split("\n").findIndex((found) => found.startsWith("nmae")) + 1;
    assert.throws(
      () => load(path, mistyped),
      new RegExp(`${path}:${line}:1 nmae: unknown key; nearest is "name"`),
    );
  }
});

Deno.test("every option of every kind is described", () => {
  const undescribed: string[] = [];
  const look = (schema: unknown, path: string): void => {
    const { properties, items, anyOf } = schema as {
      properties?: Record<string, { description?: string }>;
      items?: unknown;
      anyOf?: unknown[];
    };
    for (const [name, inside] of Object.entries(properties ?? {})) {
      if (!inside.description) undescribed.push(`${path}.${name}`);
      look(inside, `${path}.${name}`);
    }
    if (items) look(items, `${path}[]`);
    for (const form of anyOf ?? []) look(form, path);
  };
  for (const kind of Object.keys(jobKinds) as (keyof typeof jobKinds)[]) {
    look(editorSchema(kind, jobKind(kind).schema), kind);
  }
  assert.deepEqual(undescribed, []);
});

Deno.test("a rule of columns for a table that the job does not capture is refused: it would mask nothing", () => {
  const { path, text } = EXAMPLES.find(({ path }) => path.endsWith("capture-pg.yaml"))!;
  const ruled = (table: string) => `${text}columns:\n  - table: ${table}\n    mask: [domain]\n`;
  load(path, ruled("public.list"));
  load(path, ruled("public.li*"));
  assert.throws(
    () => load(path, ruled("public.lits")),
    /columns\[0\]\.table: "public\.lits" is not captured; nearest is "public\.list"/,
  );
});
