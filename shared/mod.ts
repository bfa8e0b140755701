/**
 * list-sync as a library: row changes of MySQL and PostgreSQL, read from Kafka.
 *
 *     import { consume } from "@list-sync/list-sync";
 *
 *     await consume({
 *       kafka: { brokers: ["broker1:9092"] },
 *       topics: ["orders.public.list"],
 *       group_id: "search",
 *       async write({ changes }) {
 *         for (const { op, table, before, after } of changes) {
 *           const names = table.columns.map(({ name }) => name);
 *           console.log(op, names, before, after);
 *         }
 *       },
 *     });
 */
export type {
  Change,
  Column,
  Connector,
  Kind,
  Op,
  Row,
  SourceIdentity,
  TableSchema,
  Transaction,
  Value,
} from "./change.ts";
export { ConfigError, describe, HistoryLostError, RecordError, RetryableError } from "./errors.ts";
export { createLog, type Level, type Log, type LogOptions } from "./observe/log.ts";
export type { ConsumeSummary } from "./pipeline/consume.ts";
export { consume, type ConsumedBatch, type ConsumeOptions } from "./pipeline/library.ts";
export { formatPosition, parsePosition, type Position } from "./position.ts";
export type { Standing } from "./sinks/sink.ts";
