/** Names of tables and columns that hurt. */

/** Names that both databases take; no two of them differ in case or accents alone. */
const COMMON: readonly string[] = [
  "1",
  "0x",
  "__proto__",
  "constructor",
  "toString",
  "select",
  "table",
  "null",
  "true",
  "MixedCase",
  "dot.ted",
  'quo"te',
  "a`b",
  "it's",
  "back\\slash",
  "com,ma",
  "sp ace",
  "star*",
  "question?",
  "$1",
  "%s",
  "{name}",
  "[0]",
  "-dash",
  "col:on",
  "new\nline",
  "tab\t",
  "größe",
  "雪",
  "снег",
  "position",
  "before",
];

/** At most 63 bytes of UTF-8. */
export const NAMES_OF_POSTGRES: readonly string[] = [
  ...COMMON,
  "emoji😀",
  "Select",
  "GRÖSSE",
  " blanks ",
  "x".repeat(63),
  `y${"ü".repeat(31)}`,
];

/** At most 64 characters of three bytes, and no blank at the end. */
export const NAMES_OF_MYSQL: readonly string[] = [
  ...COMMON.filter((name) => !name.endsWith("\t")),
  " blank",
  "x".repeat(64),
  "ü".repeat(64),
];
