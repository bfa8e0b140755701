import assert from "node:assert/strict";
import { Linger } from "../../../shared/pipeline/linger.ts";

const KIB = 1 << 10;

/** Whether it waits, and how often it was told of more until it did not. */
async function waits(
  held_bytes: number,
  since_ms: number,
  more: readonly number[] = [],
  most_bytes = 1_000 * KIB,
) {
  const linger = new Linger();
  let over = false;
  const waiting = linger.wait(held_bytes, most_bytes, since_ms).then(() => over = true);
  await Promise.resolve();
  await Promise.resolve();
  const before = over;
  let told = 0;
  for (const bytes of more) {
    if (over) break;
    linger.gathered(bytes, most_bytes);
    told++;
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }
  await waiting; // it ends by itself, always
  return { waits: !before, told };
}

Deno.test("little, enough, and what waited long leave at once", async () => {
  for (const [bytes, since_ms] of [[0, 0], [63 * KIB, 0], [512 * KIB, 0], [100 * KIB, 20]]) {
    assert.deepEqual(await waits(bytes!, since_ms!), { waits: false, told: 0 });
  }
});

Deno.test("a stream that is busy waits until there is enough, or for its time", async () => {
  assert.deepEqual(await waits(100 * KIB, 3), { waits: true, told: 0 });
  const more = [200 * KIB, 511 * KIB, 512 * KIB, 600 * KIB];
  assert.deepEqual(await waits(100 * KIB, 0, more), { waits: true, told: 3 });
});

Deno.test("a job's own bound on a send is enough", async () => {
  const more = [127 * KIB, 128 * KIB, 600 * KIB];
  assert.deepEqual(await waits(100 * KIB, 0, more, 128 * KIB), { waits: true, told: 2 });
  assert.deepEqual(await waits(128 * KIB, 0, more, 128 * KIB), { waits: false, told: 0 });
});
