/** The types of PostgreSQL: values of each, and how the server tells their text. */
import type { Random } from "../../shared/seed/random.ts";
import { bits, decimal, float, hex, integer, json, text } from "./random_values.ts";
import { doubleForm, nestedForm, same, singleForm, type TypeCase } from "./type_case.ts";

/** What the types need to be there. They are written with their schema: the sessions have a search path of their own. */
export const DEFINITIONS: readonly string[] = [
  "CREATE EXTENSION citext SCHEMA public",
  "CREATE EXTENSION hstore SCHEMA public",
  "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'it''s \"so so\"', 'ü')",
  `CREATE TYPE public."Odd, Mood" AS ENUM ('a b', '')`,
  "CREATE TYPE public.pair AS (a int, b text)",
  "CREATE TYPE public.nested AS (p public.pair, at timestamptz, f float8, raw bytea, ms public.mood[])",
  "CREATE DOMAIN public.small AS int CHECK (VALUE < 10)",
  "CREATE DOMAIN public.smaller AS public.small",
  "CREATE DOMAIN public.flag AS boolean",
  "CREATE DOMAIN public.moment AS timestamptz(3)",
  "CREATE DOMAIN public.ratio AS float8",
  "CREATE DOMAIN public.amount AS numeric(9,2)",
  "CREATE DOMAIN public.raw AS bytea",
  "CREATE DOMAIN public.smalls AS int[]",
  "CREATE TYPE public.span AS RANGE (subtype = float8)",
  "CREATE TYPE public.own",
  "CREATE FUNCTION public.own_in(cstring) RETURNS public.own LANGUAGE internal IMMUTABLE STRICT AS 'textin'",
  "CREATE FUNCTION public.own_out(public.own) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'",
  "CREATE TYPE public.own (INPUT = public.own_in, OUTPUT = public.own_out, LIKE = text)",
];

/** A type of PostgreSQL. */
interface PostgresType extends TypeCase {
  /** SQL of values that wal2json writes null for; given where there are any. */
  readonly special?: readonly string[];
  /** False: there are no arrays of it. */
  readonly array?: boolean;
}

/** By what the server's own output function writes, of types that have no form of their own. */
function output(column: string): string {
  return `CASE num_nulls(${column}) WHEN 0 THEN concat(${column}) END`;
}

type More = Partial<Omit<PostgresType, "type" | "values" | "any">>;

/** A type whose form is the server's text; a value without quotes or a call is quoted text. */
function of(
  type: string,
  values: readonly string[],
  any?: (random: Random) => string,
  more: More = {},
): PostgresType {
  const sql = (value: string) => `CAST(${quoted(value)} AS ${type.replace(/ COLLATE .*/, "")})`;
  const { special } = more;
  return {
    type,
    select: output,
    text: same,
    values: values.map(sql),
    any: any && ((random) => sql(any(random))),
    ...more,
    ...special === undefined ? {} : { special: special.map(sql) },
  };
}

function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

const asText = (column: string) => `${column}::text`;
const asHex = (column: string) => `encode(${column}, 'hex')`;

// Forms of text that the type table changes -------------------------------------------------------

const isOwn = (text: string) => /infinity$| BC$/.test(text);
const iso = (text: string) => isOwn(text) ? text : text.replace(" ", "T");
const utc = (text: string) => isOwn(text) ? text : iso(text).replace(/\+00$/, "Z");
const hexOf = (text: string) => text.replace(/^\\x/, "");

const INTEGER: More = { select: asText };
const BOOLEAN: More = { select: asText };
const SINGLE: More = { select: asText, text: singleForm };
const DOUBLE: More = { select: asText, text: doubleForm };
const BYTES: More = { select: asHex, text: hexOf };
const STAMP: More = { text: iso };
const ZONED: More = { text: utc };
const NO_KEY: More = { key: false };

// Random values -----------------------------------------------------------------------------------

const ints = (bits: number) => (random: Random) => String(integer(random, bits, true));
const texts = (length: number) => (random: Random) => text(random, length);
const bytes = (random: Random) => `\\x${hex(random, 12)}`;
const floats = (single: boolean) => (random: Random) => float(random, single);
const numbers = (whole: number, scale: number) => (random: Random) => decimal(random, whole, scale);

