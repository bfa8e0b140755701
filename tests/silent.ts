import type { Log } from "../shared/observe/log.ts";

/** A log that nobody reads. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
