/** Short tables for people. */

/**
 * Rows under a header, columns aligned: to the right where every cell below the header is a number
 * (digits, separators, a unit), else to the left. Ends without a newline.
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => (row[at] ?? "").length))
  );
  const right = header.map((_, at) =>
    rows.every((row) => /^[\d.,\u2013-]*( \S+)?$/.test(row[at] ?? ""))
  );
  const line = (cells: readonly string[]) =>
    widths.map((width, at) =>
      right[at] ? (cells[at] ?? "").padStart(width) : (cells[at] ?? "").padEnd(width)
    ).join("  ").trimEnd();
  return [line(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)]
    .join("\n");
}
