/** Arbitrary tables and changes for property tests. */
import fc from "fast-check";
import type {
  Change,
  Column,
  Kind,
  Row,
  SnapshotMark,
  TableSchema,
  Value,
} from "../../../shared/change.ts";
import { schemaFingerprint } from "../../../shared/wire/schema_fingerprint.ts";

/** Where the ways that integers are held and written in change. */
const EDGES = [0n, 1n, 6n, 7n, 13n, 14n, 31n, 32n, 51n, 52n, 53n, 62n].flatMap((bits) =>
  [-1n, 0n, 1n].flatMap((more) => [(1n << bits) + more, -(1n << bits) + more])
).concat((1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n, -(1n << 63n));

const SCALARS: Record<Exclude<Kind, "array">, fc.Arbitrary<NonNullable<Value>>> = {
  integer: fc.oneof(
    fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }),
    fc.constantFrom(...EDGES),
  ).map((value) => Number.isSafeInteger(Number(value)) ? Number(value) : value),
  float32: fc.float(),
  float64: fc.double(),
  boolean: fc.boolean(),
  string: fc.string({ unit: "grapheme" }),
  bytes: fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
};

/** A column with a name that hurts now and then. */
const column: fc.Arbitrary<Column> = fc.record({
  name: fc.oneof(
    fc.constantFrom("1", "0", "__proto__", "constructor", "toString", 'a"b', "naïve", "Id"),
    fc.string({ minLength: 1, maxLength: 12 }),
  ),
  kind: fc.constantFrom<Kind>(...Object.keys(SCALARS) as Kind[], "array"),
  element: fc.constantFrom<Kind>(...Object.keys(SCALARS) as Kind[]),
}).map(({ name, kind, element }) =>
  kind === "array" ? { name, type: "x[]", kind, element } : { name, type: "x", kind }
);

/** A table of 1 to 8 columns with distinct names, with or without a key. */
export const table: fc.Arbitrary<TableSchema> = fc.record({
  columns: fc.uniqueArray(column, { minLength: 1, maxLength: 8, selector: (c) => c.name }),
  keyed: fc.boolean(),
  schema: fc.constantFrom(null, "public"),
}).map(({ columns, keyed, schema }) => {
  const key = keyed ? [0] : [];
  return { id: schemaFingerprint(columns, key), db: "shop", schema, table: "list", columns, key };
});

function value(column: Column): fc.Arbitrary<Value> {
  const kind = column.kind === "array" ? column.element ?? "string" : column.kind;
  const scalar = SCALARS[kind as Exclude<Kind, "array">];
  return column.kind === "array" ? fc.array(fc.option(scalar), { maxLength: 4 }) : scalar;
}

/** A row of the table, with nulls and with values that the log did not carry. */
export function row(table: TableSchema): fc.Arbitrary<Row> {
  return fc.tuple(
    ...table.columns.map((column) =>
      fc.oneof(
        { weight: 6, arbitrary: value(column) },
        fc.constant(null),
        fc.constant(undefined),
      )
    ),
  );
}

/** A change of an arbitrary table. */
export const change: fc.Arbitrary<Change> = table.chain((table) =>
  fc.record({
    op: fc.constantFrom("c", "u", "d", "r", "t"),
    rows: fc.tuple(row(table), row(table)),
    ts_us: fc.oneof(
      { weight: 9, arbitrary: fc.nat({ max: 2 ** 31 }).map((us) => 1_795_255_200_000_000 + us) },
      fc.constant(-1), // before 1970, by a server whose clock is wrong
    ),
    lsn: fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }).map((lsn) =>
      Number.isSafeInteger(Number(lsn)) ? Number(lsn) : lsn
    ),
    total_order: fc.nat(),
    collection_order: fc.option(fc.integer({ min: 1, max: 2 ** 31 })),
    mark: fc.constantFrom<SnapshotMark>("first", "true", "last_in_data_collection"),
  }).map(({ op, rows, ts_us, lsn, total_order, collection_order, mark }): Change => ({
    op: op as Change["op"],
    source: { connector: "postgresql", name: "orders", version: "0.1.0" },
    table,
    before: op === "u" || op === "d" ? rows[0] : null,
    after: op === "d" || op === "t" ? null : rows[1],
    position: "6923a1f0-0000000000000001-0000000000000002-00000003",
    coordinates: { txId: 7, lsn, file: "a", none: null },
    transaction: { id: op === "r" ? "" : "771", ts_us },
    total_order: op === "r" ? 0 : total_order,
    ts_ms: 1_795_255_200_130,
    ...op === "r"
      ? { snapshot: mark }
      : collection_order === null
      ? {}
      : { data_collection_order: collection_order },
  }))
);
