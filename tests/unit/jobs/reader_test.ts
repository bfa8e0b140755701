import assert from "node:assert/strict";
import { z } from "zod";
import { ConfigError } from "../../../shared/errors.ts";
import { loadJob } from "../../../shared/jobs/reader.ts";

const schema = z.strictObject({
  job: z.literal("capture"),
  name: z.string().regex(/^[a-z]+$/, "lower-case letters"),
  source: z.strictObject({
    host: z.string(),
    port: z.int().min(1).max(65535).default(5432),
    database: z.string().describe("Name of the database."),
    password: z.string().optional(),
    plugin: z.enum(["pgoutput", "wal2json"]).default("pgoutput"),
    tables: z.array(z.string()).min(1).optional(),
    tls: z.union([z.boolean(), z.strictObject({ ca: z.string() })]).default(false),
  }),
  sink: z.union([
    z.literal("none"),
    z.strictObject({
      bytes: z.int().default(1),
      header: z.boolean().default(true),
      columns: z.array(z.string()).optional(),
      file: z.union([z.strictObject({ bytes: z.int() }), z.boolean()]).optional(),
    }),
  ]).default("none"),
  rows: z.int().optional(),
  first: z.boolean().default(false),
  last: z.boolean().default(false),
}).refine((job) => !(job.first && job.last), {
  path: ["last"],
  message: "cannot stand beside first",
});
const kinds = { capture: { schema } };

interface World {
  env?: Record<string, string>;
  files?: Record<string, string>;
  overrides?: Record<string, unknown>;
}

function load(path: string, text: string, world: World = {}) {
  return loadJob(path, kinds, {
    env: (name) => world.env?.[name],
    readTextFile: (file) => {
      const found = { ...world.files, [path]: text }[file];
      if (found === undefined) throw new Error(`no such file: ${file}`);
      return found;
    },
    overrides: world.overrides,
  });
}

/** The problems that `load` reports, a line each. */
function refused(path: string, text: string, world: World = {}): string[] {
  try {
    load(path, text, world);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split("\n").filter((line) => !/: \d+ problems$/.test(line));
  }
  assert.fail(`accepted:\n${text}`);
}

const GOOD_YAML = `job: capture
name: orders
source:
  host: db
  database: shop
`;
const GOOD_TOML = `job = "capture"
name = "orders"
[source]
host = "db"
database = "shop"
`;

Deno.test("YAML and TOML give the same job, defaults filled in", () => {
  const fromYaml = load("a.yaml", GOOD_YAML);
  assert.deepEqual(fromYaml.job, load("a.toml", GOOD_TOML).job);
  assert.equal(fromYaml.kind, "capture");
  assert.equal(fromYaml.job.source.port, 5432);
});

Deno.test("every problem comes at once, in the order of the file, with place, value and cure", () => {
  const text = `job: capture
name: Orders
source:
  host: 5
  prot: 5432
  port: many
  plugin: pgoutptu
  tables: []
`;
  assert.deepEqual(refused("jobs/a.yaml", text), [
    'jobs/a.yaml:2:7 name: expected text (lower-case letters); found "Orders".',
    "jobs/a.yaml:3:1 source.database: is missing and has no default; expected text (Name of the database).",
    "jobs/a.yaml:4:9 source.host: expected text; found 5 without quotes.",
    'jobs/a.yaml:5:3 source.prot: unknown key; nearest is "port". Allowed: host, port, database, password, plugin, tables, tls.',
    'jobs/a.yaml:6:9 source.port: expected a whole number from 1 to 65535; found "many".',
    'jobs/a.yaml:7:11 source.plugin: found "pgoutptu"; nearest is "pgoutput". Allowed: pgoutput, wal2json.',
    "jobs/a.yaml:8:11 source.tables: expected a list of one or more texts; found [].",
  ]);
});

Deno.test("TOML has the same errors at its own places", () => {
  const text = GOOD_TOML + `prot = 5432\nport = "many"\n`;
  assert.deepEqual(refused("a.toml", text), [
    'a.toml:6:1 source.prot: unknown key; nearest is "port". Allowed: host, port, database, password, plugin, tables, tls.',
    'a.toml:7:8 source.port: expected a whole number from 1 to 65535; found "many".',
  ]);
});

