/** Worker: captures PostgreSQL tables into Kafka topics. */
import { runCapture } from "./runtime/capture.ts";

await runCapture("capture-pg");
