/** Holds the way that imports point, and that siblings do not know each other. */
import assert from "node:assert/strict";
import { posix } from "node:path";
import { type SourceFile, sourceFiles, withoutComments } from "./source_files.ts";

/** From the ground up; a file imports from its own layer or one before it. */
const LAYERS: readonly (readonly string[])[] = [
  [
    "shared/change.ts",
    "shared/per_table.ts",
    "shared/table_name.ts",
    "shared/position.ts",
    "shared/errors.ts",
    "shared/backoff.ts",
    "shared/wire",
  ],
  ["shared/jobs", "shared/observe", "shared/connect"],
  [
    "shared/kafka",
    "shared/formats",
    "shared/transforms",
    "shared/sources",
    "shared/sinks",
    "shared/database",
  ],
  ["shared/pipeline", "shared/seed", "shared/verify"],
  ["shared/mod.ts"],
  ["compose"],
  ["netem"],
  ["workers"],
];

/** What a subject shows to other subjects of its layer. */
const PORTS = [
  "shared/kafka/port.ts",
  "shared/formats/format.ts",
  "shared/transforms/transform.ts",
  "shared/sources/source.ts",
  "shared/sinks/sink.ts",
];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isDynamic: boolean;
}

function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text);
  const pattern = /(?:\bfrom|\bimport)\s*(\()?\s*"(\.[^"]+)"/g;
  return [...code.matchAll(pattern)].map(([, paren, specifier]) => ({
    from: path,
    to: posix.join(posix.dirname(path), specifier!),
    isDynamic: paren !== undefined,
  }));
}

const FILES = sourceFiles(["shared", "workers", "compose", "netem"]);
const IMPORTS = FILES.flatMap(importsOf);

function isIn(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`);
}

function layerOf(path: string): number {
  return LAYERS.findIndex((places) => places.some((place) => isIn(path, place)));
}

/** `shared/kafka` of `shared/kafka/port.ts`. */
function subjectOf(path: string): string {
  return LAYERS.flat().find((place) => isIn(path, place)) ?? path;
}

/** The implementations inside a subject: what its table names, and its folders. */
function implementationsOf(subject: string): Set<string> {
  const tabled = IMPORTS.filter(({ from, isDynamic }) => isDynamic && from === `${subject}/mod.ts`)
    .map(({ to }) => to);
  const inside = [...tabled, ...FILES.map(({ path }) => path)]
    .filter((path) => path.startsWith(`${subject}/`))
    .map((path) => path.slice(subject.length + 1).split("/"))
    .filter((steps) => steps.length > 1 || tabled.includes(`${subject}/${steps[0]}`))
    .map((steps) => steps[0]!.replace(/\.ts$/, ""));
  return new Set(inside);
}

function implementationOf(path: string, subject: string): string {
  return path.slice(subject.length + 1).split("/")[0]!.replace(/\.ts$/, "");
}

function assertNone(broken: readonly Import[], rule: string): void {
  const list = broken.map(({ from, to }) => `${from} imports ${to}`).join("\n");
  assert.equal(list, "", rule);
}

Deno.test("imports are read from the files: a known one is found", () => {
  assert.ok(
    IMPORTS.some(({ from, to }) =>
      from === "shared/jobs/reader.ts" && to === "shared/jobs/nearest.ts"
    ),
  );
  assert.ok(
    IMPORTS.some(({ from, to, isDynamic }) =>
      isDynamic && from === "shared/formats/mod.ts" && to === "shared/formats/json.ts"
    ),
  );
});

Deno.test("every source file belongs to a layer", () => {
  const homeless = FILES.filter(({ path }) => layerOf(path) < 0).map(({ path }) => path);
  assert.deepEqual(homeless, [], "name its place in LAYERS");
});

Deno.test("imports point one way: never from a lower layer to a higher one", () => {
  const upward = IMPORTS.filter(({ from, to }) =>
    (to.startsWith("shared/") || to.startsWith("workers/")) && layerOf(to) > layerOf(from)
  );
  assertNone(upward, "a lower layer imports a higher one");
});

Deno.test("subjects of the middle layer know of each other only their ports", () => {
  const middle = 2;
  const crossing = IMPORTS.filter(({ from, to }) =>
    layerOf(from) === middle && layerOf(to) === middle && subjectOf(from) !== subjectOf(to) &&
    !PORTS.includes(to)
  );
  assertNone(crossing, "import the port instead");
});

/** What is loaded with a file: all that its imports of values lead to. */
function loadedBy(path: string, known = new Set<string>()): Set<string> {
  if (known.has(path)) return known;
  known.add(path);
  const { text: whole = "" } = FILES.find((file) => file.path === path) ?? {}; // or JSON
  const text = whole.replace(/^(im|ex)port type \{[^}]*\} from .+;$/gm, "");
  for (const { to, isDynamic } of importsOf({ path, text })) if (!isDynamic) loadedBy(to, known);
  return known;
}

Deno.test("the launcher reads jobs without what runs them", () => {
  assert.ok(loadedBy("workers/capture-pg.ts").has("shared/pipeline/capture.ts"));
  const loaded = [...loadedBy("workers/launcher/launcher.ts")];
  assert.ok(loaded.includes("shared/sinks/csv/options.ts"));
  const running =
    /^shared\/(pipeline\/(capture|consume)(_session)?|sinks\/csv|sources\/\w+\/source)\.ts$/;
  assert.deepEqual(loaded.filter((path) => running.test(path)), [], "import its options instead");
});

Deno.test("two implementations of one port never import each other", () => {
  for (const port of PORTS) {
    const subject = posix.dirname(port);
    const known = implementationsOf(subject);
    const crossing = IMPORTS.filter(({ from, to }) => {
      if (!isIn(from, subject) || !isIn(to, subject) || from === `${subject}/mod.ts`) return false;
      const [own, other] = [implementationOf(from, subject), implementationOf(to, subject)];
      return known.has(own) && known.has(other) && own !== other;
    });
    assertNone(crossing, `siblings in ${subject}`);
  }
});

Deno.test("the tables of implementations load them lazily, so that a worker holds just its own", () => {
  for (const port of PORTS) {
    const subject = posix.dirname(port);
    const eager = IMPORTS.filter(({ from, to, isDynamic }) =>
      from === `${subject}/mod.ts` && !isDynamic &&
      implementationsOf(subject).has(implementationOf(to, subject)) && !to.endsWith("/options.ts")
    );
    assertNone(eager, "write () => import(…)");
  }
});
