/** Which tables a job wants. */
import { globMatcher } from "../../jobs/glob.ts";
import type { PostgresOptions } from "./options.ts";

/** A test of schema and table by `tables` and `exclude_tables`; the signal table is wanted, too. */
export function tableMatcher(
  options: Pick<PostgresOptions, "tables" | "exclude_tables" | "signal_table">,
): (schema: string, table: string) => boolean {
  const included = options.tables.map(globMatcher);
  const excluded = options.exclude_tables.map(globMatcher);
  return (schema, table) => {
    const name = `${schema}.${table}`;
    if (name === options.signal_table) return true;
    return included.some((match) => match(name)) && !excluded.some((match) => match(name));
  };
}
