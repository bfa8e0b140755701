/** A file and a journal are changed by others while no consumer runs (tests/unit/sinks has every way). */
import assert from "node:assert/strict";
import { disk } from "../../shared/sinks/csv/disk.ts";
import { PART, STATE_FOLDER } from "../../shared/sinks/csv/filename.ts";
import { type Journal, readJournal } from "../../shared/sinks/csv/journal.ts";
import { until } from "../until.ts";
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

/** What is done to a file of which so many bytes count. */
type Damage = (path: string, bytes: number) => void;

const DAMAGES: readonly Damage[] = [
  function deleted(path) {
    Deno.removeSync(path);
  },
  function shortened(path, bytes) {
    Deno.truncateSync(path, bytes - 1);
  },
  function edited(path, bytes) {
    const content = Deno.readFileSync(path);
    content[bytes - 5]! ^= 1;
    Deno.writeFileSync(path, content);
  },
];

export const fault: Fault = {
  does: "A file that is being written, and then a journal, is deleted, shortened or edited.",
  holds: "The consumer names it and ends; with the file as it was it goes on.",
  strike: (run) =>
    run.each(async (pipeline) => {
      await until("a journal names a file", () => journalWithFile(pipeline));
      await pipeline.consumer.kill();
      run.kills++;
      const { path, journal } = journalWithFile(pipeline)!;
      const { name, bytes } = journal.files[0]!;
      const file = `${pipeline.scenario.output}/${name}${PART}`;
      await refused(pipeline, file, bytes, run.random.pick(DAMAGES));
      await refused(pipeline, path, Deno.statSync(path).size, run.random.pick(DAMAGES));
      pipeline.consumer = pipeline.scenario.consume();
    }),
};

/** A journal that names a file which is being written. */
function journalWithFile(
  { scenario: { output, topic } }: Pipeline,
): { path: string; journal: Journal } | undefined {
  const folder = `${output}/${STATE_FOLDER}/${topic}`;
  return disk.list(folder).filter((name) => name.endsWith(".json"))
    .map((name) => ({
      path: `${folder}/${name}`,
      journal: readJournal(disk, `${folder}/${name}`)!,
    }))
    .find(({ journal }) => journal.files.length > 0);
}

async function refused(
  { scenario }: Pipeline,
  path: string,
  bytes: number,
  damage: Damage,
): Promise<void> {
  const whole = Deno.readFileSync(path);
  damage(path, bytes);
  await using consumer = scenario.consume();
  const { error } = await consumer.event("failed");
  const told = `${path} is ${damage.name}; the consumer says: ${error}. Log: ${consumer.log_file}`;
  assert.ok(String(error).includes(path), told);
  assert.match(String(error), /To mend: /, told);
  Deno.writeFileSync(path, whole);
}
