import assert from "node:assert/strict";
import fc from "fast-check";
import { stringify as tomlText } from "smol-toml";
import { stringify as yamlText } from "yaml";
import {
  type Document,
  type Path,
  pathKey,
  placesOf,
  SyntaxProblem,
} from "../../../shared/jobs/document.ts";
import { readToml } from "../../../shared/jobs/toml.ts";
import { readYaml } from "../../../shared/jobs/yaml.ts";

function wordAt(text: string, { line, column }: { line: number; column: number }): string {
  return text.split("\n")[line - 1]!.slice(column - 1);
}

function assertPlaces(text: string, document: Document, path: Path, key: string, value: string) {
  const places = placesOf(document, path);
  assert.ok(
    wordAt(text, places.key).startsWith(key),
    `key of ${pathKey(path)} stands at ${JSON.stringify(wordAt(text, places.key))}`,
  );
  assert.ok(
    wordAt(text, places.value).startsWith(value),
    `value of ${pathKey(path)} stands at ${JSON.stringify(wordAt(text, places.value))}`,
  );
}

const YAML = `# a job
job: capture-pg
source:
  host: "db"
  tables: [public.a, 'public.b']
  tls:
    - ca: x
      "quoted key": 12
`;

Deno.test("YAML: keys and values are found in maps, lists and flow collections", () => {
  const document = readYaml(YAML);
  assertPlaces(YAML, document, ["job"], "job:", "capture-pg");
  assertPlaces(YAML, document, ["source", "host"], "host:", '"db"');
  assertPlaces(YAML, document, ["source", "tables", 1], "'public.b'", "'public.b'");
  assertPlaces(YAML, document, ["source", "tls", 0, "quoted key"], '"quoted key"', "12");
});

const TOML = `# a job
job = "capture-pg" # its kind
top.dotted."a b" = 1

[source]
host = """
multi ] = "line"
"""
port=5432
tables = [ # tables
  "public.a", 'public.b', # [two]
  { name = "c", deep = [1, 2] },
]

[source.tls]
ca = '''x'''

[[rules]]
table = "a"
[[rules]]
table = "b"
[rules.inner]
when = 1979-05-27T07:32:00Z
`;

Deno.test("TOML: keys and values are found in every form of table, string and list", () => {
  const document = readToml(TOML);
  assertPlaces(TOML, document, ["job"], "job", '"capture-pg"');
  assertPlaces(TOML, document, ["top", "dotted", "a b"], "top.dotted", "1");
  assertPlaces(TOML, document, ["source"], "source]", "source]");
  assertPlaces(TOML, document, ["source", "host"], "host", '"""');
  assertPlaces(TOML, document, ["source", "port"], "port", "5432");
  assertPlaces(TOML, document, ["source", "tables", 1], "'public.b'", "'public.b'");
  assertPlaces(TOML, document, ["source", "tables", 2, "deep", 1], "2]", "2]");
  assertPlaces(TOML, document, ["source", "tls", "ca"], "ca", "'''x'''");
  assertPlaces(TOML, document, ["rules", 1, "table"], "table", '"b"');
  assertPlaces(TOML, document, ["rules", 1, "inner", "when"], "when", "1979-05-27");
});

Deno.test("a value that was not written has the place of what is around it", () => {
  const document = readYaml(YAML);
  assert.deepEqual(
    placesOf(document, ["source", "tls", 0, "nothing"]),
    placesOf(document, ["source", "tls", 0]),
  );
  assert.deepEqual(placesOf(document, ["absent"]).key, { line: 1, column: 1 });
});

/** Every path of a value, itself left out. */
function paths(value: unknown, path: Path = []): Path[] {
  const inside = Array.isArray(value)
    ? value.map((item, index) => [[...path, index], item] as const)
    : typeof value === "object" && value !== null
    ? Object.entries(value).map(([key, item]) => [[...path, key], item] as const)
    : [];
  return inside.flatMap(([at, item]) => [at, ...paths(item, at)]);
}

const jobLike = fc.dictionary(
  fc.string({ minLength: 1 }),
  fc.oneof(
    fc.string(),
    fc.integer(),
    fc.array(fc.string()),
    fc.dictionary(fc.string({ minLength: 1 }), fc.oneof(fc.string(), fc.array(fc.integer()))),
    fc.array(fc.dictionary(fc.string({ minLength: 1 }), fc.string()), { minLength: 1 }),
  ),
);

Deno.test("whatever a YAML writer writes, every path has a place of its own", () => {
  fc.assert(fc.property(jobLike, (job) => {
    const text = yamlText(job);
    const { value, places } = readYaml(text);
    for (const path of paths(value)) assert.ok(places.has(pathKey(path)), pathKey(path));
  }));
});

Deno.test("whatever a TOML writer writes, every path has a place of its own", () => {
  fc.assert(fc.property(jobLike, (job) => {
    const text = tomlText(job);
    const { value, places } = readToml(text);
    for (const path of paths(value)) {
      assert.ok(places.has(pathKey(path)), `${pathKey(path)} in\n${text}`);
    }
  }));
});

Deno.test("text that is neither YAML nor TOML is refused with its place", () => {
  const faults: [() => unknown, number, RegExp][] = [
    [() => readYaml("a: 1\na: 2\n"), 2, /Map keys must be unique/],
    [() => readYaml("a: 1\nb: ]\n"), 2, /not readable as YAML/],
    [() => readYaml("a: 1\nb: [${env:X}]\n"), 2, /must stand in quotes/],
    [() => readToml("a = 1\na = 2\n"), 2, /not readable as TOML/],
    [() => readToml("a = \n"), 1, /not readable as TOML/],
  ];
  for (const [read, line, message] of faults) {
    assert.throws(read, (error: unknown) => {
      assert.ok(error instanceof SyntaxProblem);
      assert.match(error.message, message);
      assert.equal(error.place.line, line, error.message);
      return true;
    });
  }
});
