/** The transforms by name. Adding one is a file and a line. */

/** Loads a transform's module. */
export const transforms = {
  columns: () => import("./columns.ts"),
};
