/** WebAssembly that stands in the code as text, and beside it as a binary. */
import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import wabt from "wabt";

/** Fails, printing what should stand in the code, when `binary` is not what `shared/wire/<name>.wat` says. */
export async function checkBinary(name: string, binary: Buffer): Promise<void> {
  const file = new URL(`../../../shared/wire/${name}.wat`, import.meta.url);
  const features = { simd: true, bulk_memory: true };
  const module = (await wabt()).parseWat(`${name}.wat`, Deno.readTextFileSync(file), features);
  const { buffer } = module.toBinary({});
  assert.equal(binary.toString("base64"), buffer.toBase64());
}
