/** A batch that outlives its handler. */
import type { InBatch } from "../../shared/kafka/port.ts";

/** A copy of the batch whose bytes are its own. */
export function keptBatch(batch: InBatch): InBatch {
  return {
    ...batch,
    records: batch.records.map(({ offset, size, key, value, timestamp_ms, headers }) => ({
      offset,
      size,
      key: key && new Uint8Array(key),
      value: value && new Uint8Array(value),
      timestamp_ms,
      headers: headers.map(([name, content]) => [name, new Uint8Array(content)] as const),
    })),
  };
}
