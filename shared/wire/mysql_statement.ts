/** What a statement in the binlog means for a capture: told by its first words. */

/** A statement, as far as a capture cares. */
export type Statement =
  /** A transaction begins. */
  | { readonly kind: "begin" }
  /** A transaction of a table without transactions ends, or one is taken back. */
  | { readonly kind: "end" }
  /** The rows that follow belong to an XA transaction, whose end is not known yet. */
  | { readonly kind: "xa_start" }
  /** Part of a transaction without meaning for rows: savepoints, XA END. */
  | { readonly kind: "inside" }
  /** Rows were changed by a statement instead of row events. */
  | { readonly kind: "dml"; readonly verb: string }
  | { readonly kind: "truncate"; readonly db: string; readonly table: string }
  /** A TRUNCATE whose table cannot be told. */
  | { readonly kind: "unreadable_truncate" }
  /** Tables are gone, with their rows. */
  | { readonly kind: "drop"; readonly tables: readonly TableName[] }
  /** CREATE TABLE ... SELECT: row events and a commit follow. */
  | { readonly kind: "create_with_rows" }
  /** `table`: it may change the definition of a table, or its rows without row events. */
  | { readonly kind: "ddl"; readonly table: boolean };

/** A table by its database and name. */
export interface TableName {
  readonly db: string;
  readonly table: string;
}

const DML = new Set([
  "INSERT",
  "UPDATE",
  "DELETE",
  "REPLACE",
  "LOAD",
  "WITH",
  "CALL",
  "DO",
  "TABLE",
  "VALUES",
  "SELECT", // a call of a function that writes
]);

/** Characters of a statement that are looked at: what tells its kind stands at its start. */
const LOOKED_AT = 65_536;

