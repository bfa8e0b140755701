/** Rows of a query's answer, as the simple protocol sends them: text (documentation, "Message Formats"). */
import { RecordError } from "../errors.ts";
import type { Value } from "../change.ts";
import type { WireReader } from "./postgres_reader.ts";
import type { Conversion } from "./postgres_value.ts";

const NULL = -1;

/** The values of a DataRow message in column order. Throws RecordError when it does not fit the columns. */
export function readDataRow(message: WireReader, columns: readonly Conversion[]): Value[] {
  const count = message.u16();
  if (count !== columns.length) {
    throw new RecordError(
      `The server answered with ${count} columns where ${columns.length} were asked for`,
    );
  }
  const row: Value[] = new Array(count);
  for (let index = 0; index < count; index++) {
    const length = message.i32();
    if (length === NULL) {
      row[index] = null;
      continue;
    }
    message.need(length >>> 0);
    const from = message.at;
    message.at = from + length;
    row[index] = columns[index]!.fromBytes(message.bytes, from, message.at);
  }
  message.finish("data row");
  return row;
}
