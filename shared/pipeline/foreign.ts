/** Tells a change in another format than the job's from bytes that are no change at all. */
import type { Format, Stamp } from "../formats/format.ts";
import { type FormatName, formats } from "../formats/mod.ts";
import type { InRecord } from "../kafka/port.ts";
import { isPosition } from "../position.ts";

/** The other format in which a record is a change; undefined: in none that is known. */
export async function otherFormat(
  record: InRecord,
  { name: own }: Format,
): Promise<FormatName | undefined> {
  for (const name of Object.keys(formats) as FormatName[]) {
    if (name === own) continue;
    const { format } = await formats[name]();
    if (isStamped(record, format)) return name;
  }
  return undefined;
}

function isStamped(record: InRecord, format: Format): boolean {
  let stamp: Stamp | undefined;
  try {
    stamp = format.stamp(record);
  } catch {
    return false;
  }
  return stamp !== undefined && isPosition(stamp.position);
}
