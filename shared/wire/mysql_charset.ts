/** MySQL's character sets: which one a collation belongs to, and bytes → text. */
import { RecordError } from "../errors.ts";
import { type BinlogReader, decodeText } from "./binlog_reader.ts";
import { codedReader } from "./mysql_coded_sets.ts";

/** Reads `count` bytes as text. */
export type TextReader = (reader: BinlogReader, count: number) => string;

/** A character set. */
export interface Charset {
  readonly name: string;
  /** Longest character, bytes: a VARCHAR(n) of it is declared with n times as many bytes. */
  readonly max_bytes: number;
  readonly read: TextReader;
}

const whole: TextReader = (reader, count) => reader.utf8(count);

/** Character sets whose bytes below 0x80 are ASCII, through one of the platform's decoders. */
function labelled(name: string, label: string): TextReader {
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  return (reader, count) => reader.ascii(count) ?? decodeText(decoder, reader.view(count), name);
}

/** The same, where the server differs from the Encoding Standard in some characters: theirs → the server's. */
function corrected(
  name: string,
  label: string,
  characters: Readonly<Record<string, string>>,
): TextReader {
  const read = labelled(name, label);
  const differing = new RegExp(`[${Object.keys(characters).join("")}]`, "g");
  return (reader, count) =>
    reader.ascii(count) ?? read(reader, count).replace(differing, (char) => characters[char]!);
}

const C1_CONTROLS = Object.fromEntries(
  Array.from({ length: 32 }, (_, i) => [0x80 + i, String.fromCharCode(0x80 + i)]),
);

/** One character a byte, through a table: the platform's decoder with the server's differences by byte. */
function byTable(label: string, differences: Readonly<Record<number, string>>): TextReader {
  const decoder = new TextDecoder(label);
  const characters = Array.from(
    { length: 256 },
    (_, byte) => differences[byte] ?? decoder.decode(Uint8Array.of(byte)),
  );
  return (reader, count) =>
    reader.ascii(count) ??
      Array.from(reader.view(count), (byte) => characters[byte]!).join("");
}

function latin1(): TextReader {
  // MySQL's latin1 is cp1252 with the five undefined bytes as C1 controls, as the Encoding Standard has it.
  const decoder = new TextDecoder("windows-1252");
  return (reader, count) => reader.latin1(count) ?? decoder.decode(reader.view(count));
}

function ascii(): TextReader {
  return (reader, count) => {
    const text = reader.ascii(count);
    if (text !== undefined) return text;
    throw new RecordError(`Cannot read ${count} bytes as ascii: one of them is 0x80 or more`);
  };
}

function utf16(name: string, label: string): TextReader {
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  return (reader, count) => decodeText(decoder, reader.view(count), name);
}

const utf32: TextReader = (reader, count) => {
  if (count % 4 !== 0) throw new RecordError(`Cannot read ${count} bytes as utf32: not 4 each`);
  let text = "";
  for (let i = 0; i < count; i += 4) {
    const point = reader.beUint(4);
    if (point > 0x10ffff) {
      throw new RecordError(`Cannot read 0x${point.toString(16)} as a utf32 character`);
    }
    text += String.fromCodePoint(point);
  }
  return text;
};

/** Bytes as they are, for the few places that ask for text of a binary column. */
const binary: TextReader = (reader, count) => reader.utf8(count);

const SJIS_DIFFERENCES = {
  "＼": "\\",
  "～": "〜",
  "∥": "‖",
  "－": "−",
  "￠": "¢",
  "￡": "£",
  "￢": "¬",
};

const C1 = Object.values(C1_CONTROLS).join("");

/** The server's characters for the bytes from 0x80 on; "?" where it has none. */
const HIGH_HALVES = {
  armscii8: C1 + "\u00a0❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէ" +
    "ԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’'",
  cp850: "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐" +
    "└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0",
  cp852: "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐" +
    "└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u00ad˝˛ˇ˘§÷¸°¨˙űŘř■\u00a0",
  dec8: C1 + "\u00a0¡¢£?¥?§¤©ª«????°±²³?µ¶·?¹º»¼½?¿" +
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ?ÑÒÓÔÕÖŒØÙÚÛÜŸ?ßàáâãäåæçèéêëìíîï?ñòóôõöœøùúûüÿ??",
  geostd8: "€?‚?„…†‡?‰?‹?????‘’“”•–—???›????\u00a0¡¢£¤¥¦§¨©ª«¬\u00ad®¯°±²³´µ¶·¸¹º»¼½¾¿" +
    "აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ???????????????????????№??",
  hp8: C1 + "\u00a0ÀÂÈÊËÎÏ´ˋˆ¨˜ÙÛ₤¯Ýý°ÇçÑñ¡¿¤£¥§ƒ¢" +
    "âêôûáéóúàèòùäëöüÅîØÆåíøæÄìÖÜÉïßÔÁÃãÐðÍÌÓÒÕõŠšÚŸÿÞþ·µ¶¾—¼½ªº«■»±?",
  keybcs2: "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0",
  macce: "ÄĀāÉĄÖÜáąČäčĆćéŹźĎíďĒēĖóėôöõúĚěü†°Ę£§•¶ß®©™ę¨≠ģĮįĪ≤≥īĶ∂∑łĻļĽľĹĺŅ" +
    "ņŃ¬√ńŇ∆«»…\u00a0ňŐÕőŌ–—“”‘’÷◊ōŔŕŘ‹›řŖŗŠ‚„šŚśÁŤťÍŽžŪÓÔūŮÚůŰűŲųÝýķŻŁżĢˇ",
} as const;

