/**
 * MySQL's character sets of several bytes a character that the platform's decoders know, but for some
 * codes: those have the server's own characters here. The tables are what its CONVERT says of all
 * codes, which the tests of the sources ask again.
 */
import { type BinlogReader, decodeText } from "./binlog_reader.ts";

/** How a set is read. */
interface CodedSet {
  /** The Encoding Standard's name of the decoder. */
  readonly label: string;
  /** How many bytes the character that begins at `at` has. */
  readonly sizeAt: (bytes: Uint8Array, at: number) => number;
  /** The server's characters from a code on, a code being its bytes as one number. */
  readonly own: readonly (readonly [code: number, characters: string])[];
}

/** Lead byte of the characters of three bytes in EUC. */
const SS3 = 0x8f;

const eucSize = (bytes: Uint8Array, at: number) =>
  bytes[at]! === SS3 ? 3 : bytes[at]! < 0x80 ? 1 : 2;

/** EUC's rows for characters of users: the private use area from U+E000 on, 94 to a row. */
function userRows(): (readonly [number, string])[] {
  return [0, SS3 << 16].flatMap((prefix, plane) =>
    Array.from({ length: 10 }, (_, row) => {
      const first = 0xe000 + (plane * 10 + row) * 94;
      const points = Array.from({ length: 94 }, (_, cell) => first + cell);
      return [prefix | 0xf5a1 + (row << 8), String.fromCharCode(...points)] as const;
    })
  );
}

/** The sets by their names at the server. */
const CODED_SETS = {
  big5: {
    label: "big5",
    sizeAt: (bytes, at) => bytes[at]! < 0x80 ? 1 : 2,
    own: [
      [0xa145, "•"],
      [0xa14e, "､"],
      [0xa15a, "\ufffd"],
      [0xa1c2, "‾\ufffd"],
      [0xa1c5, "\ufffd"],
      [0xa1e3, "∼"],
      [0xa1f2, "♁☉"],
      [0xa1fe, "\ufffd"],
      [0xa240, "\ufffd／＼"],
      [0xa244, "¥"],
      [0xa246, "¢£"],
      [0xa2cc, "\ufffd"],
      [0xa2ce, "\ufffd"],
      [
        0xc6a1,
        "ヾゝゞ々ぁあぃいぅうぇえぉおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづてでとどな" +
        "にぬねのはばぱひびぴふぶぷへべぺほぼぽまみむめもゃやゅゆょよらりるれろゎわゐゑをんァアィイゥ" +
        "ウェ",
      ],
      [
        0xc740,
        "エォオカガキギクグケゲコゴサザシジスズセゼソゾタダチヂッツヅテデトドナニヌネノハバパヒビピフ" +
        "ブプヘベペホボポマミムメモャヤュユ",
      ],
      [
        0xc7a1,
        "ョヨラリルレロヮワヰヱヲンヴヵヶДЕЁЖЗИЙКЛМУФХЦЧШЩЪЫЬЭЮЯабвгдеё" +
        "жзийклмнопрстуфхцчшщъыьэюя①②③④⑤⑥⑦⑧⑨⑩⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽",
      ],
    ],
  },
  eucjpms: {
    label: "euc-jp",
    sizeAt: eucSize,
    own: [
      ...userRows(),
      [0x8fa2c3, "￤"],
      [0x8ff3f3, "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ"],
      [
        0x8ff4a1,
        "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞" +
        "猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼館馞髙魲" +
        "鶴黑",
      ],
    ],
  },
  gb18030: {
    label: "gb18030",
    sizeAt: (bytes, at) => bytes[at]! < 0x80 ? 1 : bytes[at + 1]! < 0x40 ? 4 : 2,
    own: [
      [0xa3a0, "\ue5e5"],
      [0xa6d9, "\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793"],
      [0xa6ec, "\ue794\ue795"],
      [0xa6f3, "\ue796"],
      [0xfe59, "\ue81e"],
      [0xfe61, "\ue826"],
      [0xfe66, "\ue82b\ue82c"],
      [0xfe6d, "\ue832"],
      [0xfe7e, "\ue843"],
      [0xfe90, "\ue854"],
      [0xfea0, "\ue864"],
    ],
  },
  ujis: {
    label: "euc-jp",
    sizeAt: eucSize,
    own: [
      ...userRows(),
      [0xa1c0, "\\〜‖"],
      [0xa1dd, "−"],
      [0xa1f1, "¢£"],
      [0xa2cc, "¬"],
      [0x8fa2b7, "~"],
    ],
  },
} as const satisfies Record<string, CodedSet>;

/** Reads `count` bytes of a set as text; throws RecordError for bytes that are no character. */
export function codedReader(name: keyof typeof CODED_SETS) {
  const { label, sizeAt, own }: CodedSet = CODED_SETS[name];
  const decoder = new TextDecoder(label, { fatal: true, ignoreBOM: true });
  const characters = new Map(
    own.flatMap(([code, text]) => Array.from(text, (character, i) => [code + i, character])),
  );
  return (reader: BinlogReader, count: number): string => {
    const ascii = reader.ascii(count);
    if (ascii !== undefined) return ascii;
    const bytes = reader.view(count);
    let text = "";
    let read = 0; // what stands before is in `text`
    for (let at = 0; at < count;) {
      const size = sizeAt(bytes, at);
      let code = 0;
      for (let i = at; i < at + size; i++) code = code * 256 + (bytes[i] ?? 0);
      const character = characters.get(code);
      if (character !== undefined) {
        text += decodeText(decoder, bytes.subarray(read, at), name) + character;
        read = at + size;
      }
      at += size;
    }
    return text + decodeText(decoder, bytes.subarray(read), name);
  };
}
