/** Kafka's own measuring programs, as `kafka-producer-perf-test.sh` and its sister start them. */
import { kafkaSoftware } from "../../compose/native/kafka.ts";
import { testStack } from "../../tests/stack.ts";
import { properties, startJava } from "./java.ts";
import type { PeerProcess } from "./process.ts";

/** Both scripts say so. */
const HEAP = ["-Xmx512M"];

/** What both programs work on. */
export interface PerfRun {
  readonly topic: string;
  readonly records: number;
  /** Takes logs and settings. */
  readonly folder: string;
}

/** Writes lines of the file `payloads`, taken at random, with no key. */
export async function producerPerf(run: PerfRun & { payloads: string }): Promise<PeerProcess> {
  const settings = `${run.folder}/producer.properties`;
  Deno.writeTextFileSync(
    settings,
    properties({
      "bootstrap.servers": testStack().kafka.brokers.join(","),
      "acks": "all",
      "enable.idempotence": true,
      "compression.type": "lz4",
      "linger.ms": 20,
      "batch.size": 524_288,
      "buffer.memory": 67_108_864,
    }),
  );
  return startJava({
    ...await kafkaSoftware(() => {}),
    heap: HEAP,
    main: "org.apache.kafka.tools.ProducerPerformance",
    args: [
      ...["--topic", run.topic, "--num-records", String(run.records), "--throughput", "-1"],
      ...["--payload-file", run.payloads, "--producer.config", settings],
    ],
    folder: run.folder,
    name: "producer-perf",
  });
}

/** Reads the topic in a group of its own; answers records a second since its partitions came. */
export async function consumerPerf(run: PerfRun) {
  await using process = startJava({
    ...await kafkaSoftware(() => {}),
    heap: HEAP,
    main: "org.apache.kafka.tools.ConsumerPerformance",
    args: [
      ...["--bootstrap-server", testStack().kafka.brokers.join(",")],
      ...["--topic", run.topic, "--messages", String(run.records)],
      ...["--group", crypto.randomUUID(), "--timeout", "60000"],
    ],
    folder: run.folder,
    name: "consumer-perf",
  });
  const per_second = fetchRate(await process.output());
  return { figures: { per_second }, peak_bytes: process.peak_bytes };
}

/** `fetch.nMsg.sec` of what the program prints: a line of names, and one of values. */
export function fetchRate(output: string): number {
  const lines = output.trim().split("\n").map((line) => line.split(", "));
  const header = lines.findIndex((names) => names.includes("fetch.nMsg.sec"));
  const rate = Number(lines[header + 1]?.[lines[header]?.indexOf("fetch.nMsg.sec") ?? -1]);
  if (rate > 0) return rate;
  throw new Error(`consumer-perf printed no fetch.nMsg.sec but: ${output.slice(-500)}`);
}
