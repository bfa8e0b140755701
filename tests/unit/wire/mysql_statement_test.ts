import assert from "node:assert/strict";
import fc from "fast-check";
import { readStatement } from "../../../shared/wire/mysql_statement.ts";

const KINDS: readonly (readonly [text: string, kind: string])[] = [
  ["BEGIN", "begin"],
  ["COMMIT", "end"],
  ["ROLLBACK", "end"],
  ["ROLLBACK TO `s`", "inside"],
  ["SAVEPOINT `s`", "inside"],
  ["XA START X'78',X'',1", "xa_start"],
  ["XA END X'78',X'',1", "inside"],
  ["XA COMMIT X'78',X'',1", "end"],
  ["XA ROLLBACK X'78',X'',1", "end"],
  ["INSERT INTO t VALUES (1)", "dml"],
  ["/* app */ -- really\n update t set a = 1", "dml"],
  ["(REPLACE INTO t SELECT 1)", "dml"],
  ["WITH x AS (SELECT 1) DELETE FROM t", "dml"],
  ["CREATE TABLE t (a INT DEFAULT 1)", "ddl"],
  ["CREATE TABLE t (a VARCHAR(20) DEFAULT 'select')", "ddl"],
  ["CREATE TABLE `select` (a INT)", "ddl"],
  ["CREATE TABLE t AS SELECT 1", "dml"],
  ["CREATE TABLE `t` (\n  `a` int\n) START TRANSACTION", "create_with_rows"],
  ["ALTER TABLE t TRUNCATE PARTITION p", "ddl"],
  ["CREATE USER x IDENTIFIED BY 'y'", "ddl"],
  ["", "ddl"],
  ["/*M!100100 UPDATE t SET a = 1 */", "dml"],
  ["SET STATEMENT a=1, b='x FOR y', c=\"''\" FOR insert INTO t VALUES (1)", "dml"],
  ["SET STATEMENT a=1 FOR CREATE OR REPLACE TABLE t AS SELECT 1", "dml"],
  ["CREATE OR REPLACE TABLE t (a INT)", "ddl"],
  ["SET DEFAULT ROLE x FOR y", "ddl"],
  ["SELECT `shop`.`writes`()", "dml"],
  [`SET STATEMENT a=${"'".repeat(20_001)}`, "ddl"],
];

Deno.test("a statement's first words tell what it means for rows", () => {
  for (const [text, kind] of KINDS) assert.equal(readStatement(text, "db").kind, kind, text);
});

const TRUNCATES: readonly (readonly [text: string, db: string, table: string])[] = [
  ["TRUNCATE t", "shop", "t"],
  ["truncate table t;", "shop", "t"],
  ["TRUNCATE TABLE other.t", "other", "t"],
  ["/* x */ TRUNCATE/* y */TABLE `a``b`.`c d` -- bye", "a`b", "c d"],
  ['TRUNCATE "a""b"', "shop", 'a"b'],
  ["TRUNCATE`t`", "shop", "t"],
  ["TRUNCATE TABLE`t`", "shop", "t"],
  ["TRUNCATE tablet", "shop", "tablet"],
  ["TRUNCATE TABLE `a.b`", "shop", "a.b"],
  ["TRUNCATE TABLE größe", "shop", "größe"],
  ["/*!40000 TRUNCATE TABLE t */", "shop", "t"],
];

Deno.test("TRUNCATE names its table however it is written", () => {
  for (const [text, db, table] of TRUNCATES) {
    assert.deepEqual(readStatement(text, "shop"), { kind: "truncate", db, table }, text);
  }
});

Deno.test("any name is found again when it is quoted", () => {
  fc.assert(fc.property(fc.string({ minLength: 1, unit: "binary" }), (name) => {
    const text = `TRUNCATE TABLE \`${name.replaceAll("`", "``")}\``;
    assert.deepEqual(readStatement(text, "db"), { kind: "truncate", db: "db", table: name });
  }));
});

Deno.test("statements that may change rows of a table are told apart from others", () => {
  for (
    const text of [
      "ALTER TABLE t ADD a INT",
      "DROP TABLE t",
      "RENAME TABLE a TO b",
      "DROP DATABASE x",
    ]
  ) {
    assert.deepEqual(readStatement(text, ""), { kind: "ddl", table: true }, text);
  }
  for (const text of ["ALTER USER x", "DROP VIEW v", "GRANT ALL ON *.* TO x"]) {
    assert.deepEqual(readStatement(text, ""), { kind: "ddl", table: false }, text);
  }
});
