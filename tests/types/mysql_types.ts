/** The types of MySQL: values of each, and how the server tells their text. */
import type { Random } from "../../shared/seed/random.ts";
import { CHARSET_NAMES } from "../../shared/wire/mysql_charset.ts";
import { bits, decimal, float, hex, integer, json, jsonPath, text } from "./random_values.ts";
import { doubleForm, nestedForm, same, singleForm, type TypeCase } from "./type_case.ts";

type More = Partial<Omit<TypeCase, "type" | "values" | "any">>;

/** A type whose form is the server's text of it; values are SQL. */
function of(
  type: string,
  values: readonly string[],
  any?: (random: Random) => string,
  more: More = {},
): TypeCase {
  return {
    type,
    values,
    any,
    text: same,
    select: (column) => `CAST(${column} AS CHAR CHARACTER SET utf8mb4)`,
    ...more,
  };
}

/** `text` as a literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

// How the server tells them -----------------------------------------------------------------------

const NO_KEY: More = { key: false };
/** Without the zeros of ZEROFILL, which the log does not hold. */
const INTEGER: More = { select: (column) => `CAST(${column} + 0 AS CHAR)` };
/** As FLOAT the server rounds its text to six digits. */
const FLOAT: More = {
  select: (column) => `CAST(CAST(${column} AS DOUBLE) AS CHAR)`,
  text: singleForm,
};
const DOUBLE: More = { text: doubleForm };
const BYTES: More = { select: (column) => `LOWER(HEX(${column}))` };
const TEXT: More = { select: (column) => `CONVERT(${column} USING utf8mb4)` };
/** A date with a zero month or day has no ISO form and keeps the server's text. */
const hasZero = (text: string) => /^\d+-00|^\d+-\d+-00/.test(text);
const STAMP: More = { text: (text) => hasZero(text) ? text : text.replace(" ", "T") };
const ZONED: More = { text: (text) => hasZero(text) ? text : `${text.replace(" ", "T")}Z` };

function bitText(size: number): More {
  return { select: (column) => `LPAD(BIN(${column} + 0), ${size}, '0')` };
}

/** Float32s as the server keeps them, the lowest byte first. */
const VECTOR: More = {
  ...BYTES,
  ...NO_KEY,
  text: (server) =>
    nestedForm<string>(
      server.match(/.{8}/g) ?? [],
      (bytes) => Uint8Array.fromHex(bytes).reverse().toHex(),
    ),
};

// Random values -----------------------------------------------------------------------------------

const texts = (length: number) => (random: Random) => literal(text(random, length));
const bytes = (length: number) => (random: Random) => `x'${hex(random, length)}'`;
const repeated = (text: string) => (random: Random) => `REPEAT(${text}, ${random.below(3_000)})`;

function two(number: number): string {
  return String(number).padStart(2, "0");
}

function date(random: Random): string {
  return `${1 + random.below(9_999)}-${two(random.below(13))}-${two(random.below(29))}`
    .padStart(10, "0");
}

function clock(random: Random): string {
  const fraction = decimal(random, 0, 6).slice(-7);
  return `${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))}${fraction}`;
}

const stamp = (random: Random) => `'${date(random)} ${clock(random)}'`;
/** From 1970 to 2037, also in the hours that a change of summer time repeats or leaves out. */
const moment = (random: Random) =>
  `'${1971 + random.below(66)}-${two(1 + random.below(12))}-${two(1 + random.below(28))} ${
    clock(random)
  }'`;
const duration = (random: Random) =>
  `'${random.pick(["", "-"])}${random.below(838)}:${clock(random).slice(3)}'`;

function position(random: Random): string {
  return `POINT(${random.below(99)}.${random.below(9)}, ${float(random, true)})`;
}

/** As bytes: text of the smallest float32s is refused. */
function vector(random: Random): string {
  const elements = Array.from({ length: 1 + random.below(8) }, () => Number(float(random, true)));
  return `x'${new Uint8Array(new Float32Array(elements).buffer).toHex()}'`;
}

/** What the server logs in parts where binlog_row_value_options says so. */
function jsonChange(column: string, random: Random): string {
  const path = literal(jsonPath(random));
  const value = () => `CAST(${literal(json(random, 2))} AS JSON)`;
  switch (random.below(4)) {
    case 0:
      return `JSON_REMOVE(${column}, ${path})`;
    case 1:
      return `JSON_REPLACE(${column}, ${path}, ${value()})`;
    case 2:
      return `JSON_SET(${column}, ${path}, ${value()}, ${literal(jsonPath(random))}, ${value()})`;
    default:
      return `JSON_SET(${column}, ${path}, ${literal(text(random, 5))})`;
  }
}

// The types ---------------------------------------------------------------------------------------

