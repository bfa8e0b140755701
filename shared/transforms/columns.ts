/** Leaves columns out or masks them, per table. */
import { z } from "zod";
import type { Change, Row, TableSchema, Value } from "../change.ts";
import { ConfigError } from "../errors.ts";
import { globMatcher } from "../jobs/glob.ts";
import { nearestHint } from "../jobs/nearest.ts";
import { perTable } from "../per_table.ts";
import { tableName } from "../table_name.ts";
import { schemaFingerprint } from "../wire/schema_fingerprint.ts";
import type { Transform } from "./transform.ts";

/** Written in place of a masked text. */
export const MASK = "***";

/** Schema of the job's `columns`. */
export const columnsOptions = z.array(
  z.strictObject({
    table: z.string().min(1).describe(
      "Tables that this rule is for, as in `source.tables`; globs allowed. The first rule that fits a table counts.",
    ),
    include: z.array(z.string().min(1)).min(1).optional()
      .describe("Only these columns are captured. Key columns must be among them."),
    exclude: z.array(z.string().min(1)).min(1).optional()
      .describe("These columns are not captured. Key columns cannot be excluded."),
    mask: z.array(z.string().min(1)).min(1).optional()
      .describe(`Text columns whose values are written as \`${MASK}\`; null stays null.`),
  }).refine((rule) => rule.include === undefined || rule.exclude === undefined, {
    message: "`include` and `exclude` cannot stand in one rule",
  }),
);

/** The rules as validated. */
export type ColumnsOptions = z.infer<typeof columnsOptions>;

/** Applies the rules. The transform throws ConfigError at the first row of a table that a rule cannot fit. */
export function columns(rules: ColumnsOptions): Transform {
  const matchers = rules.map((rule) => ({ rule, matches: globMatcher(rule.table) }));

  const planFor = perTable((table): Plan | "as it is" => {
    const name = tableName(table);
    const fitting = matchers.find(({ matches }) => matches(name));
    return fitting === undefined ? "as it is" : planOf(table, name, fitting.rule);
  });

  return (change) => {
    const plan = planFor(change.table);
    return plan === "as it is" ? change : apply(change, plan);
  };
}

/** A rule that a table cannot be given. */
export interface RuleFault {
  /** The rule's pattern. */
  readonly rule: string;
  readonly error: ConfigError;
}

/** What the transform would throw at the first row of each of these tables. */
export function ruleFaults(rules: ColumnsOptions, tables: readonly TableSchema[]): RuleFault[] {
  return tables.flatMap((table) => {
    const rule = rules.find((rule) => globMatcher(rule.table)(tableName(table)));
    if (rule === undefined) return [];
    try {
      planOf(table, tableName(table), rule);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return [{ rule: rule.table, error }];
    }
  });
}

/** Patterns of rules that none of these tables has. */
export function idleRules(rules: ColumnsOptions, tables: readonly TableSchema[]): string[] {
  return rules.map((rule) => rule.table)
    .filter((pattern) => !tables.some((table) => globMatcher(pattern)(tableName(table))));
}

interface Plan {
  readonly table: TableSchema;
  /** For each column kept, its index in the source's row. */
  readonly kept: readonly number[];
  readonly masked: readonly boolean[];
}

function planOf(table: TableSchema, name: string, rule: ColumnsOptions[number]): Plan {
  const kept = table.columns.map((_, index) => index).filter((index) => {
    const column = table.columns[index]!.name;
    return rule.include?.includes(column) ?? !rule.exclude?.includes(column);
  });
  const columns = kept.map((index) => table.columns[index]!);
  const masked = columns.map((column) => rule.mask?.includes(column.name) ?? false);
  const key = table.key.map((index) => kept.indexOf(index));

  const refuse = (column: string, why: string) => {
    throw new ConfigError(`Cannot apply the \`columns\` rule ${rule.table} to ${name}: ${why}`, {
      cure: `change what the rule says of column ${column}`,
    });
  };
  const named = [...rule.include ?? [], ...rule.exclude ?? [], ...rule.mask ?? []];
  const unknown = named.find((column) => !table.columns.some(({ name }) => name === column));
  if (unknown !== undefined) {
    const names = table.columns.map((column) => column.name);
    const hint = nearestHint(unknown, names);
    refuse(unknown, `it has no column ${unknown}${hint}; its columns are ${names.join(", ")}`);
  }
  for (const [at, index] of key.entries()) {
    const column = table.columns[table.key[at]!]!.name;
    if (index === -1) refuse(column, `key column ${column} cannot be left out`);
    if (masked[index]) refuse(column, `key column ${column} cannot be masked`);
  }
  const odd = columns.find((column, index) => masked[index] && column.kind !== "string");
  if (odd !== undefined) {
    refuse(odd.name, `column ${odd.name} has type ${odd.type}, and only text can be masked`);
  }
  return { table: { ...table, columns, key, id: schemaFingerprint(columns, key) }, kept, masked };
}

function apply(change: Change, plan: Plan): Change {
  const row = (row: Row | null) =>
    row === null ? null : plan.kept.map((index, at): Value | undefined => {
      const value = row[index];
      return plan.masked[at] && typeof value === "string" ? MASK : value;
    });
  return { ...change, table: plan.table, before: row(change.before), after: row(change.after) };
}
