/** MySQL's VECTOR -> its elements. */
import { RecordError } from "../errors.ts";
import type { BinlogReader } from "./binlog_reader.ts";

const ELEMENT_BYTES = 4;

/** The float32s of a vector of `count` bytes: little-endian, one after another (`VECTOR` in the manual). */
export function readVector(reader: BinlogReader, count: number): number[] {
  if (count % ELEMENT_BYTES !== 0) throw new RecordError(`A VECTOR has ${count} bytes: not 4 each`);
  const end = reader.take(count) + count;
  reader.at -= count;
  const elements: number[] = [];
  while (reader.at < end) elements.push(reader.f32());
  return elements;
}
