/** Worker: captures MySQL tables into Kafka topics. */
import { runCapture } from "./capture.ts";

await runCapture("capture-mysql");
