/** Captures PostgreSQL tables into Kafka topics. */
import { PostgresSource } from "../shared/sources/postgres/source.ts";
import { runCapture } from "./capture.ts";

await runCapture("capture-pg", ({ source }, context) => new PostgresSource(source, context));