const INTEGERS = ["tinyint", "smallint", "mediumint", "int", "bigint"].flatMap((type, at) => {
  const size = [8, 16, 24, 32, 64][at]!;
  const top = 1n << BigInt(size - 1);
  const any = (signed: boolean) => (random: Random) => String(integer(random, size, signed));
  return [
    of(type, [`${-top}`, `${top - 1n}`, "0", "-1"], any(true), INTEGER),
    of(`${type} unsigned`, [`${2n * top - 1n}`, "0", `${top}`], any(false), INTEGER),
  ];
});

const NUMBERS: readonly TypeCase[] = [
  ...INTEGERS,
  of(
    "bigint(20)",
    ["9007199254740991", "9007199254740992", "-9007199254740992"],
    undefined,
    INTEGER,
  ),
  of("tinyint(1)", ["1", "-3"], undefined, INTEGER),
  of("int(10) zerofill", ["42"], (random) => String(random.uint32()), INTEGER),
  of("smallint(5) unsigned zerofill", ["7"], undefined, INTEGER),
  of(
    "decimal(65,30)",
    [
      "-12345678901234567890123456789012345.123456789012345678901234567890",
      "-0.000000000000000000000000000001",
      "99999999999999999999999999999999999.5",
      "0",
    ],
    (random) => decimal(random, 35, 30),
  ),
  of("decimal(5,0)", ["-99999", "7", "-0"], (random) => decimal(random, 5, 0)),
  of("decimal(9,9)", ["0.000000001", "-0.999999999"], (random) => decimal(random, 0, 9)),
  of("decimal(12,2) unsigned", ["12.50", "9999999999.99"]),
  of("decimal(9,3) zerofill", ["0", "12.5"], undefined, {
    select: (column) => `CAST(CAST(${column} AS DECIMAL(9,3)) AS CHAR)`,
  }),
  of(
    "float",
    ["0.1", "-0e0", "3.402823e38", "16777217", "1e-40", "1e15"],
    (random) => float(random, true),
    FLOAT,
  ),
  of("float(7,3)", ["12.3456"], undefined, FLOAT),
  of(
    "double",
    ["0.1", "-0e0", "1e300", "5e-324", "1.7976931348623157e308", "123456789012345680", "1e15"],
    (random) => float(random, false),
    DOUBLE,
  ),
  of("double(10,4)", ["12345.67891"], undefined, DOUBLE),
  ...[1, 5, 11, 64].map((size) =>
    of(
      `bit(${size})`,
      ["b'1'", "b'0'", "~0"],
      (random) => `b'${bits(random, size)}'`,
      bitText(size),
    )
  ),
];

const TIMES: readonly TypeCase[] = [
  of(
    "date",
    ["'2026-11-21'", "'9999-12-31'", "'0000-00-00'", "'2026-11-00'", "'2026-00-00'"],
    (random) => `'${date(random)}'`,
  ),
  of("year", ["2026", "0", "1901", "2155"]),
  ...[0, 1, 2, 3, 4, 5, 6].flatMap((digits) => {
    const size = digits === 0 ? "" : `(${digits})`;
    const values = ["'2026-11-21 10:00:00.123456'", "'0000-00-00 00:00:00'"];
    const summer = ["'1970-01-01 05:30:01'", "'2037-12-31 23:59:59.9'", "'2026-03-29 02:30:00'"];
    return [
      of(
        `datetime${size}`,
        [...values, "'2026-00-21 01:02:03.5'", "'9999-12-31 23:59:59'"],
        stamp,
        STAMP,
      ),
      of(`timestamp${size}`, [...values, ...summer], moment, ZONED),
      of(
        `time${size}`,
        ["'-838:59:59'", "'838:59:59'", "'-00:00:00.654321'", "'12:34:56.789012'", "'00:00:00'"],
        duration,
      ),
    ];
  }),
];

