/** Every code of every character set of a server: our text is the server's. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BinlogReader } from "../shared/wire/binlog_reader.ts";
import { charsetByName, type TextReader } from "../shared/wire/mysql_charset.ts";

/** Asks the server; cells as text. */
type Ask = (sql: string) => Promise<string[][]>;

/** Codes of so many bytes, as SQL that makes one's hexadecimal digits of a number `n` of 16 bits, and which numbers. */
const CODES: Readonly<Record<number, readonly [digits: string, where: string]>> = {
  1: ["LPAD(HEX(n), 2, '0')", "n < 256"],
  2: ["LPAD(HEX(n), 4, '0')", "n > 32768"],
  3: ["CONCAT('8F', LPAD(HEX(n), 4, '0'))", "n > 32768"], // EUC's; no other set has such
};

/**
 * Compares all codes that the server takes for one character of a set. UTF-8, -16 and -32 are left
 * to random values. The session must be strict: no text for bytes that are no code.
 */
export async function compareCharsets(ask: Ask): Promise<void> {
  const bytes =
    "(WITH RECURSIVE r AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 255) SELECT n FROM r)";
  await ask("CREATE TEMPORARY TABLE numbers (n SMALLINT UNSIGNED PRIMARY KEY)");
  await ask(`INSERT INTO numbers SELECT a.n * 256 + b.n FROM ${bytes} a, ${bytes} b`);
  const names = await ask("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS");
  assert.ok(names.length >= 40, `${names.length} character sets`);
  for (const [name] of names) {
    const { read, max_bytes } = charsetByName(name!);
    if (/^(utf|ucs|binary)/.test(name!)) continue;
    const sizes = name === "gb18030" ? [1, 2] : [1, 2, 3].slice(0, max_bytes);
    for (const size of sizes) await compareCodes(ask, name!, read, size);
    if (name === "gb18030") await compareFourBytes(ask, read);
  }
  await ask("DROP TEMPORARY TABLE numbers");
}

async function compareCodes(
  ask: Ask,
  name: string,
  read: TextReader,
  size: number,
): Promise<void> {
  const [digits, where] = CODES[size]!;
  const code = `UNHEX(${digits})`;
  const rows = await ask(
    `SELECT ${digits}, CONVERT(CONVERT(${code} USING ${name}) USING utf8mb4) FROM numbers WHERE ${where}`,
  );
  let compared = 0;
  for (const [hex, text] of rows) {
    if (text === null || text === "?" || [...text!].length !== 1) continue; // no such character
    const raw = Buffer.from(hex!, "hex");
    assert.equal(read(new BinlogReader(raw), raw.length), text, `${name} ${hex}`);
    compared++;
  }
  assert.ok(compared > 100, `${name}: ${compared} characters of ${size} bytes`);
}

/** A million and a half codes: asked for as long texts, one for each lead byte. */
async function compareFourBytes(ask: Ask, read: TextReader): Promise<void> {
  const between = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const [lead, digit] = [between(0x81, 0xfe), between(0x30, 0x39)];
  let compared = 0;
  for (const a of lead) {
    const codes = digit.flatMap((b) => lead.flatMap((c) => digit.map((d) => [a, b, c, d])));
    const hex = Buffer.from(codes.flat()).toString("hex");
    const [[text]] = await ask(
      `SELECT CONVERT(CONVERT(X'${hex}' USING gb18030) USING utf8mb4)`,
    ) as [[string]];
    const characters = [...text];
    assert.equal(characters.length, codes.length);
    const known = codes.filter((_, i) => characters[i] !== "?");
    const raw = Buffer.from(known.flat());
    const expected = characters.filter((character) => character !== "?").join("");
    const found = read(new BinlogReader(raw), raw.length);
    if (found !== expected) failAtFirst(known, [...found], [...expected]);
    compared += known.length;
  }
  assert.ok(compared > 1_000_000, `${compared} characters of 4 bytes`);
}

function failAtFirst(codes: readonly number[][], found: string[], expected: string[]): never {
  const at = codes.findIndex((_, i) => found[i] !== expected[i]);
  const code = Buffer.from(codes[at]!).toString("hex");
  assert.fail(`gb18030 ${code}: ${JSON.stringify([found[at], expected[at]])}`);
}
