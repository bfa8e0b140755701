/**
 * The capture loop: source -> transforms -> format -> Kafka. One send is in flight while the next is
 * gathered; the source is told only of what all in-sync replicas hold.
 */
import { HistoryLostError, RetryableError, SnapshotCutError } from "../errors.ts";
import { formats } from "../formats/mod.ts";
import { columns } from "../transforms/columns.ts";
import { resyncs } from "./capture_options.ts";
import {
  type CaptureDeps,
  type CaptureJob,
  CaptureSession,
  type CaptureTotals,
} from "./capture_session.ts";
import { noChanges, type OpCounts } from "./counts.ts";
import { retrying } from "./retry.ts";

/** What a capture did. */
export interface CaptureSummary {
  readonly changes: OpCounts;
  /** Changes that the topics already held. */
  readonly repetitions: number;
  /** Changes that were too large, and were set aside. */
  readonly oversize: number;
  readonly seconds: number;
}

/**
 * Captures until `signal` aborts or, in batch mode, the end is reached. Passing faults are retried
 * with backoff: each time everything is closed, fenced and started from the tails.
 */
export async function capture(job: CaptureJob, deps: CaptureDeps): Promise<CaptureSummary> {
  const { format } = await formats[job.format]();
  const transform = columns(job.columns);
  const totals: CaptureTotals = {
    changes: noChanges(),
    repetitions: 0,
    oversize: 0,
    lost: undefined,
  };
  const began = deps.now();
  await retrying(async () => {
    const session = new CaptureSession(job, deps, { format, transform }, totals);
    try {
      await session.run();
    } catch (error) {
      if (!beginsAnew(error, job)) throw error;
      totals.lost = error;
      throw new RetryableError("A new generation begins with a snapshot", { cause: error });
    } finally {
      deps.ready(false, "not connected");
      await session.close();
    }
  }, { signal: deps.signal, log: deps.log, metrics: deps.metrics });
  const { changes, repetitions, oversize } = totals;
  return { changes, repetitions, oversize, seconds: (deps.now() - began) / 1000 };
}

/** Whether reading all rows anew is the answer to an error. */
function beginsAnew(error: unknown, job: CaptureJob): error is Error {
  if (error instanceof SnapshotCutError) return true; // nothing is lost: it had not ended yet
  return error instanceof HistoryLostError && resyncs(job);
}
