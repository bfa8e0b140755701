/** What commands read of the world around them. */
import { type AnyJob, loadJob } from "../../shared/jobs/reader.ts";
import { jobKinds } from "../jobs.ts";
import { host } from "../cli/host.ts";

/** Reads and validates the job file at `path` with the environment of this process or thread. */
export function readJob(
  path: string,
  overrides: Readonly<Record<string, unknown>> = {},
): AnyJob<typeof jobKinds> {
  return loadJob(path, jobKinds, {
    env: (name) => host().env(name),
    readTextFile: (file) => Deno.readTextFileSync(file),
    overrides,
  });
}
