/** A step between source and format: one file per transform. */
import type { Change } from "../change.ts";

/** Makes one change of another: same position, same order. */
export type Transform = (change: Change) => Change;
