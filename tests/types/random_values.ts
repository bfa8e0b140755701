/** Random values as text, for any database. */
import type { Random } from "../../shared/seed/random.ts";

/** An integer of `bits` bits, two's complement when signed. */
export function integer(random: Random, bits: number, signed: boolean): bigint {
  const wide = BigInt(random.uint32()) << 32n | BigInt(random.uint32());
  const cut = wide >> BigInt(random.below(64)); // small ones are as likely as large ones
  return signed ? BigInt.asIntN(bits, random.below(2) ? -cut : cut) : BigInt.asUintN(bits, cut);
}

/** Digits with a point among them: at most `whole` before it, just `scale` after it. */
export function decimal(random: Random, whole: number, scale: number): string {
  const digits = (count: number) => Array.from({ length: count }, () => random.below(10)).join("");
  const sign = random.below(2) ? "-" : "";
  const units = digits(random.below(whole + 1)).replace(/^0+/, "") || (whole > 0 ? "0" : "");
  return `${sign}${units || "0"}${scale > 0 ? `.${digits(scale)}` : ""}`;
}

/** A finite double of any bits; of a float32's when `single`. Its text reads back to it. */
export function float(random: Random, single: boolean): string {
  const view = new DataView(new ArrayBuffer(8));
  for (;;) {
    view.setUint32(0, random.uint32());
    view.setUint32(4, random.uint32());
    const value = single ? view.getFloat32(0) : view.getFloat64(0);
    if (Number.isFinite(value)) return Object.is(value, -0) ? "-0" : String(value);
  }
}

const LETTERS = [
  ..."aZ09 _'\"\\,.;:{}[]()<>&%$#@!?*\t\n",
  "é",
  "ß",
  "雪",
  "中",
  "😀",
  "\u0301",
  "€",
];

/** Text that programs stumble over, of at most `length` characters; all from `letters` where given. */
export function text(random: Random, length: number, letters: readonly string[] = LETTERS): string {
  return Array.from({ length: random.below(length + 1) }, () => random.pick(letters)).join("");
}

/** At most `length` bytes in hexadecimal. */
export function hex(random: Random, length: number): string {
  return Array.from({ length: random.below(length + 1) }, () => hex2(random.below(256))).join("");
}

function hex2(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** `length` bits. */
export function bits(random: Random, length: number): string {
  return Array.from({ length }, () => random.below(2)).join("");
}

/** A JSON document. */
export function json(random: Random, depth = 3): string {
  switch (random.below(depth > 0 ? 8 : 6)) {
    case 0:
      return random.pick(["null", "true", "false"]);
    case 1:
      return String(integer(random, 64, true));
    case 2:
      return float(random, false).replace("-0", "0");
    case 3:
      return decimal(random, 20, 1 + random.below(10));
    case 4:
    case 5:
      return JSON.stringify(text(random, 12));
    case 6:
      return `[${list(random, () => json(random, depth - 1)).join(", ")}]`;
    default:
      return `{${
        list(random, () => `${JSON.stringify(random.pick(MEMBERS))}: ${json(random, depth - 1)}`)
          .join(", ")
      }}`;
  }
}

/** Names of members; few, so that a path meets one now and then. */
const MEMBERS = ["a", "b", "a b", 'q"', "ü", "1", "__proto__", "", "bb"];

/** A path into such a document, in SQL/JSON's words. */
export function jsonPath(random: Random): string {
  const leg = () =>
    random.below(2) ? `[${random.below(4)}]` : `.${JSON.stringify(random.pick(MEMBERS))}`;
  return `$${Array.from({ length: 1 + random.below(2) }, leg).join("")}`;
}

function list<T>(random: Random, make: (at: number) => T): T[] {
  return Array.from({ length: random.below(5) }, (_, at) => make(at));
}
