/** All rows, in the order in which they run and are told. */
import type { Row } from "../bench.ts";
import { captureRow } from "./capture.ts";
import { consumeRow, produceRow } from "./clients.ts";
import { row as csv } from "./csv.ts";
import { latencyRow } from "./latency.ts";
import { pipelineRow } from "./pipeline.ts";
import { snapshotRow } from "./snapshot.ts";

/** Every row by its name. */
export const rows = {
  "capture-mysql": captureRow("MySQL"),
  "capture-pg": captureRow("PostgreSQL"),
  "snapshot-mysql": snapshotRow("MySQL"),
  "snapshot-pg": snapshotRow("PostgreSQL"),
  "csv": csv,
  "produce": produceRow("Java"),
  "consume": consumeRow("Java"),
  "produce-kafkajs": produceRow("kafkajs"),
  "consume-kafkajs": consumeRow("kafkajs"),
  "latency-mysql-1000": latencyRow("MySQL", 1_000),
  "latency-pg-1000": latencyRow("PostgreSQL", 1_000),
  "latency-mysql-10000": latencyRow("MySQL", 10_000),
  "latency-pg-10000": latencyRow("PostgreSQL", 10_000),
  "pipeline-mysql-json": pipelineRow("MySQL", "json"),
  "pipeline-mysql-protobuf": pipelineRow("MySQL", "protobuf"),
  "pipeline-pg-json": pipelineRow("PostgreSQL", "json"),
  "pipeline-pg-protobuf": pipelineRow("PostgreSQL", "protobuf"),
} satisfies Readonly<Record<string, Row>>;

/** The name of a row. */
export type RowName = keyof typeof rows;
