/** How old a change is when a consumer has it, beside Debezium. */
import type { TestDatabase } from "../../tests/databases.ts";
import { Scenario } from "../../tests/scenario.ts";
import type { Measured, Round, RoundOptions, Row } from "../bench.ts";
import { commitLatency } from "../commit_latency.ts";
import { Debezium } from "../peers/debezium.ts";
import { BenchTopic } from "../topic.ts";
import { type DatabaseName, discard, stackDatabase } from "./database.ts";

/** The row of one database at `rate` changes a second. */
export function latencyRow(name: DatabaseName, rate: number): Row {
  return {
    work: `commit in ${name} → consumer, ${rate.toLocaleString("en")} changes a second`,
    peer: "Debezium",
    aim: "p50 5 ms, p99 25 ms, below Debezium's",
    figures: ["p50_ms", "p95_ms", "p99_ms"],
    prepare: (options) => prepare(stackDatabase(name), rate, options),
  };
}

async function prepare(
  db: TestDatabase,
  rate: number,
  { latency_seconds: seconds, with_peer }: RoundOptions,
): Promise<Round> {
  const scenario = new Scenario(db, { format: "json", mode: "stream" });
  await scenario.createTable();
  const table = scenario.name;
  const topic = await BenchTopic.make(scenario.topic);
  const debezium = with_peer ? await Debezium.make(db, table, "latency") : undefined;
  return {
    async ours(): Promise<Measured> {
      await using capture = scenario.capture();
      await capture.event("capture_started");
      const figures = await commitLatency({ db, table, topic }, { rate, seconds });
      await capture.stop();
      return { figures, peak_bytes: capture.peak_bytes };
    },
    async theirs(): Promise<Measured> {
      await using worker = await debezium!.streaming();
      const way = { db, table, topic: debezium!.topic };
      const figures = await commitLatency(way, { rate, seconds });
      return { figures, peak_bytes: worker.peak_bytes };
    },
    [Symbol.asyncDispose]: () => discard(db, table, [topic, debezium]),
  };
}
