/** A job's schema as JSON Schema: for editors, for the reference, and for what an error calls allowed. */
import { z } from "zod";

/** The parts of JSON Schema (draft 2020-12) that zod writes and we read. */
export interface JsonSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  minItems?: number;
  pattern?: string;
  [keyword: string]: unknown;
}

/** What a job file may hold, before defaults are filled in. */
export function jsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    reused: "inline",
    override: ({ jsonSchema: written }) => {
      // zod bounds whole numbers by what a double holds: noise for a reader.
      if (written.minimum === Number.MIN_SAFE_INTEGER) delete written.minimum;
      if (written.maximum === Number.MAX_SAFE_INTEGER) delete written.maximum;
    },
  }) as JsonSchema;
}

/** What may stand instead of a number, a boolean or a list. */
const REFERENCE: JsonSchema = {
  type: "string",
  pattern: "^\\$\\{(env|file):[^}]+\\}$",
  description: "A reference: ${env:NAME}, ${env:NAME:-default} or ${file:path}.",
};

/** The schema for editors: whatever is not text may be a reference as well. */
export function editorSchema(title: string, schema: z.ZodType): JsonSchema {
  return { title, ...withReferences(jsonSchema(schema)) };
}

function withReferences(schema: JsonSchema): JsonSchema {
  const { properties, items, anyOf, oneOf, ...rest } = schema;
  const inside: JsonSchema = { ...rest };
  if (properties) {
    inside.properties = Object.fromEntries(
      Object.entries(properties).map(([name, property]) => [name, withReferences(property)]),
    );
  }
  if (items) inside.items = withReferences(items);
  if (anyOf) inside.anyOf = anyOf.map(withReferences);
  if (oneOf) inside.oneOf = oneOf.map(withReferences);
  const takesReference = ["number", "integer", "boolean", "array"].includes(schema.type ?? "");
  if (!takesReference) return inside;
  const { description, default: fallback, ...type } = inside;
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [type, REFERENCE],
  };
}

function branches(schema: JsonSchema): JsonSchema[] {
  return [...schema.anyOf ?? [], ...schema.oneOf ?? [], ...schema.allOf ?? []];
}

/** The keys that an object may have, those of all its forms together. */
export function propertiesOf(schema: JsonSchema | undefined): Record<string, JsonSchema> {
  if (!schema) return {};
  const inside = branches(schema).map(propertiesOf);
  return Object.assign({}, ...inside, schema.properties) as Record<string, JsonSchema>;
}

/** The schema of what stands at `path`; undefined where the schema knows nothing. */
export function schemaAt(
  schema: JsonSchema | undefined,
  path: readonly (string | number)[],
): JsonSchema | undefined {
  const [step, ...rest] = path;
  if (schema === undefined || step === undefined) return schema;
  const next = typeof step === "number" ? itemsOf(schema) : memberOf(schema, step);
  return schemaAt(next, rest);
}

function itemsOf(schema: JsonSchema): JsonSchema | undefined {
  return schema.items ?? branches(schema).map(itemsOf).find((found) => found !== undefined);
}

function memberOf(schema: JsonSchema, name: string): JsonSchema | undefined {
  const properties = propertiesOf(schema);
  if (Object.hasOwn(properties, name)) return properties[name];
  const others = schema.additionalProperties;
  if (typeof others === "object") return others;
  return branches(schema).map((branch) => memberOf(branch, name)).find((found) => found);
}

/** What a value must be, in words: `a whole number from 1 to 65535`, `one of json, protobuf`. */
export function expectation(schema: JsonSchema | undefined): string {
  if (!schema) return "another value";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  const forms = branches(schema);
  if (forms.length > 0) return [...new Set(forms.map(expectation))].join(" or ");
  switch (schema.type) {
    case "integer":
      return `a whole number${range(schema)}`;
    case "number":
      return `a number${range(schema)}`;
    case "boolean":
      return "true or false";
    case "null":
      return "null";
    case "array":
      return `a list of ${schema.minItems ? "one or more " : ""}${
        plural(expectation(schema.items))
      }`;
    case "object":
      return schema.properties
        ? `keys and values (${Object.keys(schema.properties).join(", ")})`
        : "keys and values";
    case "string":
      return schema.minLength ? "text, not empty" : "text";
    default:
      return "a value";
  }
}

function range(schema: JsonSchema): string {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const over = schema.minimum === undefined && low !== undefined;
  if (low !== undefined && high !== undefined) return ` from ${low} to ${high}`;
  if (low !== undefined) return over ? ` above ${low}` : ` of at least ${low}`;
  return high === undefined ? "" : ` of at most ${high}`;
}

function plural(text: string): string {
  return text.startsWith("text") ? "texts" : text.replace(/^an? /, "");
}
