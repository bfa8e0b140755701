/** Keeps the code tidy, so that nobody has to. */
import assert from "node:assert/strict";
import { sourceFiles, withoutComments } from "./source_files.ts";

const LONGEST_FUNCTION_LINES = 70;

/** Functions of a file that `deno fmt` has laid out: first line, name, number of lines. */
function functionsIn(text: string): { line: number; head: string; lines: number }[] {
  const lines = text.split("\n");
  return lines.flatMap((head, at) => {
    const isFunction = /(\)(: .+)?|=>) \{$/.test(head) &&
      !/^\s*(\} )?(if|for|while|switch|catch|else|do|class|export class)\b/.test(head) &&
      !/^\s*(Deno\.test|\}\) ?\.?)/.test(head);
    if (!isFunction) return [];
    const indent = /^\s*/.exec(head)![0];
    const length = lines.slice(at).findIndex((line, below) =>
      below > 0 && line.startsWith(`${indent}}`)
    );
    return [{ line: at + 1, head: head.trim(), lines: length + 1 }];
  });
}

Deno.test("a function is measured from its head to its closing brace", () => {
  const text = "export function f(\n  a: number,\n): number {\n  return a;\n}\nconst x = {\n};\n";
  assert.deepEqual(functionsIn(text), [{ line: 3, head: "): number {", lines: 3 }]);
});

Deno.test(`no function is longer than a screen (${LONGEST_FUNCTION_LINES} lines)`, () => {
  const long = sourceFiles(["shared", "workers", "compose", "netem"]).flatMap(({ path, text }) =>
    functionsIn(text).filter(({ lines }) => lines > LONGEST_FUNCTION_LINES)
      .map(({ line, head, lines }) => `${path}:${line} ${lines} lines: ${head}`)
  );
  assert.deepEqual(long, []);
});

/** What is called in another way: it is named after what others have named. */
const NAMED_BY_OTHERS = [
  "shared/sources/mysql/settings.ts", // the server's variables
  "tests/faults/mod.ts", // files
];

/** Names of functions and methods, and of fields that hold one, with an underscore inside. */
function snakeFunctions(text: string): string[] {
  const name = "(#?[a-z][a-zA-Z0-9]*_\\w+)\\??";
  const defined = new RegExp(
    `^\\s*(?:(?:export|static|override|async) )*(?:function\\*? |\\*)?${name}` +
      "(?:<[^>]*>)?\\((?:.*(?:\\{|\\): [^:]+;))?$",
  );
  const held = new RegExp(
    `(?:^|[\\s{,(])${name}(?: =|:) (?:async )?(?:\\([^()]*\\)|\\w+)(?:: [^=]+)? =>`,
  );
  return withoutComments(text).split("\n")
    .map((line) => defined.exec(line)?.[1] ?? held.exec(line)?.[1])
    .filter((found) => found !== undefined);
}

Deno.test("functions are told from data by their names", () => {
  const functions = [
    "function end_a(at: number): void {",
    "  async *#end_b<T>(of: T) {",
    "  end_c(",
    "  end_d(at: number): Promise<void>;",
    "  readonly end_e?: () => number;",
    "const end_f = async (at: number): Promise<void> => {",
  ];
  assert.equal(functions.flatMap(snakeFunctions).length, functions.length);
  const data = [
    "  readonly end_ms: number;",
    "  get end_ms(): number {",
    "  if (end_ms > 0) {",
    "const { end_ms } = take(() => 5);",
    "select to_jsonb(s)->>'failover'",
  ];
  assert.deepEqual(data.flatMap(snakeFunctions), []);
});

Deno.test("data has snake_case names, functions and methods have camelCase ones", () => {
  const snakes = sourceFiles(["shared", "workers", "compose", "netem", "bench", "tests"])
    .filter(({ path }) => !NAMED_BY_OTHERS.includes(path) && path !== "tests/unit/tidy_test.ts")
    .flatMap(({ path, text }) => snakeFunctions(text).map((name) => `${path} ${name}`));
  assert.deepEqual(snakes, []);
});

/** Where the wall clock is read in shared/ all the same, and why. */
const CLOCK_READERS: Readonly<Record<string, string>> = {
  "shared/kafka/kafkajs/library.ts": "compares with a time that kafkajs has set by the wall clock",
};

Deno.test("only workers and compose read the environment, the arguments and the wall clock", () => {
  const reading =
    /\b(Deno\.(env|args|exit|cwd)|process\.(env|argv|exit|cwd)|Date\.now|new Date\(\))/g;
  const files = sourceFiles(["shared"]).filter(({ path }) => !Object.hasOwn(CLOCK_READERS, path));
  const found = files.flatMap(({ path, text }) =>
    withoutComments(text).split("\n").flatMap((line, at) =>
      [...line.matchAll(reading)].map(([what]) => `${path}:${at + 1} ${what}`)
    )
  );
  assert.deepEqual(found, [], "take it as an argument");
});

Deno.test("every file says at its top what it holds", () => {
  const silent = sourceFiles(["shared", "workers", "compose", "netem"])
    .filter(({ text }) => !/^(#!.*\n)?\/\*\* /.test(text) && !/^\/\*\*\n/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(silent, []);
});

Deno.test("modules are Latin-1: of others V8 holds every character in two bytes", () => {
  const tables = ["shared/wire/mysql_charset.ts", "shared/wire/mysql_coded_sets.ts"];
  const wide = sourceFiles(["shared", "workers"]).flatMap(({ path, text }) =>
    tables.includes(path)
      ? []
      : [...text.matchAll(/[\u0100-\uffff]/g)].map(([found]) => `${path} ${found}`)
  );
  assert.deepEqual(wide, [], "write it in ASCII, or as \\uXXXX");
});

Deno.test("no file names the host of a package registry", () => {
  const hosts = [
    ["registry", "npmjs", "org"],
    ["repo1", "maven", "org"],
    ["repo", "maven", "apache", "org"],
    ["deb", "debian", "org"],
    ["proxy", "golang", "org"],
    ["pypi", "org"],
    ["jsr", "io"],
  ].map((parts) => parts.join("."));
  const naming = sourceFiles(["."], [".ts", ".md", ".json", ".yaml", ".yml", ".toml", ".sh"])
    .flatMap(({ path, text }) =>
      hosts.filter((host) => text.includes(host)).map((host) => `${path}: ${host}`)
    );
  assert.deepEqual(naming, []);
});

Deno.test("no test is switched off, and none shuts the others out", () => {
  const pattern = /Deno\.test\.(only|ignore)|\b(only|ignore): (?!false|\[)/;
  const off = sourceFiles(["tests"])
    .filter(({ path }) => path !== "tests/unit/tidy_test.ts")
    .flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, at) => pattern.test(line) ? [`${path}:${at + 1}`] : [])
    );
  assert.deepEqual(off, []);
});
