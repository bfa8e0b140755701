import assert from "node:assert/strict";
import { TopicOffsets } from "../../../shared/pipeline/topic_offsets.ts";

/** Brokers whose topics end at the number of questions so far, told when the test says so. */
function brokers() {
  const asked: string[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const admin = {
    async offsets(topic: string) {
      const end = asked.push(topic);
      await (gates[end - 1] ??= Promise.withResolvers()).promise;
      return [{ first: 0, end }];
    },
    committed: async () => [7],
  };
  const gate = (at: number) => gates[at] ??= Promise.withResolvers();
  return { asked, gate, offsets: new TopicOffsets(admin, "group") };
}

Deno.test("who asks for a topic's offsets at once shares an answer, who asks while it is on its way shares the next one", async () => {
  const { asked, gate, offsets } = brokers();
  const first = [offsets.of("a"), offsets.of("a"), offsets.of("a")];
  await Promise.resolve();
  await Promise.resolve();
  const second = [offsets.of("a"), offsets.of("a")];
  [0, 1].forEach((at) => gate(at).resolve());
  const ends = (await Promise.all([...first, ...second])).map(({ ranges }) => ranges[0]!.end);
  assert.deepEqual([ends, asked], [[1, 1, 1, 2, 2], ["a", "a"]]);
  assert.deepEqual((await first[0]!).committed, [7]);
});

Deno.test("a topic's offsets do not wait for those of another, and are asked for anew each time", async () => {
  const { asked, gate, offsets } = brokers();
  const slow = offsets.of("a");
  gate(1).resolve();
  assert.equal((await offsets.of("b")).ranges[0]!.end, 2);
  gate(2).resolve();
  assert.equal((await offsets.of("b")).ranges[0]!.end, 3);
  gate(0).resolve();
  await slow;
  assert.deepEqual(asked, ["a", "b", "b"]);
});

Deno.test("offsets that could not be told are asked for again", async () => {
  const { asked, gate, offsets } = brokers();
  gate(0).reject(new Error("no leader"));
  gate(1).resolve();
  const refused = await Promise.allSettled([offsets.of("a"), offsets.of("a")]);
  assert.deepEqual(refused.map(({ status }) => status), ["rejected", "rejected"]);
  assert.equal((await offsets.of("a")).ranges[0]!.end, 2);
  assert.deepEqual(asked, ["a", "a"]);
});
