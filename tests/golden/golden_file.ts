/**
 * Reads golden files: SQL statements, each followed by the changes that it must produce.
 *
 * A line `-> op key before after` is an expected change, in the text of the format `json`. A line
 * that begins with `@mysql` or `@postgresql` counts for that database alone; MariaDB is taken for
 * MySQL. Statements end with a semicolon at the end of a line; `--` begins a comment line.
 */

/** The databases that golden files know. */
export type Dialect = "mysql" | "postgresql";

/** A file as one database reads it. */
export interface GoldenFile {
  readonly name: string;
  /** Statements that make the tables: everything before the first row is written. */
  readonly definitions: readonly string[];
  readonly statements: readonly string[];
  /** Expected changes in order, `op key before after`. */
  readonly expected: readonly string[];
}

const WRITES = /^(INSERT|UPDATE|DELETE|BEGIN|TRUNCATE)\b/i;

/** The golden files of a folder that are for `dialect`: `x.sql` and `x.<dialect>.sql`. */
export function readGoldenFiles(folder: URL, dialect: Dialect): GoldenFile[] {
  return [...Deno.readDirSync(folder)]
    .map(({ name }) => name)
    .filter((name) => new RegExp(`^[a-z_]+(\\.${dialect})?\\.sql$`).test(name))
    .sort()
    .map((name) => parse(name, Deno.readTextFileSync(new URL(name, folder)), dialect));
}

function parse(name: string, text: string, dialect: Dialect): GoldenFile {
  const statements: string[] = [];
  const expected: string[] = [];
  let statement = "";
  for (const raw of text.split("\n")) {
    const [, only, line] = /^(?:@(\w+) )?(.*)$/.exec(raw)!;
    if (only !== undefined && only !== dialect) continue;
    if (statement === "" && (line === "" || line!.startsWith("--"))) continue;
    if (statement === "" && line!.startsWith("-> ")) {
      expected.push(line!.slice(3));
      continue;
    }
    statement += (statement === "" ? "" : "\n") + line;
    if (!line!.endsWith(";")) continue;
    statements.push(statement.slice(0, -1));
    statement = "";
  }
  const first = statements.findIndex((sql) => WRITES.test(sql));
  return {
    name,
    definitions: statements.slice(0, first),
    statements: statements.slice(first),
    expected,
  };
}
