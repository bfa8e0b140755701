/** The whole way at once: seed, capture, consume and verify, beside what the old system took. */
import type { FormatName } from "../../shared/formats/mod.ts";
import { Scenario } from "../../tests/scenario.ts";
import type { TestDatabase } from "../../tests/databases.ts";
import type { Measured, Round, RoundOptions, Row } from "../bench.ts";
import { BenchTopic } from "../topic.ts";
import { type DatabaseName, discard, stackDatabase } from "./database.ts";

/** From the seed's start to the last verified row, a million changes, on 14 cores: told by its makers. */
const OLD_SYSTEM_SECONDS = 51;
/** The same with brokers 20 ms apart. */
const OLD_SYSTEM_FAR = { scenario: "brokers-20ms", seconds: 61 };

/** The row of one database and one format. */
export function pipelineRow(name: DatabaseName, format: FormatName): Row {
  return {
    work: `seed + capture + consume + verify, ${name}, ${format}`,
    peer: "the old system, 1 M",
    aim: "15 s; 18 s with brokers 20 ms apart",
    figures: ["seconds"],
    prepare: (options) => prepare(stackDatabase(name), format, options),
  };
}

async function prepare(
  db: TestDatabase,
  format: FormatName,
  { changes, scenario: links }: RoundOptions,
): Promise<Round> {
  const scenario = new Scenario(db, { format, mode: "stream" });
  await scenario.createTable();
  const seconds = links === OLD_SYSTEM_FAR.scenario ? OLD_SYSTEM_FAR.seconds : OLD_SYSTEM_SECONDS;
  const topic = await BenchTopic.make(scenario.topic);
  return {
    ours: () => run(scenario, changes),
    theirs: () => Promise.resolve({ figures: { seconds } }),
    async [Symbol.asyncDispose]() {
      await discard(db, scenario.name, [topic]);
      await Deno.remove(scenario.output, { recursive: true });
    },
  };
}

/** Capture and consumer are there before the first change is written. */
async function run(scenario: Scenario, changes: number): Promise<Measured> {
  await using capture = scenario.capture();
  await capture.event("capture_started");
  await using consumer = scenario.consume();
  await consumer.event("partitions_assigned");
  const began = performance.now();
  await scenario.seed(changes);
  await scenario.consumed([consumer]);
  const { verified, difference_count } = await scenario.verify();
  const seconds = (performance.now() - began) / 1000;
  if (!verified) throw new Error(`${scenario.name}: ${difference_count} rows differ`);
  const peak_bytes = Math.max(capture.peak_bytes, consumer.peak_bytes);
  await consumer.stop();
  await capture.stop();
  return { figures: { seconds }, peak_bytes };
}
