/** What formats say of records that they cannot read. */
import { OPS } from "../change.ts";
import { RecordError } from "../errors.ts";
import type { InRecord } from "../kafka/port.ts";

/** The cure of what is no change in the job's format. */
export const FORMAT_CURE = "set the job's `format` to the one that the topic was written with";

/** So much of what cannot be read stands in an error. */
const SHOWN_CHARACTERS = 100;

/** Text that cannot be read, for an error. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_CHARACTERS));
}

/** The error for a record that is no change in `format`, with its place. */
export function refusal(
  format: string,
  { offset }: InRecord,
  why: string,
  cause?: unknown,
): RecordError {
  return new RecordError(
    `Cannot read the record at offset ${offset} as a change in format ${format}: ${why}`,
    { cure: FORMAT_CURE, cause },
  );
}

/** Why a record with another op is refused; `op` is JSON. */
export function unknownOp(op: string): string {
  return `its op is ${op}, not one of ${OPS.join(", ")}`;
}
