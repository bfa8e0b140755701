/** What fuzz tests share: how often, which bytes, and what counts as surviving. */
import fc from "fast-check";

/** Inputs of each test; `deno task fuzz` asks for more. */
export const RUNS = Number(Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? 2_000);

/** Bytes that look like something: small counts, text, and runs of the extremes. */
export const byte = fc.oneof(
  { weight: 3, arbitrary: fc.nat(8) },
  { weight: 2, arbitrary: fc.integer({ min: 32, max: 126 }) },
  { weight: 2, arbitrary: fc.nat(255) },
  fc.constantFrom(0, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff),
);
export const bytes = fc.array(byte, { maxLength: 200 }).map((list) => Uint8Array.from(list));

/** `good` with a few bytes changed, some put in and some cut out. */
export function damaged(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const wound = fc.record({
    at: fc.nat(good.length),
    cut: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(9)),
    put: fc.array(byte, { maxLength: 3 }),
  });
  return fc.array(wound, { minLength: 1, maxLength: 3 }).map((wounds) => {
    let text = [...good];
    for (const { at, cut, put } of wounds) {
      const place = Math.min(at, text.length);
      text = [...text.slice(0, place), ...put, ...text.slice(place + Math.max(cut, put.length))];
    }
    return Uint8Array.from(text);
  });
}

/** Runs `decode` on `RUNS` inputs; errors other than `own` fail with the input that made them. */
export function survives<T>(
  input: fc.Arbitrary<T>,
  decode: (input: T) => unknown,
  ...own: (new (...args: never[]) => Error)[]
): void {
  const property = fc.property(input, (value) => {
    try {
      decode(value);
    } catch (error) {
      if (!own.some((kind) => error instanceof kind)) throw error;
    }
  });
  fc.assert(property, { numRuns: RUNS });
}
