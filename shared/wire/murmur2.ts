/** The partitioner of the Java client: 32-bit murmur2 of the key, modulo the partition count. */

const SEED = 0x9747b28c | 0;
const M = 0x5bd1e995;
const R = 24;
const utf8 = new TextEncoder();

/**
 * murmur2 as the Java client computes it, a signed 32-bit integer.
 * Source: `Utils.murmur2` of org.apache.kafka.common.utils, whose test vectors hold here.
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const word = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
    hash = mix(hash, word);
  }
  const rest = length - at;
  if (rest === 3) hash ^= bytes[at + 2]! << 16;
  if (rest >= 2) hash ^= bytes[at + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, M);
  return finish(hash);
}

/** murmur2 of the UTF-8 bytes of `text`, without making the bytes while all are ASCII. */
export function murmur2Text(text: string): number {
  const length = text.length;
  let hash = SEED ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const a = text.charCodeAt(at);
    const b = text.charCodeAt(at + 1);
    const c = text.charCodeAt(at + 2);
    const d = text.charCodeAt(at + 3);
    if ((a | b | c | d) > 127) return murmur2(utf8.encode(text));
    hash = mix(hash, a | b << 8 | c << 16 | d << 24);
  }
  for (let i = at; i < length; i++) {
    if (text.charCodeAt(i) > 127) return murmur2(utf8.encode(text));
  }
  const rest = length - at;
  if (rest === 3) hash ^= text.charCodeAt(at + 2) << 16;
  if (rest >= 2) hash ^= text.charCodeAt(at + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ text.charCodeAt(at), M);
  return finish(hash);
}

/**
 * The partition (0 ... `partitions` - 1) that the Java client's default partitioner gives `key`;
 * text is hashed as UTF-8.
 */
export function partitionFor(key: string | Uint8Array, partitions: number): number {
  const hash = typeof key === "string" ? murmur2Text(key) : murmur2(key);
  return (hash & 0x7fffffff) % partitions;
}

function mix(hash: number, word: number): number {
  let k = Math.imul(word, M);
  k = Math.imul(k ^ k >>> R, M);
  return Math.imul(hash, M) ^ k;
}

function finish(hash: number): number {
  hash = Math.imul(hash ^ hash >>> 13, M);
  return hash ^ hash >>> 15;
}
