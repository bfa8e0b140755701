/** The log of a command on a job: what a person at a terminal need know of the way to the result. */
import { createLog, type Log } from "../../shared/observe/log.ts";
import { writeToStderr } from "../cli/stderr.ts";

/** Warnings and errors as text on stderr, without the job's secrets. */
export function commandLog(
  job: { readonly name: string },
  secrets: Parameters<typeof createLog>[0]["secrets"],
): Log {
  return createLog({
    job: job.name,
    format: "text",
    level: "warn",
    write: writeToStderr,
    now: Date.now,
    secrets,
  });
}
