/** Makes the source that a capture job describes. */
import type { Log } from "../shared/observe/log.ts";
import type { Source } from "../shared/sources/source.ts";
import type { JobKind, JobOf } from "./jobs.ts";
import { VERSION } from "./version.ts";

/** What a source is given besides its job. */
export interface SourceDeps {
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Kinds that capture, and how the source of each is made. Its module is loaded when asked for. */
const SOURCES = {
  "capture-pg": async (job: JobOf<"capture-pg">, deps: SourceDeps): Promise<Source> => {
    const { PostgresSource } = await import("../shared/sources/postgres/source.ts");
    return new PostgresSource(job.source, { name: job.name, version: VERSION, ...deps });
  },
  "capture-mysql": async (job: JobOf<"capture-mysql">, deps: SourceDeps): Promise<Source> => {
    const { MysqlSource } = await import("../shared/sources/mysql/source.ts");
    return new MysqlSource(job.source, { name: job.name, version: VERSION, ...deps });
  },
};

/** A kind that captures. */
export type CaptureKind = keyof typeof SOURCES;

/** Whether a job of this kind has a source. */
export function isCapture(kind: JobKind): kind is CaptureKind {
  return Object.hasOwn(SOURCES, kind);
}

/** The source of a job that captures; nothing is connected yet. */
export function openSource<Kind extends CaptureKind>(
  kind: Kind,
  job: JobOf<Kind>,
  deps: SourceDeps,
): Promise<Source> {
  const make = SOURCES[kind] as (job: JobOf<Kind>, deps: SourceDeps) => Promise<Source>;
  return make(job, deps);
}
