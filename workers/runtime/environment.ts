/** What commands read of the world around them. */
import { type AnyJob, loadJob } from "../../shared/jobs/reader.ts";
import { jobKinds } from "../jobs.ts";

/** Reads and validates the job file at `path` with this process's environment. */
export function readJob(
  path: string,
  overrides: Readonly<Record<string, unknown>> = {},
): AnyJob<typeof jobKinds> {
  return loadJob(path, jobKinds, {
    env: (name) => Deno.env.get(name),
    readTextFile: (file) => Deno.readTextFileSync(file),
    overrides,
  });
}