/** One character a byte, by those tables. */
function byHighHalf(name: keyof typeof HIGH_HALVES): TextReader {
  const high = Array.from(HIGH_HALVES[name]);
  const character = (byte: number): string => {
    const found = byte < 0x80 ? String.fromCharCode(byte) : high[byte - 0x80]!;
    if (found !== "?" || byte === 0x3f) return found;
    throw new RecordError(
      `Cannot read the byte 0x${byte.toString(16)} as ${name}: it is no character`,
    );
  };
  return (reader, count) =>
    reader.ascii(count) ?? Array.from(reader.view(count), character).join("");
}

/** Sweden's ISO 646: ASCII with letters in the place of some signs. */
const SWE7_LETTERS: Readonly<Record<string, string>> = {
  "@": "É",
  "[": "Ä",
  "\\": "Ö",
  "]": "Å",
  "^": "Ü",
  "`": "é",
  "{": "ä",
  "|": "ö",
  "}": "å",
  "~": "ü",
};

function swe7(): TextReader {
  const read = ascii();
  return (reader, count) =>
    read(reader, count).replace(/[@[\\\]^`{|}~]/g, (sign) => SWE7_LETTERS[sign]!);
}

const CHARSETS: Readonly<Record<string, readonly [max_bytes: number, read: () => TextReader]>> = {
  armscii8: [1, () => byHighHalf("armscii8")],
  ascii: [1, ascii],
  big5: [2, () => codedReader("big5")],
  binary: [1, () => binary],
  cp1250: [1, () => labelled("cp1250", "windows-1250")],
  cp1251: [1, () => labelled("cp1251", "windows-1251")],
  cp1256: [1, () => labelled("cp1256", "windows-1256")],
  cp1257: [1, () => labelled("cp1257", "windows-1257")],
  cp850: [1, () => byHighHalf("cp850")],
  cp852: [1, () => byHighHalf("cp852")],
  cp866: [1, () => byTable("ibm866", { 0xfc: "ⁿ", 0xfd: "²" })],
  cp932: [2, () => labelled("cp932", "shift_jis")],
  dec8: [1, () => byHighHalf("dec8")],
  eucjpms: [3, () => codedReader("eucjpms")],
  euckr: [2, () => labelled("euckr", "euc-kr")],
  gb18030: [4, () => codedReader("gb18030")],
  gb2312: [2, () => corrected("gb2312", "gbk", { "·": "・", "—": "―" })],
  gbk: [2, () => labelled("gbk", "gbk")],
  geostd8: [1, () => byHighHalf("geostd8")],
  greek: [1, () => byTable("iso-8859-7", { 0xa1: "ʽ", 0xa2: "ʼ" })],
  hebrew: [1, () => byTable("iso-8859-8", { 0xaf: "‾" })],
  hp8: [1, () => byHighHalf("hp8")],
  keybcs2: [1, () => byHighHalf("keybcs2")],
  koi8r: [1, () => labelled("koi8r", "koi8-r")],
  koi8u: [1, () => byTable("koi8-u", { 0x95: "•", 0xae: "╝", 0xbe: "╬" })],
  latin1: [1, latin1],
  latin2: [1, () => labelled("latin2", "iso-8859-2")],
  latin5: [1, () => byTable("windows-1254", C1_CONTROLS)],
  latin7: [1, () => labelled("latin7", "iso-8859-13")],
  macce: [1, () => byHighHalf("macce")],
  macroman: [1, () => labelled("macroman", "macintosh")],
  sjis: [2, () => corrected("sjis", "shift_jis", SJIS_DIFFERENCES)],
  swe7: [1, swe7],
  tis620: [1, () => byTable("windows-874", { ...C1_CONTROLS, 0xa0: "\ufffd" })],
  ucs2: [2, () => utf16("ucs2", "utf-16be")],
  ujis: [3, () => codedReader("ujis")],
  utf16: [4, () => utf16("utf16", "utf-16be")],
  utf16le: [4, () => utf16("utf16le", "utf-16le")],
  utf32: [4, () => utf32],
  utf8mb3: [3, () => whole],
  utf8mb4: [4, () => whole],
};

/** Names of all character sets. */
export const CHARSET_NAMES: readonly string[] = Object.keys(CHARSETS);

/**
 * First and last id of the collations of each character set; from information_schema.COLLATIONS of
 * MySQL, and from COLLATION_CHARACTER_SET_APPLICABILITY of MariaDB, whose own are 576 to 738 and the
 * blocks of 256 from 2048 on.
 */
const COLLATIONS: Readonly<Record<string, readonly (number | readonly [number, number])[]>> = {
  armscii8: [32, 64],
  ascii: [11, 65],
  big5: [1, 84],
  binary: [63],
  cp1250: [26, 34, 44, 66, 99],
  cp1251: [14, 23, [50, 52]],
  cp1256: [57, 67],
  cp1257: [29, [58, 59]],
  cp850: [4, 80],
  cp852: [40, 81],
  cp866: [36, 68],
  cp932: [[95, 96]],
  dec8: [3, 69],
  eucjpms: [[97, 98]],
  euckr: [19, 85],
  gb18030: [[248, 250]],
  gb2312: [24, 86],
  gbk: [28, 87],
  geostd8: [[92, 93]],
  greek: [25, 70],
  hebrew: [16, 71],
  hp8: [6, 72],
  keybcs2: [37, 73],
  koi8r: [7, 74],
  koi8u: [22, 75],
  latin1: [5, 8, 15, 31, [47, 49], 94],
  latin2: [2, 9, 21, 27, 77],
  latin5: [30, 78],
  latin7: [20, [41, 42], 79],
  macce: [38, 43],
  macroman: [39, 53],
  sjis: [13, 88],
  swe7: [10, 82],
  tis620: [18, 89],
  ucs2: [35, 90, [128, 151], 159, [640, 642], [2560, 2815]],
  ujis: [12, 91],
  utf16: [[54, 55], [101, 124], [672, 674], [2816, 3071]],
  utf16le: [56, 62],
  utf32: [[60, 61], [160, 183], [736, 738], [3072, 3327]],
  utf8mb3: [33, 76, 83, [192, 215], 223, [576, 578], [2048, 2303]],
  utf8mb4: [
    ...[[45, 46], [224, 247], [255, 271], [273, 275], [277, 294], [296, 298], 300, [303, 323]],
    ...[[608, 610], [2304, 2559]],
  ] as const,
};

const NOPAD = 1024;

/** The collation id of the pseudo character set `binary`. */
export const BINARY_COLLATION = 63;

const known = new Map<string, Charset>();

/** What MySQL before 8.0.28 and MariaDB before 10.6 call utf8mb3, in information_schema too. */
const OLD_UTF8MB3 = "utf8";

/** The character set of that name; throws RecordError for a name that MySQL does not have. */
export function charsetByName(name: string): Charset {
  if (name === OLD_UTF8MB3) return charsetByName("utf8mb3");
  const found = known.get(name);
  if (found !== undefined) return found;
  const entry = Object.hasOwn(CHARSETS, name) ? CHARSETS[name] : undefined;
  if (entry === undefined) throw new RecordError(`No character set has the name ${name}`);
  const charset = { name, max_bytes: entry[0], read: entry[1]() };
  known.set(name, charset);
  return charset;
}

/** The character set that a collation id belongs to; throws RecordError for an unknown id. */
export function charsetOf(collation: number): Charset {
  const name = collationCharset.get(collation);
  if (name !== undefined) return charsetByName(name);
  // MariaDB's collations that do not pad have the padding ones' ids and this more.
  if (collation > NOPAD && collation < 2 * NOPAD) return charsetOf(collation - NOPAD);
  throw new RecordError(`No collation with id ${collation} is known`, {
    cure:
      "give the column one that information_schema.COLLATIONS of MySQL 9.7 or MariaDB 10.11 has",
  });
}

const collationCharset = new Map<number, string>();
for (const [name, ids] of Object.entries(COLLATIONS)) {
  for (const id of ids) {
    const [first, last] = typeof id === "number" ? [id, id] : id;
    for (let i = first; i <= last; i++) collationCharset.set(i, name);
  }
}
