/** What commands read of the world around them. */
import { ConfigError } from "../../shared/errors.ts";
import { type AnyJob, loadJob } from "../../shared/jobs/reader.ts";
import { type CaptureKind, isCapture, type JobKind, jobKinds } from "../jobs.ts";
import { host } from "../cli/host.ts";

type AnyLoaded = AnyJob<typeof jobKinds>;
type LoadedOf<Kind extends JobKind> = Extract<AnyLoaded, { readonly kind: Kind }>;

/** Reads and validates the job file at `path` with the environment of this process or thread. */
export function readJob(
  path: string,
  overrides: Readonly<Record<string, unknown>> = {},
): AnyLoaded {
  return loadJob(path, jobKinds, {
    env: (name) => host().env(name),
    readTextFile: (file) => Deno.readTextFileSync(file),
    overrides,
  });
}

/** Reads a capture's job. Throws ConfigError for another kind of job, of which `lacks` says why. */
export function readCapture(path: string, lacks: string): LoadedOf<CaptureKind> {
  const loaded = readJob(path);
  if (isOfCapture(loaded)) return loaded;
  throw otherKind(loaded, lacks, "a capture");
}

/** The same for a consumer's. */
export function readConsumer(path: string, lacks: string): LoadedOf<"consume-csv"> {
  const loaded = readJob(path);
  if (loaded.kind === "consume-csv") return loaded;
  throw otherKind(loaded, lacks, "a consumer");
}

/** The same for either. */
export function readEither(path: string, lacks: string): LoadedOf<CaptureKind | "consume-csv"> {
  const loaded = readJob(path);
  if (isOfCapture(loaded) || loaded.kind === "consume-csv") return loaded;
  throw otherKind(loaded, lacks, "a capture or a consumer");
}

function isOfCapture(loaded: AnyLoaded): loaded is LoadedOf<CaptureKind> {
  return isCapture(loaded.kind);
}

function otherKind({ kind, where }: AnyLoaded, lacks: string, wanted: string): ConfigError {
  return new ConfigError(`${where(["job"])} job: ${kind} ${lacks}.`, {
    cure: `name the job file of ${wanted}`,
  });
}
