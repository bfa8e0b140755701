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
