/** The sinks by name. Adding one is a file, a line here and a kind of job: see the README. */
import type { SinkModule } from "./sink.ts";

/** Loads a sink's module. */
export const sinks = {
  csv: () => import("./csv.ts"),
  none: () => import("./none.ts"),
} satisfies Record<string, () => Promise<{ sink: SinkModule<unknown> }>>;

/** Name of a sink. */
export type SinkName = keyof typeof sinks;
