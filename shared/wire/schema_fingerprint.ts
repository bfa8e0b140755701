/** Short name of a table definition. */
import { createHash } from "node:crypto";
import type { Column } from "../change.ts";

/**
 * Fingerprint of a table's columns (names, types, order) and key: the first 8 hexadecimal digits of
 * the SHA-256 of their JSON. It tells the definitions of one table apart, not those of all tables.
 */
export function schemaFingerprint(columns: readonly Column[], key: readonly number[]): string {
  const text = JSON.stringify([columns.map((c) => [c.name, c.type, c.kind, c.element]), key]);
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