Deno.test("an unknown, a missing and an empty job kind name the known ones", () => {
  assert.deepEqual(refused("a.yaml", "job: captrue\n"), [
    'a.yaml:1:6 job: found "captrue"; nearest is "capture". Allowed: capture.',
  ]);
  for (const text of ["", "# nothing\n", "name: x\n"]) {
    assert.deepEqual(refused("a.yaml", text), [
      'a.yaml:1:1 job: "job" is missing: it says what kind of job this is. Allowed: capture.',
    ]);
  }
  for (const [text, found] of [["- a\n", "a list"], ["job capture\n", "text"]] as const) {
    assert.deepEqual(refused("a.yaml", text), [
      `a.yaml: expected keys and values, as in jobs/; found ${found}.`,
    ]);
  }
});

Deno.test("what is no YAML is told with what was meant", () => {
  assert.match(refused("a.yaml", GOOD_YAML + "\tport: 1\n")[0]!, /Tabs .*; indent with spaces$/);
  assert.match(
    refused("a.yaml", GOOD_YAML + "name: x\n")[0]!,
    /:6:1 .*unique; name is here for the second time$/,
  );
  const flow = GOOD_YAML + "  password: [${env:A}, b\n";
  assert.match(refused("a.yaml", flow)[0]!, /must stand in quotes/);
  const far = GOOD_YAML + "  password: ${env:A}\n port: 1\n";
  assert.doesNotMatch(refused("a.yaml", far)[0]!, /must stand in quotes/);
});

Deno.test("combinations that cannot be are refused at the part that the schema names", () => {
  assert.deepEqual(refused("a.yaml", GOOD_YAML + "first: true\nlast: true\n"), [
    "a.yaml:7:1 last: cannot stand beside first",
  ]);
});

Deno.test("where several forms are allowed, the problems of the one that was meant are told", () => {
  assert.deepEqual(refused("a.yaml", GOOD_YAML + "  tls:\n    cca: x\n"), [
    "a.yaml:6:3 source.tls.ca: is missing and has no default; expected text.",
    'a.yaml:7:5 source.tls.cca: unknown key; nearest is "ca". Allowed: ca.',
  ]);
  assert.deepEqual(refused("a.yaml", GOOD_YAML + "  tls: maybe\n"), [
    'a.yaml:6:8 source.tls: expected true or false or keys and values (ca); found "maybe".',
  ]);
});

Deno.test("references are replaced, several in a text, with defaults, files and variables without their last newline", () => {
  const text = GOOD_YAML.replace("host: db", "host: ${env:PART}-${env:ZONE:-eu}.${file:tld}")
    .replace("database: shop", "database: ${env:EMPTY:-shop}\n  password: ${file:/run/pw}");
  const loaded = load("jobs/a.yaml", text, {
    env: { PART: "db\n", EMPTY: "" },
    files: { "jobs/tld": "org\r\n", "/run/pw": "two\nlines\n" },
  });
  assert.equal(loaded.job.source.host, "db-eu.org");
  assert.equal(loaded.job.source.database, "shop");
  assert.equal(loaded.job.source.password, "two\nlines");
  assert.deepEqual(loaded.environment, ["PART", "ZONE", "EMPTY"]);
  assert.deepEqual(loaded.files, ["jobs/tld", "/run/pw"]);
});

Deno.test("a reference that is the whole value becomes the number, boolean or list that is wanted", () => {
  const text = GOOD_YAML +
    "  port: ${env:PORT}\n  tables: ${env:TABLES}\n  tls: ${env:TLS}\nfirst: ${env:FIRST}\n";
  const { job } = load("a.yaml", text, {
    env: { PORT: "6543", TABLES: "public.a, public.b", TLS: "true", FIRST: "true" },
  });
  assert.equal(job.source.port, 6543);
  assert.deepEqual(job.source.tables, ["public.a", "public.b"]);
  assert.equal(job.source.tls, true);
  assert.equal(job.first, true);
});

Deno.test("a reference becomes what is wanted inside of one of several forms, too", () => {
  const text = GOOD_YAML +
    "sink:\n  bytes: ${env:N}\n  header: ${env:B}\n  columns: ${env:L}\n  file:\n    bytes: ${env:N}\n";
  const { job } = load("a.yaml", text, { env: { N: "65536", B: "false", L: "id, name" } });
  assert.deepEqual(job.sink, {
    bytes: 65536,
    header: false,
    columns: ["id", "name"],
    file: { bytes: 65536 },
  });
});

