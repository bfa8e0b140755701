/** Which topic and partition a change goes to. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Change, TableSchema } from "../change.ts";
import { ConfigError } from "../errors.ts";

/** Longest topic name that brokers accept. */
const TOPIC_LENGTH = 249;

/** A topic's name as a job may give it. */
export const topicName = z.string().regex(
  new RegExp(`^(?!\\.{1,2}$)[a-zA-Z0-9._-]{1,${TOPIC_LENGTH}}$`),
  `1 to ${TOPIC_LENGTH} of: letters, digits, \`.\`, \`_\`, \`-\``,
);

/**
 * The topic of a table by a template with `{name}`, `{db}`, `{schema}` (the database's name where
 * there are no schemas) and `{table}`. Characters that Kafka refuses become `_`.
 */
export function topicOf(
  template: string,
  name: string,
  table: Pick<TableSchema, "db" | "schema" | "table">,
): string {
  const values: Record<string, string> = {
    name,
    db: table.db,
    schema: table.schema ?? table.db,
    table: table.table,
  };
  const topic = template.replace(/\{(\w+)\}/g, (token, part) => values[part] ?? token)
    .replace(/[^a-zA-Z0-9._-]/g, "_");
  if (topic.length > TOPIC_LENGTH || topic === "." || topic === "..") {
    throw new ConfigError(
      `Cannot name a topic ${
        JSON.stringify(topic)
      } (${topic.length} characters) for table ${table.table}`,
      { cure: `give \`kafka.topic\` a template of at most ${TOPIC_LENGTH} characters` },
    );
  }
  return topic;
}

/** Tokens that a topic template may hold. */
export const TOPIC_TOKENS = ["name", "db", "schema", "table"] as const;

/** Fingerprint of everything that decides where a change goes. */
export function routingFingerprint(parts: unknown): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

/** A change that goes to every partition: not of one row, but of the table. */
export function isBroadcast(change: Change): boolean {
  return change.op === "t";
}
