/** Log sequence numbers: byte positions in PostgreSQL's write-ahead log, 64 bits. */
import { RecordError } from "../errors.ts";

const TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads PostgreSQL's text form, `16/B374D848`. Throws RecordError for anything else. */
export function parseLsn(text: string): bigint {
  const halves = TEXT.exec(text);
  if (halves === null) {
    throw new RecordError(
      `Cannot read ${JSON.stringify(text.slice(0, 40))} as a log sequence number:` +
        ` expected two hexadecimal numbers of up to 8 digits joined by "/"`,
    );
  }
  return BigInt(parseInt(halves[1]!, 16)) << 32n | BigInt(parseInt(halves[2]!, 16));
}

/** PostgreSQL's text form of a log sequence number. */
export function formatLsn(lsn: bigint): string {
  const high = (lsn >> 32n).toString(16).toUpperCase();
  return `${high}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
