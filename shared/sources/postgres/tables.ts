/** Which tables a job wants. */
import { globSelection } from "../../jobs/glob.ts";
import type { PostgresOptions } from "./options.ts";

/** A test of schema and table by `tables` and `exclude_tables`; the signal table is wanted, too. */
export function tableMatcher(
  options: Pick<PostgresOptions, "tables" | "exclude_tables" | "signal_table">,
): (schema: string, table: string) => boolean {
  const isCaptured = globSelection(options.tables, options.exclude_tables);
  return (schema, table) => {
    const name = `${schema}.${table}`;
    return name === options.signal_table || isCaptured(name);
  };
}