const TEXTS: readonly TypeCase[] = [
  of("char(10)", ["'hé'", "''", "'spaces  '"], texts(10), TEXT),
  of("char(255)", ["REPEAT('ü', 255)"], texts(40), TEXT),
  of("varchar(20)", ["'naïve 雪 😀'", "'x  '", "'\\0\\n'", "''"], texts(20), TEXT),
  of("varchar(400)", ["REPEAT('ü', 400)"], texts(40), { ...TEXT, ...NO_KEY }),
  of("varchar(9) COLLATE utf8mb4_bin", ["'A'", "'a'"], texts(9), TEXT),
  of("tinytext", ["'ü'", "''"], texts(40), { ...TEXT, ...NO_KEY }),
  of("text", ["REPEAT('ü', 300)"], texts(40), { ...TEXT, ...NO_KEY }),
  of("mediumtext", ["REPEAT('雪', 30000)"], repeated("'é'"), { ...TEXT, ...NO_KEY }),
  of("longtext", ["REPEAT('x', 70000)"], repeated("'x'"), { ...TEXT, ...NO_KEY }),
  of("text CHARACTER SET cp1251", ["'снег'"], texts(9), { ...TEXT, ...NO_KEY }),
  ...CHARSET_NAMES.filter((name) => name !== "binary").map((name) =>
    of(
      `varchar(20) CHARACTER SET ${name}`,
      ["'abc \\\\ ~'", "'naïve € ß'", "'雪中文日本'", "'снег αβγ'"],
      texts(20),
      TEXT,
    )
  ),
  of("enum('a','it''s','ü','')", ["'it''s'", "3", "''", "'wrong'"], undefined, TEXT),
  of(
    String.raw`enum('a\\b','n\nn','r\rr','z\0z','\\n','😀')`,
    [String.raw`'a\\b'`, "2", "3", "4", "5", "6"],
    undefined,
    TEXT,
  ),
  of("enum('ü','b') CHARACTER SET latin1", ["'ü'"], undefined, TEXT),
  of(
    `enum(${Array.from({ length: 300 }, (_, at) => `'m${at}'`).join(",")})`,
    ["'m299'"],
    undefined,
    TEXT,
  ),
  of("set('a','b','ü')", ["'a,ü'", "''", "7"], undefined, TEXT),
  of(
    String.raw`set('a\\b','n\nn','r\rr','z\0z','\\n')`,
    [String.raw`'a\\b,r\rr'`, "31"],
    undefined,
    TEXT,
  ),
  of(
    `set(${Array.from({ length: 64 }, (_, at) => `'s${at}'`).join(",")})`,
    ["'s63,s0,s40'"],
    undefined,
    TEXT,
  ),
  of(
    "json",
    [
      literal('{"b": 1.0, "a": [null, "é\\n", 1e100, 12345678901234567890, -9223372036854775808]}'),
      "CAST(12.50 AS JSON)",
      `'"x"'`,
      "'null'",
      "'[0, 32767, 32768, 65536, 4294967296, -1, -32769, -2147483649, -0.0]'",
      "JSON_OBJECT('dec', CAST('12.50' AS DECIMAL(10,2)), 'at', CAST('2026-11-21 10:00:00.5' AS DATETIME(6))," +
      " 'd', CAST('2026-11-21' AS DATE), 't', CAST('-12:30:00.25' AS TIME(3)))",
      "JSON_OBJECT('bin', x'00ff', 'bit', b'101', 'blob', CAST(REPEAT('x', 200) AS BINARY))",
      "JSON_ARRAY(REPEAT('long', 5000), JSON_OBJECT('k', REPEAT('x', 70000)), 70000, -70000, TRUE)",
      `CAST(CONCAT('[', REPEAT('{"a": [1]},', 900), '1]') AS JSON)`,
    ],
    (random) => literal(json(random)),
    { ...NO_KEY, change: jsonChange },
  ),
];

const BINARIES: readonly TypeCase[] = [
  of("binary(5)", ["x'0102'", "x'0000000000'", "''"], bytes(5), BYTES),
  of("binary(255)", ["x'01'"], bytes(30), BYTES),
  of("varbinary(300)", ["x'0100'", "''"], bytes(30), BYTES),
  of("tinyblob", ["x'ff00'"], bytes(30), { ...BYTES, ...NO_KEY }),
  of("blob", ["x'ff00'", "''"], bytes(30), { ...BYTES, ...NO_KEY }),
  of("mediumblob", ["REPEAT(x'fe', 70000)"], repeated("x'00ff'"), { ...BYTES, ...NO_KEY }),
  of("longblob", ["REPEAT(x'fe', 70000)"], repeated("x'00ff'"), { ...BYTES, ...NO_KEY }),
  ...Object.entries({
    geometry: "POINT(1 2)",
    point: "POINT(1.5 -2)",
    linestring: "LINESTRING(1 2, 3 4)",
    polygon: "POLYGON((0 0, 1 0, 1 1, 0 0))",
    multipoint: "MULTIPOINT(1 2, 3 4)",
    multilinestring: "MULTILINESTRING((1 2, 3 4), (5 6, 7 8))",
    multipolygon: "MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))",
    geometrycollection: "GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(1 2, 3 4))",
  }).map(([type, text]) =>
    of(
      type,
      [`ST_GeomFromText('${text}')`, `ST_GeomFromText('${text}', 4326)`],
      type === "geometry" || type === "point" ? position : undefined,
      { ...BYTES, ...NO_KEY },
    )
  ),
  of("vector(3)", ["TO_VECTOR('[1,2.5,-3]')"], undefined, VECTOR),
  of("vector", ["TO_VECTOR('[0.1]')", "x'00000080cdcccc3d'"], vector, VECTOR),
];

/** All types. */
export const MYSQL_TYPES: readonly TypeCase[] = [...NUMBERS, ...TIMES, ...TEXTS, ...BINARIES];
