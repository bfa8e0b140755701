/** A backlog of changes on its way to Kafka, beside Debezium. */
import { Scenario } from "../../tests/scenario.ts";
import type { TestDatabase } from "../../tests/databases.ts";
import type { Round, RoundOptions, Row } from "../bench.ts";
import { Debezium } from "../peers/debezium.ts";
import { BenchTopic } from "../topic.ts";
import { type DatabaseName, discard, stackDatabase } from "./database.ts";

/** The row of one database. */
export function captureRow(name: DatabaseName): Row {
  return {
    work: `backlog of changes ${name} → Kafka`,
    peer: "Debezium",
    aim: "3 times its rate, 1/8 of its memory",
    figures: ["per_second", "wall_seconds"],
    prepare: (options) => prepare(stackDatabase(name), options),
  };
}

/** Both stand at the same place of the log before the backlog is written after it. */
async function prepare(
  db: TestDatabase,
  { changes, with_peer }: RoundOptions,
): Promise<Round> {
  const scenario = new Scenario(db, { format: "json", mode: "batch" });
  await scenario.createTable();
  const topic = await BenchTopic.make(scenario.topic);
  const debezium = with_peer ? await Debezium.make(db, scenario.name, "backlog") : undefined;
  const worker = await debezium?.streaming();
  await worker?.[Symbol.asyncDispose]();
  await scenario.capture().ended();
  await scenario.seed(changes);
  return {
    ours: () => capture(scenario, topic, changes),
    theirs: () => debezium!.write(changes),
    [Symbol.asyncDispose]: () => discard(db, scenario.name, [topic, debezium]),
  };
}

/** Lets our capture write `records`, from its start to its end. */
export async function capture(scenario: Scenario, topic: BenchTopic, records: number) {
  const from = await topic.ends();
  const started_ms = Date.now();
  const process = scenario.capture();
  await process.ended();
  return await topic.measure(from, { records, started_ms, peak_bytes: process.peak_bytes });
}
