/** How the launcher runs workers: as processes of their own, or as threads of its process. */
import type { StopSignal } from "../cli/host.ts";
import type { Permissions } from "../../shared/jobs/permissions.ts";
import type { BrokersAnswer, JobFile } from "./grants.ts";

/** A worker under way. */
export interface Started {
  /** The process it runs in. */
  readonly pid: number;
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number>;
  /** Asks it to drain and end. */
  stop(signal: StopSignal): void;
  /** Ends it at once. */
  kill(): void;
}

/** A way to run workers. */
export interface Workers {
  /** Where a job runs, for help texts: "in a process of its own". */
  readonly place: string;
  /** Makes ready what the workers of these jobs load. */
  prepare(files: readonly JobFile[]): Promise<void>;
  /** Runs `brokers.ts` with the job. */
  askBrokers(file: JobFile): Promise<BrokersAnswer>;
  /** Starts the job's worker with these permissions and nothing more; `passed` are options for it. */
  start(file: JobFile, permissions: Permissions, passed: readonly string[]): Started;
}
