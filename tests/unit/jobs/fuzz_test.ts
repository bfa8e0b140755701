/** Whatever stands in a job file: a job, or one ConfigError. */
import fc from "fast-check";
import { ConfigError } from "../../../shared/errors.ts";
import { loadJob } from "../../../shared/jobs/reader.ts";
import { jobKinds } from "../../../workers/jobs.ts";
import { bytes, damaged, survives } from "../fuzzing.ts";

const FOLDER = new URL("../../../jobs/", import.meta.url);
const EXAMPLES = [...Deno.readDirSync(FOLDER)].filter(({ name }) => /\.(yaml|toml)$/.test(name))
  .map(({ name }) => ({ name, text: Deno.readFileSync(new URL(name, FOLDER)) }));

function load(name: string, content: Uint8Array | string): void {
  const text = typeof content === "string" ? content : new TextDecoder().decode(content);
  loadJob(name, jobKinds, { env: () => "1", readTextFile: () => text });
}

Deno.test("job files: any text survives, as YAML and as TOML", () => {
  const signs = fc.string({
    unit: fc.constantFrom(..."job:- \n[]{}\"'#&*!|>%@`=.,0~$<?\t"),
    maxLength: 60,
  });
  const name = fc.constantFrom("a.yaml", "a.toml");
  survives(fc.tuple(name, fc.oneof(bytes, signs)), ([name, text]) => load(name, text), ConfigError);
});

Deno.test("job files: the examples with some bytes changed survive", () => {
  const input = fc.constantFrom(...EXAMPLES).chain(({ name, text }) =>
    damaged(text).map((content) => ({ name, content }))
  );
  survives(input, ({ name, content }) => load(name, content), ConfigError);
});

Deno.test("job files: any values in the place of an example's survive", () => {
  const base = { job: "consume-csv", name: "a", topics: ["t"], kafka: { brokers: ["b:1"] } };
  const key = fc.oneof(
    fc.constantFrom(
      "job",
      "name",
      "kafka",
      "sink",
      "topics",
      "__proto__",
      "constructor",
      "observe",
    ),
    fc.string({ maxLength: 5 }),
  );
  const changes = fc.dictionary(key, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 });
  survives(changes, (more) => {
    load("a.yaml", JSON.stringify({ ...base, sink: { output: "/tmp" }, ...more }));
  }, ConfigError);
});
