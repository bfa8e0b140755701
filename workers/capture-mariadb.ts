/** Worker: captures MariaDB tables into Kafka topics. */
import { runCapture } from "./runtime/capture.ts";

await runCapture("capture-mariadb");
