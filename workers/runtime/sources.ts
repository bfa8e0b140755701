/** From a capture job to its source. */
import type { Connector } from "../../shared/change.ts";
import { resyncs } from "../../shared/pipeline/capture_options.ts";
import { sources } from "../../shared/sources/mod.ts";
import type { Source, SourceContext } from "../../shared/sources/source.ts";
import type { CaptureKind, JobOf } from "../jobs.ts";
import { VERSION } from "./version.ts";

/** What a source is given besides its job. */
export type SourceDeps = Pick<SourceContext, "log" | "now">;

/** What a kind of job captures. */
interface Captured<Kind extends CaptureKind> {
  readonly connector: Connector;
  readonly load: () => Promise<
    new (options: JobOf<Kind>["source"], context: SourceContext) => Source
  >;
}

const SOURCES: { readonly [Kind in CaptureKind]: Captured<Kind> } = {
  "capture-pg": { connector: "postgresql", load: sources.postgresql },
  "capture-mysql": { connector: "mysql", load: sources.mysql },
  "capture-mariadb": { connector: "mariadb", load: sources.mariadb },
};

/** The connector of a kind that captures. */
export function connectorOf(kind: CaptureKind): Connector {
  return SOURCES[kind].connector;
}

/** Makes sources of a capture job, none of them connected. Only the module of its kind is loaded. */
export async function sourceMaker<Kind extends CaptureKind>(
  kind: Kind,
  job: JobOf<Kind>,
  deps: SourceDeps,
): Promise<() => Source> {
  const Source = await SOURCES[kind].load();
  const context = { name: job.name, version: VERSION, resyncs: resyncs(job), ...deps };
  return () => new Source(job.source, context);
}