Deno.test("text in the file itself is not turned into a number", () => {
  assert.deepEqual(refused("a.yaml", GOOD_YAML + '  port: "5432"\n'), [
    'a.yaml:6:9 source.port: expected a whole number from 1 to 65535; found "5432".',
  ]);
});

Deno.test("references that lead nowhere say which, all at once", () => {
  const text = GOOD_YAML +
    "  password: ${env:PG_PASSWORD}\n  plugin: ${file:gone}\n  tls: ${evn:X}\n  port: x${env:Y\n";
  assert.deepEqual(refused("a.yaml", text), [
    "a.yaml:6:13 source.password: the environment variable PG_PASSWORD is not set; " +
    "set it (export PG_PASSWORD=...) or give a default: ${env:PG_PASSWORD:-default}.",
    "a.yaml:7:11 source.plugin: the file gone cannot be read: no such file: gone",
    "a.yaml:8:8 source.tls: unknown reference ${evn:X}. Allowed: ${env:NAME}, ${env:NAME:-default}, ${file:path}.",
    "a.yaml:9:9 source.port: a reference begins with ${ and does not end: write ${env:NAME}.",
  ]);
});

Deno.test("what a reference brings is not itself a reference", () => {
  const text = GOOD_YAML + "  password: ${env:PG_PASSWORD}\n";
  const { job } = load("a.yaml", text, { env: { PG_PASSWORD: "${env:HOME}$&" } });
  assert.equal(job.source.password, "${env:HOME}$&");
});

Deno.test("no problem ever shows a password or what a reference brought", () => {
  const text = GOOD_YAML + "  password: [hunter2]\n  plugin: ${env:PLUGIN}\n  port: ${env:PORT}\n";
  const problems = refused("a.yaml", text, { env: { PLUGIN: "pgoutpu", PORT: "s3cret" } });
  assert.equal(problems.length, 3);
  assert.doesNotMatch(problems.join("\n"), /hunter2|pgoutpu;|s3cret/);
  assert.match(problems.join("\n"), /source\.password: expected text; found \["\*\*\*"\]/);
});

Deno.test("secrets are what passwords hold, what files hold, and what secret variables hold", () => {
  const text = GOOD_YAML.replace("host: db", "host: ${env:PG_HOST}")
    .replace("name: orders", "name: ${env:JOB_TOKEN}") + "  password: in-the-file\n";
  const { secrets } = load("a.yaml", text, { env: { PG_HOST: "db", JOB_TOKEN: "abc" } });
  assert.deepEqual([...secrets].sort(), ["abc", "in-the-file"]);
});

Deno.test("a key is a secret below tls; elsewhere it names what may be shown", () => {
  const schema = z.strictObject({
    job: z.literal("verify"),
    key: z.array(z.string()),
    tls: z.strictObject({ ca: z.string(), key: z.string() }),
  });
  const read = (key: string) =>
    loadJob("a.yaml", { verify: { schema } }, {
      env: () => undefined,
      readTextFile: () => `job: verify\nkey: ${key}\ntls: { ca: public, key: private }\n`,
    });
  assert.deepEqual(read("[id, list]").secrets, ["private"]);
  assert.throws(() => read("id"), /expected a list of texts; found "id"/);
});

Deno.test("the command line wins over the file, and is named when it is wrong", () => {
  assert.equal(load("a.yaml", GOOD_YAML + "rows: 1\n", { overrides: { rows: 7 } }).job.rows, 7);
  assert.deepEqual(refused("a.yaml", GOOD_YAML, { overrides: { rows: 1.5 } }), [
    "--rows: expected a whole number; found 1.5.",
  ]);
});

Deno.test("a file that is not there, or of another kind, is refused by name", () => {
  const environment = {
    env: () => undefined,
    readTextFile: (path: string): string => {
      throw new Error(`ENOENT ${path}`);
    },
  };
  assert.throws(() => loadJob("gone.yaml", kinds, environment), /Cannot read the job file gone/);
  assert.throws(() => load("a.json", "{}"), /a\.json: a job file ends in \.yaml, \.yml or \.toml/);
});

Deno.test("a place can be asked for after loading", () => {
  const { where } = load("jobs/a.yaml", GOOD_YAML);
  assert.equal(where(["source", "host"]), "jobs/a.yaml:4:3");
  assert.equal(where(["source", "port"]), "jobs/a.yaml:3:1");
});
