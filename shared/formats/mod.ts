/** The formats by name. Adding one is a file and a line. */
import type { Format } from "./format.ts";

/** Loads a format's module. */
export const formats = {
  json: () => import("./json.ts"),
  protobuf: () => import("./protobuf.ts"),
} satisfies Record<string, () => Promise<{ format: Format }>>;

/** Name of a format. */
export type FormatName = keyof typeof formats;
