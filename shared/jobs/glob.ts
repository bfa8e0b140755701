/** Table patterns: `*` stands for any run of characters, `?` for one. */

/** A pattern as a test of whole names: `public.*` accepts `public.list`. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const source = pattern.replace(
    /[\\^$.*+?()[\]{}|]/g,
    (sign) => sign === "*" ? ".*" : sign === "?" ? "." : `\\${sign}`,
  );
  const expression = new RegExp(`^${source}$`, "su");
  return (name) => expression.test(name);
}

/** A test of whole names that some pattern of `wanted` accepts and none of `excluded`. */
export function globSelection(
  wanted: readonly string[],
  excluded: readonly string[],
): (name: string) => boolean {
  const [accepting, refusing] = [wanted.map(globMatcher), excluded.map(globMatcher)];
  return (name) =>
    accepting.some((matches) => matches(name)) && !refusing.some((matches) => matches(name));
}

/** Whether a name in a job stands for others. */
export function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}
