/** Completes a created row whose key changed: the log leaves out its unchanged out-of-line values. */
import { Buffer } from "node:buffer";
import type { Value } from "../../change.ts";
import { quoteIdentifier, quoteTable } from "../../connect/postgres.ts";
import { READ_ALL_AGAIN, RecordError } from "../../errors.ts";
import type { IncompleteRow } from "./assembler.ts";
import type { Session } from "./connection.ts";

/**
 * Reads the missing values by the row's new key and puts them into it. A value that changed since
 * has its own update further on in the log. Throws RecordError when the row cannot be read.
 */
export async function completeRow(session: Session, row: IncompleteRow): Promise<void> {
  const { table, after } = row;
  const { columns, key } = table.schema;
  const missing = after.flatMap((value, index) => value === undefined ? [index] : []);
  const names = missing.map((index) => `${quoteIdentifier(columns[index]!.name)}::text`);
  const match = key.map((index, at) =>
    `${quoteIdentifier(columns[index]!.name)} = $${at + 1}::text::${columns[index]!.type}`
  );
  const name = { schema: table.schema.schema!, table: table.schema.table };
  let found;
  try {
    [found] = await session.query(
      `select ${names.join(", ")} from ${quoteTable(name)} where ${match.join(" and ")}`,
      key.map((index) => parameter(after[index]!)),
    );
  } catch (error) {
    // Without a code it is the connection that failed, which another attempt may mend.
    if (typeof (error as { code?: unknown }).code !== "string") throw error;
    throw incomplete(row, missing, "the table cannot be read", error);
  }
  if (found === undefined) throw incomplete(row, missing, "no row has that key any more");
  for (const [at, index] of missing.entries()) {
    const text = found[at]!;
    after[index] = text === null ? null : table.conversions[index]!.fromText(text);
  }
}

/** A value as PostgreSQL reads it from text. */
function parameter(value: Value): string {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return `{${value.map(element).join(",")}}`;
  return String(value);
}

function element(value: Value): string {
  if (value === null) return "NULL";
  if (Array.isArray(value)) return parameter(value);
  return `"${parameter(value).replaceAll(/["\\]/g, "\\$&")}"`;
}

function incomplete(
  { table: { schema } }: IncompleteRow,
  missing: readonly number[],
  why: string,
  cause?: unknown,
): RecordError {
  const name = `${schema.schema}.${schema.table}`;
  const columns = missing.map((index) => schema.columns[index]!.name).join(", ");
  return new RecordError(
    `A row of ${name} got another key while ${columns} stayed as stored out of line, so the log does` +
      ` not carry ${missing.length === 1 ? "that value" : "those values"}, and ${why}`,
    {
      cure: `ALTER TABLE ${
        quoteTable({ schema: schema.schema!, table: schema.table })
      } REPLICA IDENTITY FULL; then ${READ_ALL_AGAIN}; or exclude the table`,
      cause,
    },
  );
}
