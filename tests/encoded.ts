/** A change as a capture writes it on Kafka. */
import type { Change } from "../shared/change.ts";
import type { Format } from "../shared/formats/format.ts";
import { keyText } from "../shared/formats/key.ts";
import { ByteArena } from "../shared/wire/byte_arena.ts";

/** Key and value of a change's record, in memory of their own. */
export function encoded(format: Format, change: Change): { key: string; value: Uint8Array } {
  const arena = new ByteArena();
  arena.begin();
  format.encode(change, arena);
  return { key: keyText(change), value: arena.end() };
}
