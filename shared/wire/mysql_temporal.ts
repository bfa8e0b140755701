/** MySQL's binary dates and times -> text, with the fraction digits that the column declares. */
import { RecordError } from "../errors.ts";
import type { BinlogReader } from "./binlog_reader.ts";

const pad2 = Array.from({ length: 100 }, (_, i) => String(i).padStart(2, "0"));
const pad4 = (value: number) => String(value).padStart(4, "0");

/** The fraction as text with its point: 0 to 6 digits, stored in half as many bytes, rounded up. */
function readFraction(reader: BinlogReader, digits: number): string {
  if (digits === 0) return "";
  return fraction(reader.beUint((digits + 1) >> 1), digits);
}

// An odd number of digits is stored with one digit more, which is 0.
function fraction(stored: number, digits: number): string {
  const text = String(stored).padStart(digits + (digits & 1), "0");
  return "." + text.slice(0, digits);
}

/** `YYYY-MM-DD` of the 17 date bits: year·13 + month, and 5 bits of day. */
export function dateText(bits: bigint): string {
  const date = Number(bits);
  const months = date >> 5;
  return `${pad4(Math.floor(months / 13))}-${pad2[months % 13]}-${pad2[date & 31]}`;
}

/** `YYYY-MM-DD hh:mm:ss` of the 39 bits of a packed DATETIME, with `fraction` appended. */
export function datetimeText(bits: bigint, fraction: string): string {
  const time = Number(bits & 0x1_ffffn);
  return `${dateText(bits >> 17n)} ${clock(time)}${fraction}`;
}

/** `[-]hh:mm:ss` of a packed TIME, with `fraction` appended. */
export function timeText(negative: boolean, bits: number, fraction: string): string {
  const hours = (bits >> 12) & 0x3ff;
  return `${negative ? "-" : ""}${hours < 100 ? pad2[hours] : hours}:${pad2[(bits >> 6) & 63]}:${
    pad2[bits & 63]
  }${fraction}`;
}

function clock(bits: number): string {
  return `${pad2[bits >> 12]}:${pad2[(bits >> 6) & 63]}:${pad2[bits & 63]}`;
}

/** DATE, 3 bytes: `2026-11-21`; zero dates keep their zeros. */
export function readDate(reader: BinlogReader): string {
  const bits = reader.u24();
  return `${pad4(bits >> 9)}-${pad2[(bits >> 5) & 15]}-${pad2[bits & 31]}`;
}

/**
 * DATETIME(digits), 5 bytes and fraction: ISO 8601 `2026-11-21T10:00:00.123456`.
 * A date with a zero month or day has no ISO form: it is the server's own text, with a space.
 */
export function readDatetime(reader: BinlogReader, digits: number): string {
  const high = reader.beUint(3); // sign bit, 17 bits of year and month, 5 of day, 1 of the hour
  const low = reader.beUint(2);
  if ((high & 0x80_0000) === 0) throw new RecordError("A DATETIME is negative");
  const months = (high >> 6) & 0x1_ffff;
  const year = Math.floor(months / 13);
  const month = months - year * 13;
  const day = (high >> 1) & 31;
  const hour = ((high & 1) << 4) | (low >> 12);
  return `${pad4(year)}-${pad2[month]}-${pad2[day]}${month === 0 || day === 0 ? " " : "T"}${
    pad2[hour]
  }:${pad2[(low >> 6) & 63]}:${pad2[low & 63]}${readFraction(reader, digits)}`;
}

/**
 * TIMESTAMP(digits), 4 bytes and fraction, in UTC: `2026-11-21T10:00:00.123456Z`.
 * The zero timestamp is the server's own text `0000-00-00 00:00:00`.
 */
export function readTimestamp(reader: BinlogReader, digits: number): string {
  const seconds = reader.beUint(4);
  const fraction = readFraction(reader, digits);
  if (seconds === 0) return `0000-00-00 00:00:00${fraction}`;
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
}

/** TIME(digits), 3 bytes and fraction: the server's own text, `-838:59:59.000000`. */
export function readTime(reader: BinlogReader, digits: number): string {
  // Seconds and fraction are one number, offset by half its range, so that negative ones sort.
  const fraction_bytes = (digits + 1) >> 1;
  const scale = 256 ** fraction_bytes;
  const packed = reader.beUint(3 + fraction_bytes) - 0x80_0000 * scale;
  const size = Math.abs(packed);
  const bits = Math.floor(size / scale);
  return timeText(packed < 0, bits, digits === 0 ? "" : fraction(size % scale, digits));
}

/** YEAR, 1 byte: `2026`; the zero year is `0000`. */
export function readYear(reader: BinlogReader): string {
  const year = reader.u8();
  return year === 0 ? "0000" : String(1900 + year);
}
