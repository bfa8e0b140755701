/** The settings of every PostgreSQL session here: what captures and comparisons read must be one text. */

/**
 * Settings that reach the text of values. A database or role may have changed them (ALTER DATABASE ...
 * SET reaches decoded text), so each session sets its own. With an empty search path beside
 * pg_catalog every type of a user is written with its schema.
 */
const PINNED: Readonly<Record<string, string>> = {
  DateStyle: "ISO",
  IntervalStyle: "iso_8601",
  TimeZone: "UTC",
  bytea_output: "hex",
  extra_float_digits: "3",
  lc_monetary: "C",
  search_path: "pg_catalog",
  standard_conforming_strings: "on",
  statement_timeout: "0",
};

/** The settings, and `more`, as the `options` of a connection's start. */
export function sessionOptions(more: Readonly<Record<string, string>> = {}): string {
  return Object.entries({ ...more, ...PINNED }).map(([name, value]) => `-c ${name}=${value}`)
    .join(" ");
}
