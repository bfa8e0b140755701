import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../../../shared/errors.ts";
import type { CatalogTable } from "../../../../shared/sources/mysql/catalog.ts";
import { defineTable, schemaOfCatalog } from "../../../../shared/sources/mysql/definition.ts";
import { BinlogReader } from "../../../../shared/wire/binlog_reader.ts";
import {
  ColumnType,
  type MappedColumn,
  type TableMap,
} from "../../../../shared/wire/binlog_table_map.ts";
import { membersOfType } from "../../../../shared/wire/mysql_column.ts";

const UTF8MB4 = 45;

const PLAIN: MappedColumn = {
  type: ColumnType.LONG,
  size: 4,
  scale: 0,
  nullable: true,
  name: "id",
  unsigned: false,
  collation: undefined,
  members: undefined,
  geometry: undefined,
  dimension: undefined,
  visible: true,
};

/** A table of a number, an ENUM and a SET as the log has it, with all metadata or without names. */
function mapOf(members: readonly string[], full: boolean): TableMap {
  const list = (type: number, name: string): MappedColumn => ({
    ...PLAIN,
    type,
    size: 1,
    unsigned: undefined,
    name: full ? name : undefined,
    ...full
      ? { collation: UTF8MB4, members: members.map((text) => new TextEncoder().encode(text)) }
      : {},
  });
  const id = full ? PLAIN : { ...PLAIN, name: undefined };
  const columns = [id, list(ColumnType.ENUM, "e"), list(ColumnType.SET, "s")];
  return { db: "shop", table: "t", columns, key: full ? [0] : undefined, full };
}

/** The same table with COLUMN_TYPE's text of the members. */
function catalogOf(text: string, generated = false): CatalogTable {
  const column = (name: string, type: string, charset?: string) => ({
    name,
    type,
    charset,
    generated: generated && name !== "id",
  });
  return {
    columns: [
      column("id", "int"),
      column("e", `enum(${text})`, "utf8mb4"),
      column("s", `set(${text})`, "utf8mb4"),
    ],
    key: ["id"],
  };
}

/** What the servers, asked, wrote as COLUMN_TYPE for members; the same in every sql_mode. */
const MEMBERS: readonly (readonly [members: readonly string[], text: string])[] = [
  [["a\\b", "n\nn"], String.raw`'a\\b','n\nn'`],
  [["r\rr", "z\0z", "it's"], String.raw`'r\rr','z\0z','it''s'`],
  [["\t\b\x1a", 'q"q', "%_"], `'\t\b\x1a','q"q','%_'`],
  [["\\n", "\\\\", "\\'", ""], String.raw`'\\n','\\\\','\\''',''`],
  [["','", "'", "a,b", ")"], `''',''','''','a,b',')'`],
];

Deno.test("members of ENUM and SET come whole by the log's metadata and by the catalog's text", () => {
  for (const [members, text] of MEMBERS) {
    const catalog = catalogOf(text);
    const { id, columns } = schemaOfCatalog("shop", "t", catalog, false);
    for (const full of [true, false]) {
      const { schema, layout } = defineTable(mapOf(members, full), catalog, false);
      assert.deepEqual(schema.columns.map(({ type }) => type), columns.map(({ type }) => type));
      assert.equal(schema.id, id, `the id of ${text} as the snapshot has it`);
      const [, read_enum, read_set] = layout.readers;
      for (const [at, member] of members.entries()) {
        assert.equal(read_enum!(new BinlogReader(Uint8Array.of(at + 1))), member);
        assert.equal(read_set!(new BinlogReader(Uint8Array.of(1 << at))), member);
      }
    }
  }
});

Deno.test("generated columns are left out whatever their members hold", () => {
  for (const [members, text] of MEMBERS) {
    const { schema } = defineTable(mapOf(members, true), catalogOf(text, true), false);
    assert.deepEqual(schema.columns.map(({ name }) => name), ["id"], text);
  }
});

Deno.test("a member beyond the server's own character set has the catalog's type, and its own value", () => {
  const catalog = catalogOf("'?','a?'");
  const { schema, layout } = defineTable(mapOf(["😀", "a😀"], true), catalog, false);
  assert.equal(schema.id, schemaOfCatalog("shop", "t", catalog, false).id);
  assert.equal(layout.readers[1]!(new BinlogReader(Uint8Array.of(2))), "a😀");
});

Deno.test("any members are found again in their type", () => {
  const unit = fc.oneof(
    fc.constantFrom(..."\\'\n\r\0nr0,()\""),
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 })
      .filter((text) => text.codePointAt(0)! < 0x10000),
  );
  const lists = fc.array(fc.string({ unit, maxLength: 9 }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(lists, (members) => {
    const { schema } = defineTable(mapOf(members, true), undefined, false);
    for (const { type } of schema.columns.slice(1)) {
      assert.deepEqual(membersOfType(type), members, type);
    }
  }));
});

Deno.test("members that the catalog does not tell are refused where the log does not name them", () => {
  for (const text of ["x'0ff5c'", "'a',x'aab'", String.raw`'\x'`, "'a' 'b'", "'a',"]) {
    assert.throws(() => defineTable(mapOf([], false), catalogOf(text), false), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, /members of column "e" of table shop\.t.*enum\(/);
      return /binlog_row_metadata = FULL/.test(error.cure ?? "");
    }, text);
  }
  const other = { columns: catalogOf("'a'").columns.toReversed(), key: [] };
  assert.throws(() => defineTable(mapOf([], false), other, false), /Column 1 .* is int in the/);
});