/** MariaDB's settings for one statement, which stands after them. */
const SET_STATEMENT =
  /^\s*SET\s+STATEMENT\s(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^'"])*?\sFOR\s/is;

/** Reads a statement that ran in database `db`; `mariadb`: on such a server. */
export function readStatement(text: string, db: string, mariadb = false): Statement {
  if (text === "BEGIN") return { kind: "begin" }; // nearly every transaction
  const bare = stripComments(text.slice(0, LOOKED_AT), mariadb).replace(SET_STATEMENT, "");
  const [, verb = "", second = ""] =
    /^[\s(]*([a-z]+)\s*([a-z]*)/i.exec(bare)?.map((word) => word.toUpperCase()) ?? [];
  switch (verb) {
    case "BEGIN":
      return { kind: "begin" };
    case "START":
      return second === "TRANSACTION" ? { kind: "begin" } : { kind: "ddl", table: false };
    case "COMMIT":
      return { kind: "end" };
    case "ROLLBACK":
      return /^\s*ROLLBACK\s+(WORK\s+)?TO\b/i.test(bare) ? { kind: "inside" } : { kind: "end" };
    case "SAVEPOINT":
    case "RELEASE":
      return { kind: "inside" };
    case "XA":
      if (second === "START" || second === "BEGIN") return { kind: "xa_start" };
      return { kind: second === "END" ? "inside" : "end" };
    case "TRUNCATE":
      return truncated(bare, db);
    case "CREATE":
      return created(bare, text);
    case "DROP": {
      const tables = dropped(bare, db);
      if (tables !== undefined) return { kind: "drop", tables };
      return { kind: "ddl", table: isAboutTables(bare) };
    }
    case "ALTER":
    case "RENAME":
      return { kind: "ddl", table: isAboutTables(bare) };
  }
  return DML.has(verb) ? { kind: "dml", verb } : { kind: "ddl", table: false };
}

function isAboutTables(text: string): boolean {
  return /^\s*\w+\s+((ONLINE|OFFLINE|IGNORE)\s+)*(TABLES?|DATABASE|SCHEMA|INDEX)\b/i.test(text);
}

function created(text: string, whole: string): Statement {
  const table = /^\s*CREATE\s+(OR\s+REPLACE\s+)?(TEMPORARY\s+)?TABLE\b/i.exec(text);
  if (table === null) return { kind: "ddl", table: false };
  if (/\bSTART\s+TRANSACTION\s*;?\s*$/i.test(whole.slice(-100))) {
    return { kind: "create_with_rows" };
  }
  const unquoted = text.replace(/'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`/gs, " ");
  return /\bSELECT\b/i.test(unquoted)
    ? { kind: "dml", verb: "CREATE TABLE ... SELECT" }
    : { kind: "ddl", table: table[1] !== undefined };
}

// A no-break space is left out: with some clients' character sets it is white space.
const LETTER = String.raw`[0-9A-Za-z$_\u0080-\u009f\u00a1-\uffff]`;
const NAME = String.raw`(\`(?:[^\`]|\`\`)+\`|"(?:[^"]|"")+"|${LETTER}+)`;
const SPACE = String.raw`[\t-\r ]`;
/** What MariaDB lets stand after the table; the storage in its Oracle mode. */
const CLAUSES = [String.raw`NOWAIT|WAIT${SPACE}+[-+.0-9A-Z]+`, `(?:DROP|REUSE)${SPACE}+STORAGE`]
  .map((clause) => `(?:${SPACE}*(?<!${LETTER})(?:${clause}))?`).join("");
const TRUNCATE = new RegExp(
  String.raw`^${SPACE}*TRUNCATE(?:${SPACE}+TABLE(?=${SPACE}|[\`"])${SPACE}*|${SPACE}+|(?=[\`"]))` +
    String
      .raw`(?:\.${SPACE}*)?${NAME}(?:${SPACE}*\.${SPACE}*${NAME})?${CLAUSES}(?:${SPACE}|[;\0])*$`,
  "i",
);

function truncated(text: string, db: string): Statement {
  const parts = TRUNCATE.exec(text);
  if (parts === null) return { kind: "unreadable_truncate" };
  const [first, second] = [
    unquote(parts[1]!),
    parts[2] === undefined ? undefined : unquote(parts[2]),
  ];
  if (`${first}${second}`.includes(UNREADABLE)) return { kind: "unreadable_truncate" };
  return second === undefined
    ? { kind: "truncate", db, table: first }
    : { kind: "truncate", db: first, table: second };
}

/** Stands where bytes are no characters. */
const UNREADABLE = "\ufffd";

const DROP = /^\s*DROP\s+TABLES?(?=[\s`"])\s*(?:IF\s+EXISTS(?=[\s`"]))?/i;
const DROPPED = new RegExp(
  String.raw`\s*${NAME}(?:\s*\.\s*${NAME})?\s*(,|$|;|RESTRICT|CASCADE)`,
  "iy",
);

/** The tables of DROP TABLE, which the server writes itself; undefined: another statement. */
function dropped(text: string, db: string): TableName[] | undefined {
  const head = DROP.exec(text);
  if (head === null) return undefined;
  const tables: TableName[] = [];
  DROPPED.lastIndex = head[0].length;
  for (let sign: string | undefined = ","; sign === ",";) {
    const parts = DROPPED.exec(text);
    if (parts === null) return undefined;
    const [first, second] = [parts[1]!, parts[2]].map((name) => name && unquote(name));
    tables.push(second === undefined ? { db, table: first! } : { db: first!, table: second });
    sign = parts[3];
  }
  return tables;
}

function unquote(name: string): string {
  const sign = name[0];
  if (sign !== "`" && sign !== '"') return name;
  return name.slice(1, -1).replaceAll(sign + sign, sign);
}

const QUOTED = String.raw`('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|\`(?:[^\`]|\`\`)*\`)`;
const PLAIN_COMMENT = String.raw`\/\*.*?\*\/|\*\/|--(?=[\0-\x20\x7f\xa0]|$)[^\n]*|#[^\n]*`;
/** The beginnings of what MySQL runs, and what MariaDB does, with the version from which on. */
const MYSQL_COMMENTS = new RegExp(
  String.raw`${QUOTED}|\/\*!(?:\d{5}(?:\d(?=\s))?)?|${PLAIN_COMMENT}`,
  "gs",
);
const MARIADB_COMMENTS = new RegExp(
  String.raw`${QUOTED}|\/\*M?!(?:\d{5,6})?|${PLAIN_COMMENT}`,
  "gs",
);

/** The text without comments outside of quotes; what the server runs of them is kept. */
function stripComments(text: string, mariadb: boolean): string {
  return text.replace(
    mariadb ? MARIADB_COMMENTS : MYSQL_COMMENTS,
    (_all, quoted: string | undefined) => quoted ?? " ",
  );
}
