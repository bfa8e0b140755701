/**
 * Where in a source's history a change stands. The text form has fixed width, so that string order
 * is source order: `generation-major-minor-row`, each in hexadecimal.
 */

/** The parts of a position. */
export interface Position {
  /** Rises where history breaks; at least the Unix second at which it began. */
  readonly generation: number;
  /** PostgreSQL: commit LSN. MySQL: number of the binlog file. */
  readonly major: bigint;
  /** PostgreSQL: LSN of the change. MySQL: end position of the event in its file. */
  readonly minor: bigint;
  /** Index of the record among those of the same `minor`. */
  readonly row: number;
}

/** Length of the text form. */
export const POSITION_LENGTH = 8 + 1 + 16 + 1 + 16 + 1 + 8;

const TEXT = /^([0-9a-f]{8})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{8})$/;

/** Whether a text is the text form of a position. */
export function isPosition(text: string): boolean {
  return TEXT.test(text);
}

/** The same for the text that stands at `at` in bytes. */
export function isPositionAt(bytes: Uint8Array, at: number): boolean {
  if (at + POSITION_LENGTH > bytes.length) return false;
  for (let index = 0; index < POSITION_LENGTH; index++) {
    const byte = bytes[at + index]!;
    const isDash = index === 8 || index === 25 || index === 42;
    if (isDash ? byte !== DASH : !isHexadecimal(byte)) return false;
  }
  return true;
}

const DASH = 0x2d;

function isHexadecimal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39 || byte >= 0x61 && byte <= 0x66;
}

/** `value` in hexadecimal with 8 digits. */
export function hex8(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** `value` in hexadecimal with 16 digits. */
export function hex16(value: bigint | number): string {
  return value.toString(16).padStart(16, "0");
}

/** The text form of a position. */
export function formatPosition(position: Position): string {
  return `${hex8(position.generation)}-${hex16(position.major)}-${hex16(position.minor)}-${
    hex8(position.row)
  }`;
}

/** Reads the text form; throws a `RangeError` that names the text when it is not a position. */
export function parsePosition(text: string): Position {
  const parts = TEXT.exec(text);
  if (parts === null) {
    throw new RangeError(
      `Cannot read ${
        JSON.stringify(text)
      } as a position: expected 8, 16, 16 and 8 hexadecimal digits joined by "-"`,
    );
  }
  return {
    generation: parseInt(parts[1]!, 16),
    major: BigInt(`0x${parts[2]}`),
    minor: BigInt(`0x${parts[3]}`),
    row: parseInt(parts[4]!, 16),
  };
}

/** Whether a position stands before any log, where a generation begins with truncates. */
export function beginsGeneration(text: string): boolean {
  return text.startsWith(`-${hex16(0)}-${hex16(0)}-`, 8);
}
