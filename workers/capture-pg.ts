/** Worker: captures PostgreSQL tables into Kafka topics. */
import { runCapture } from "./capture.ts";

await runCapture("capture-pg");
