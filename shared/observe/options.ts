/** How a worker is seen from outside: the `observe` part of every job. */
import { z } from "zod";

/** Schema of `observe`. */
export const observeOptions = z.strictObject({
  // Every start, stop, assignment and repair stands at info; debug adds a line per batch.
  log_level: z.enum(["debug", "info", "warn", "error"]).default("info")
    .describe("Log lines below this level are left out."),
  // Absent: no listener, so no permission to listen is asked for.
  metrics_port: z.int().min(0).max(65535).optional()
    .describe(
      "TCP port for `/metrics`, `/health/live` and `/health/ready`; without it nothing listens, and 0 takes a free port.",
    ),
  // Loopback: metrics tell table names and volumes, so showing them to a network is a decision.
  metrics_host: z.string().min(1).default("127.0.0.1")
    .describe("Address that the metrics port is bound to."),
});
