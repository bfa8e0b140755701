/** Worker: captures MySQL tables into Kafka topics. */
import { runCapture } from "./runtime/capture.ts";

await runCapture("capture-mysql");
