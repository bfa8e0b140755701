/** What a job may say of the connection to a source's log, the same for every source. */
import { z } from "zod";

/** Options of a stream, beside the others of a `source`; `batch_bytes`: the source's default. */
export function streamOptions({ batch_bytes }: { readonly batch_bytes: number }) {
  return {
    // Long enough for a busy server, short enough that a wrong address is noticed.
    connect_timeout_ms: z.int().min(1).default(10_000)
      .describe("Longest wait for a connection, in milliseconds."),
    // Eight socket reads ahead of decoding; the system's own buffers hold more.
    queue_bytes: z.int().min(65_536).max(1 << 30).default(512 << 10)
      .describe(
        "Most bytes of undecoded log that are held; reading pauses above that. A snapshot's connections share as much again, at least 65536 each.",
      ),
    // Few enough to be encoded before they outlive the young generation; sends gather many batches.
    batch_changes: z.int().min(1).max(1_000_000).default(250)
      .describe("Most changes in a batch; it may hold one log event more."),
    // Wide rows: decoded they take several times their bytes in the log. Each source's default was
    // set by measurement of that source.
    batch_bytes: z.int().min(1_024).max(1 << 30).default(batch_bytes)
      .describe("Most bytes of log in a batch; it may hold one event more."),
  };
}
