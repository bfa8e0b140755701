/** One transaction that no memory should hold. */
import assert from "node:assert/strict";
import { type Fault, MOST_BYTES } from "./fault.ts";

export const fault: Fault = {
  does: "One transaction inserts a million rows (in CI a tenth of it).",
  holds: `No worker takes more than ${MOST_BYTES / 1e6} MB of memory for it.`,
  async strike(run) {
    await run.each(async (pipeline) => {
      pipeline.writer.insertAtOnce(run.options.huge_rows);
      await pipeline.writes(run.options.huge_rows);
      await pipeline.flows();
      for (const worker of [pipeline.capture, pipeline.consumer]) {
        const { name, peak_bytes, log_file } = worker;
        assert.ok(peak_bytes < MOST_BYTES, `${name} took ${peak_bytes} bytes. Log: ${log_file}`);
      }
    });
  },
};
