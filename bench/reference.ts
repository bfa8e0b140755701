/** A yardstick for this machine at this moment: encodes changes and does nothing else. */
import { codecs } from "../shared/kafka/codecs.ts";
import { envelope } from "./envelope.ts";

const RECORDS = 200_000;
/** As a capture compresses them. */
const BATCH_RECORDS = 2_000;

/** Records a second of JSON.stringify, UTF-8 and lz4 on one processor. */
function encode(): number {
  const began = performance.now();
  const text = new TextEncoder();
  let bytes = 0;
  for (let first = 0; first < RECORDS; first += BATCH_RECORDS) {
    const values = Array.from(
      { length: BATCH_RECORDS },
      (_, at) => JSON.stringify(envelope(first + at)),
    );
    bytes += codecs.lz4.compress(text.encode(values.join(""))).length;
  }
  if (bytes === 0) throw new Error("Nothing was encoded");
  return RECORDS / (performance.now() - began) * 1000;
}

encode(); // until it is compiled
console.log(encode());