/** A date from 4713 before Christ to beyond the year 9999. */
function date(random: Random): string {
  const year = random.pick([
    1 + random.below(4000),
    1900 + random.below(200),
    random.below(20_000) + 1,
  ]);
  const day = `${String(year).padStart(4, "0")}-${two(1 + random.below(12))}-${
    two(1 + random.below(28))
  }`;
  return random.below(9) === 0 && year < 4_000 ? `${day} BC` : day;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

function clock(random: Random): string {
  const fraction = random.below(2) ? `.${decimal(random, 0, 6).slice(-6)}` : "";
  return `${two(random.below(24))}:${two(random.below(60))}:${two(random.below(60))}${fraction}`;
}

function stamp(zone: boolean): (random: Random) => string {
  return (random) => {
    const [day, era = ""] = date(random).split(" ");
    const offset = zone ? random.pick(["+00", "+05:30", "-11", "+14"]) : "";
    return `${day} ${clock(random)}${offset} ${era}`.trim();
  };
}

function interval(random: Random): string {
  const part = (unit: string) => `${random.below(2_001) - 1_000} ${unit}`;
  const units = ["years", "mons", "days", "hours", "mins"].filter(() => random.below(2));
  const seconds = `${decimal(random, 4, 6)} secs`;
  return [...units.map(part), seconds].join(" ");
}

const point = (random: Random) => `(${decimal(random, 5, 2)},${float(random, false)})`;
const points = (random: Random) =>
  Array.from({ length: 2 + random.below(4) }, () => point(random)).join(",");

function uuid(random: Random): string {
  return Array.from({ length: 32 }, () => random.below(16).toString(16)).join("");
}

function address(random: Random): string {
  const octet = () => random.below(256);
  return random.below(2)
    ? `${octet()}.${octet()}.${octet()}.${octet()}/${1 + random.below(32)}`
    : `${octet().toString(16)}::${octet().toString(16)}/${random.below(129)}`;
}

function mac(bytes: number): (random: Random) => string {
  return (random) =>
    Array.from({ length: bytes }, () => random.below(256).toString(16).padStart(2, "0")).join(":");
}

/** A range of two values that `order` sorts, quoted as far as they need it. */
function range<T>(value: (random: Random) => T, order: (one: T, other: T) => number) {
  return (random: Random): string => {
    const [low, high] = [value(random), value(random)].sort(order);
    const [from, to] = [low, high].map((bound) => random.below(6) === 0 ? "" : `"${bound}"`);
    return `${random.pick([..."[("])}${from},${to}${random.pick([..."])"])}`.replace(
      /^\[(?=,)/,
      "(",
    );
  };
}

function multirange(range: (random: Random) => string): (random: Random) => string {
  return (random) => `{${Array.from({ length: random.below(4) }, () => range(random)).join(",")}}`;
}

const byNumber = (one: unknown, other: unknown) => Number(one) - Number(other);
const INT_RANGE = range((random) => integer(random, 31, true), byNumber);
const NUMBER_RANGE = range((random) => decimal(random, 9, random.below(4)), byNumber);
const DAY_RANGE = range(
  (random) => `2${two(random.below(99))}0-01-${two(1 + random.below(28))}`,
  byText,
);
const STAMP_RANGE = range((random) => `2${two(random.below(99))}0-01-01 ${clock(random)}`, byText);

function byText(one: string, other: string): number {
  return one < other ? -1 : 1;
}

// The types ---------------------------------------------------------------------------------------

const NUMBERS: readonly PostgresType[] = [
  of("smallint", ["-32768", "32767", "0"], ints(16), INTEGER),
  of("integer", ["-2147483648", "2147483647"], ints(32), INTEGER),
  of(
    "bigint",
    [
      "-9223372036854775808",
      "9223372036854775807",
      "9007199254740991",
      "9007199254740992",
      "9007199254740993",
      "-9007199254740992",
    ],
    ints(64),
    INTEGER,
  ),
  of(
    "numeric",
    ["12.50", "0", "0.000", "-0.10", "1e-30", "123456789012345678901234567890.5"],
    (random) => decimal(random, 40, random.below(30)),
    {
      special: ["NaN", "Infinity", "-Infinity"],
    },
  ),
  of("numeric(12,3)", ["12.5", "-0.001"], numbers(9, 3), { special: ["NaN"] }),
  of("numeric(5,-2)", ["12345", "-77"], numbers(6, 0), { special: [] }),
  of(
    "real",
    ["0.1", "-0", "3.4028235e38", "16777217", "1e-45", "1e15", "123456.78"],
    floats(true),
    {
      ...SINGLE,
      special: ["NaN", "Infinity", "-Infinity"],
    },
  ),
  of(
    "double precision",
    [
      "0.1",
      "-0",
      "1e300",
      "5e-324",
      "1.7976931348623157e308",
      "123456789012345680",
      "1e15",
      "1e16",
    ],
    floats(false),
    { ...DOUBLE, special: ["NaN", "Infinity", "-Infinity"] },
  ),
  of("money", ["12.34", "-0.01", "1234567.5", "92233720368547758.07"], numbers(12, 2)),
  of("boolean", ["true", "false"], undefined, BOOLEAN),
];

const TEXTS: readonly PostgresType[] = [
  of("text", [
    "",
    "naïve 'q' \\ 雪 😀",
    "line\nbreak\ttab\r",
    "NULL",
    '{"x"}',
    "\u0001\u007f\u0085",
  ], texts(40)),
  of("character varying(20)", ["x", "a  ", ""], texts(20)),
  of("character(5)", ["ab", "", "é"], texts(5)),
  of('text COLLATE "C"', ["b", "A"], texts(9), { array: false }),
  of('"char"', ["x", "", "\\", '"'], (random) => random.pick([..."azAZ09,{}"])),
  of("name", ["n", 'Mixed "q"'], texts(20)),
  of("bytea", ["\\x00ff10", "\\x", "\\x5c5c00"], bytes, BYTES),
  of("uuid", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], uuid),
  of("json", ['{"a": 1.0,  "b":[], "a": 12345678901234567890}', '"x"', " null"], json, NO_KEY),
  of("jsonb", ['{"b": 1.0, "a": null, "1e3": 1e3}', '"x"', "1.10", "null"], json),
  of("jsonpath", ['$."a b"[*] ? (@ > 1)'], undefined, NO_KEY),
  of("xml", ["<a b='c'>é&amp;</a>", "text", ""], undefined, NO_KEY),
  of("tsvector", ["a:1A b:2 'it''s'", ""], (random) => text(random, 20, [..."ab ü"])),
  of("tsquery", ["!b & 'c d':A*"], undefined),
  of("public.citext", ["MiXed", ""], texts(9)),
  of("public.hstore", ['a=>1, "b \\"c"=>NULL, ""=>""', ""], (random) => `k=>${random.below(99)}`),
  of("public.own", ["it's", "a,b"], texts(9), NO_KEY),
];

const TIMES: readonly PostgresType[] = [
  of("date", [
    "2026-11-21",
    "infinity",
    "-infinity",
    "0044-03-15 BC",
    "10000-01-01",
    "5874897-12-31",
  ], date),
  of("time", ["23:59:59.999999", "24:00", "00:00"], clock),
  of("time(3)", ["10:00:00.5"], clock),
  of(
    "timetz",
    ["10:00+05:30", "10:00:00.5-12", "24:00+00"],
    (random) => `${clock(random)}+0${random.below(10)}`,
  ),
  of(
    "timestamp",
    [
      "2026-11-21 10:00:00.123456",
      "infinity",
      "-infinity",
      "0044-03-15 12:00 BC",
      "20000-01-01",
      "0001-01-01",
      "294276-12-31 23:59:59.999999",
      "4713-11-24 BC",
    ],
    stamp(false),
    STAMP,
  ),
  of("timestamp(3)", ["2026-11-21 10:00:00.1235", "infinity"], stamp(false), STAMP),
  of(
    "timestamptz",
    [
      "2026-11-21 10:00:00.5+02",
      "2026-03-29 02:30:00 Europe/Amsterdam",
      "infinity",
      "-infinity",
      "0044-03-15 12:00+00 BC",
      "12026-11-21 10:00+00",
    ],
    stamp(true),
    ZONED,
  ),
  of("timestamptz(0)", ["2026-11-21 10:00:00.5+02"], stamp(true), ZONED),
  of(
    "interval",
    ["1 year -2 mons 3 days -04:05:06.7", "0", "178000000 years", "-00:00:00.000001"],
    interval,
  ),
  of("interval(0)", ["1.5 secs"], interval),
  of("interval year to month", ["1 year 2 mons"]),
];

const PLACES: readonly PostgresType[] = [
  of("bit(5)", ["10101", "00000"], (random) => bits(random, 5)),
  of("bit varying", ["", "1", "0"], (random) => bits(random, random.below(70))),
  of("inet", ["10.0.0.1/8", "::1", "192.168.0.1"], address),
  of("cidr", ["10.0.0.0/8", "2001:db8::/32"]),
  of("macaddr", ["08:00:2b:01:02:03"], mac(6)),
  of("macaddr8", ["08:00:2b:01:02:03:04:05"], mac(8)),
  of("point", ["(1.5,-2)", "(NaN,Infinity)"], point, NO_KEY),
  of("line", ["{1,2,3}"], undefined, NO_KEY),
  of("lseg", ["[(1,2),(3,4)]"], (random) => `[${point(random)},${point(random)}]`, NO_KEY),
  of("box", ["(1,2),(3,4)"], (random) => `${point(random)},${point(random)}`, NO_KEY),
  of("path", ["[(0,0),(1,1)]", "((0,0),(1,1))"], (random) => `[${points(random)}]`, NO_KEY),
  of("polygon", ["((0,0),(1,1),(2,0))"], (random) => `(${points(random)})`, NO_KEY),
  of("circle", ["<(1,2),3.5>"], (random) => `<${point(random)},${random.below(9)}>`, NO_KEY),
];

const RANGES: readonly PostgresType[] = [
  of("int4range", ["[1,5)", "empty", "(,)"], INT_RANGE),
  of("int8range", ["[1,9223372036854775806]"], INT_RANGE),
  of("numrange", ["[1.10,2.0]", "(,NaN]"], NUMBER_RANGE),
  of("daterange", ["[2026-01-01,infinity)"], DAY_RANGE),
  of("tsrange", ['["2026-01-01 10:00",)'], STAMP_RANGE),
  of("tstzrange", ['["2026-01-01 10:00+02","2026-01-02 10:00+02")'], STAMP_RANGE),
  of("int4multirange", ["{[1,2),[4,9)}", "{}"], multirange(INT_RANGE)),
  of("int8multirange", ["{[1,2)}"], multirange(INT_RANGE)),
  of("nummultirange", ["{[1.0,2],(3,)}"], multirange(NUMBER_RANGE)),
  of("datemultirange", ["{[2026-01-01,2026-02-01)}"], multirange(DAY_RANGE)),
  of("tsmultirange", ["{}"], multirange(STAMP_RANGE)),
  of("tstzmultirange", ["{[2026-01-01 10:00+02,)}"], multirange(STAMP_RANGE)),
  of("public.span", ["[0.1,1e300]", "(,-0)"]),
];

/** Object identifiers, and types of the server's own bookkeeping that a column may have. */
const SYSTEM: readonly PostgresType[] = [
  of("oid", ["4294967295", "0"], (random) => String(random.uint32()), INTEGER),
  of("regclass", ["pg_catalog.pg_class", "public.pair"]),
  of("regtype", ["public.mood", "timestamp with time zone"]),
  of("regproc", ["pg_catalog.now", "public.own_in"]),
  of("regprocedure", ["public.own_in(cstring)"]),
  of("regoper", ["pg_catalog.||/"]),
  of("regoperator", ["pg_catalog.+(integer,integer)"]),
  of("regcollation", ['pg_catalog."C"']),
  of("regnamespace", ["public"]),
  of("regrole", ["pg_monitor"]),
  of("regconfig", ["pg_catalog.english"]),
  of("regdictionary", ["pg_catalog.simple"]),
  of("int2vector", ["1 2 3"], undefined, NO_KEY),
  of("oidvector", ["1 4294967295"]),
  of("tid", ["(1,2)"]),
  of("xid", ["4294967295"], undefined, NO_KEY),
  of("cid", ["7"], undefined, NO_KEY),
  of("xid8", ["18446744073709551615"]),
  of("pg_lsn", ["16/B374D848", "0/0"]),
  of("txid_snapshot", ["10:20:10,14"], undefined, NO_KEY),
  of("pg_snapshot", ["10:20:10,14"], undefined, NO_KEY),
  of("refcursor", ["c"], undefined, NO_KEY),
  of("aclitem", ["pg_monitor=r/pg_monitor"], undefined, NO_KEY),
];

const USERS: readonly PostgresType[] = [
  of("public.mood", ["sad", 'it\'s "so so"', "ü"]),
  of('public."Odd, Mood"', ["a b", ""]),
  of("public.pair", ['(1,"a b")', "(,)", '(,"")', '(2,"q""\\\\")']),
  of("public.nested", [
    '("(1,x)","2026-11-21 10:00+02",0.1,"\\\\x00ff","{ok,sad}")',
    "(,,NaN,,)",
  ]),
  of("public.small", ["5", "-1"], undefined, INTEGER),
  of("public.smaller", ["6"], undefined, INTEGER),
  of("public.flag", ["true", "false"], undefined, BOOLEAN),
  of("public.moment", ["2026-11-21 10:00:00.5+02", "infinity"], stamp(true), ZONED),
  of("public.ratio", ["0.1", "-0", "NaN", "-Infinity"], floats(false), DOUBLE),
  of("public.amount", ["0.50", "-12.5", "NaN"], numbers(7, 2)),
  of("public.raw", ["\\x00ff"], bytes, BYTES),
  of("public.smalls", ["{1,2}", "{{1,NULL},{3,4}}"], undefined, {
    array: false,
    ...elements(INTEGER),
  }),
];

/** How arrays of such elements are told: their bounds, then the elements one after another. */
function elements({ select = output, text = same }: More): Required<Pick<More, "select" | "text">> {
  return {
    select: (column) =>
      `CASE num_nulls(${column}) WHEN 0 THEN concat(array_dims(${column}), '=',` +
      ` (SELECT json_agg(${select("e")}) FROM (SELECT unnest(${column}) AS e) u)) END`,
    text(server) {
      const [, bounds = "", list = ""] = /^([^=]*)=(.*)$/s.exec(server)!;
      const lengths = [...bounds.matchAll(/\[(-?\d+):(-?\d+)\]/g)].map(([, low, high]) =>
        Number(high) - Number(low) + 1
      );
      const items = JSON.parse(list || "[]") as (string | null)[];
      const nested = lengths.slice(1).reduceRight<unknown[]>(
        (flat, length) => chunks(flat, length),
        items,
      );
      return nestedForm<string>(nested, text);
    },
  };
}

function chunks<T>(items: readonly T[], length: number): T[][] {
  return Array.from(
    { length: items.length / length },
    (_, at) => items.slice(at * length, (at + 1) * length),
  );
}

const SCALARS = [...NUMBERS, ...TEXTS, ...TIMES, ...PLACES, ...RANGES, ...SYSTEM, ...USERS];

/** The array of a type: of one and two dimensions, with null, and empty. */
function arrayOf(element: PostgresType): PostgresType {
  const type = `${element.type}[]`;
  const values = [...element.values, ...element.special ?? []];
  const array = (...items: string[]) => `CAST(ARRAY[${items.join(", ")}] AS ${type})`;
  const { any } = element;
  const one = (random: Random) =>
    any && random.below(2) ? any(random) : random.pick([...values, "NULL"]);
  return {
    type,
    values: [
      array(...values, "NULL"),
      array(`ARRAY[${values[0]}, NULL]`, `ARRAY[${values.at(-1)}, ${values[0]}]`),
      `CAST('{}' AS ${type})`,
    ],
    any: (random) => array(...Array.from({ length: random.below(4) }, () => one(random))),
    ...elements(element),
    ...element.key === undefined ? {} : { key: element.key },
  };
}

/** Arrays whose indexes do not begin at 1. The bounds are not carried, so as keys they would be one. */
const BOUNDS: PostgresType = of(
  "bigint[]",
  ["[0:1]={7,8}", "[-1:0][2:3]={{1,2},{3,4}}"],
  undefined,
  {
    ...elements(INTEGER),
    ...NO_KEY,
  },
);

/** All types, arrays of them included; `wal2json`: with what that plugin can carry. */
export function postgresTypes({ wal2json }: { readonly wal2json: boolean }): TypeCase[] {
  const arrays = SCALARS.filter(({ array }) => array !== false).map(arrayOf);
  const types = [...SCALARS, ...arrays, BOUNDS];
  return types.map(({ special, ...type }) =>
    wal2json
      ? special === undefined ? type : { ...type, nullable: false }
      : { ...type, values: [...type.values, ...special ?? []] }
  );
}

/** Types of pg_catalog that no column of a user's table holds values of. */
export const WITHOUT_VALUES: readonly string[] = [
  "gtsvector", // the inside of an index
  "pg_brin_bloom_summary",
  "pg_brin_minmax_multi_summary",
  "pg_dependencies", // statistics, which have no input
  "pg_mcv_list",
  "pg_ndistinct",
  "pg_node_tree",
];
