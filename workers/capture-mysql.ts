/** Captures MySQL tables into Kafka topics. */
import { MysqlSource } from "../shared/sources/mysql/source.ts";
import { runCapture } from "./capture.ts";

await runCapture("capture-mysql", ({ source }, context) => new MysqlSource(source, context));
