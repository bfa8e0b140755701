/** From a capture job to its source. */
import type { Connector } from "../../shared/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { resyncs } from "../../shared/pipeline/capture.ts";
import { sources } from "../../shared/sources/mod.ts";
import type { Source } from "../../shared/sources/source.ts";
import type { JobKind, JobOf } from "../jobs.ts";
import { VERSION } from "./version.ts";

/** What a source is given besides its job. */
export interface SourceDeps {
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** The source that each capturing kind reads. */
const SOURCES = {
  "capture-pg": "postgresql",
  "capture-mysql": "mysql",
  "capture-mariadb": "mariadb",
} as const;

/** A kind that captures. */
export type CaptureKind = keyof typeof SOURCES;

/** The connector of a kind that captures. */
export function connectorOf(kind: CaptureKind): Connector {
  return SOURCES[kind];
}

/** Whether a job of this kind has a source. */
export function isCapture(kind: JobKind): kind is CaptureKind {
  return Object.hasOwn(SOURCES, kind);
}

/** Makes sources of a capture job, none of them connected. Only the module of its kind is loaded. */
export async function sourceMaker<Kind extends CaptureKind>(
  kind: Kind,
  job: JobOf<Kind>,
  deps: SourceDeps,
): Promise<() => Source> {
  const Source = await sources[SOURCES[kind]]() as new (
    options: JobOf<Kind>["source"],
    context: SourceDeps & { name: string; version: string; resyncs: boolean },
  ) => Source;
  const context = { name: job.name, version: VERSION, resyncs: resyncs(job), ...deps };
  return () => new Source(job.source, context);
}
