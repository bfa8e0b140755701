import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { byTopic, dealPartitions, heartbeatMs } from "../../../shared/kafka/assignment.ts";
import { partitionId } from "../../../shared/kafka/port.ts";

Deno.test("partitions are dealt in turn, in the order of topics and members", () => {
  const dealt = dealPartitions(
    [{ member_id: "b", topics: ["t", "u"] }, { member_id: "a", topics: ["u", "t"] }],
    new Map([["u", 1], ["t", 4]]),
  );
  deepEqual(dealt.get("a")!.map(partitionId), ["t/0", "t/2", "u/0"]);
  deepEqual(dealt.get("b")!.map(partitionId), ["t/1", "t/3"]);
});

Deno.test("a member shows three times in a session that it lives, and every 3 s at least", () => {
  deepEqual([1_500, 9_000, 45_000].map(heartbeatMs), [500, 3_000, 3_000]);
});

const topics = ["t", "u", "v"];

Deno.test("every partition goes to one member that reads its topic, in shares that differ by one", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 6 }),
    fc.array(fc.nat(12), { minLength: 3, maxLength: 3 }),
    fc.array(fc.subarray(topics), { minLength: 6, maxLength: 6 }),
    fc.boolean(),
    (ids, counts, wishes, alike) => {
      const members = ids.map((member_id, index) => ({
        member_id,
        topics: alike ? topics : wishes[index]!,
      }));
      const dealt = dealPartitions(members, new Map(topics.map((name, i) => [name, counts[i]!])));
      const owners = [...dealt].flatMap(([id, hand]) => hand.map((at) => ({ id, at })));
      const wanted = topics.flatMap((topic, index) =>
        members.some((member) => member.topics.includes(topic))
          ? Array.from({ length: counts[index]! }, (_, partition) => `${topic}/${partition}`)
          : []
      );
      deepEqual(owners.map(({ at }) => partitionId(at)).sort(), wanted.sort());
      for (const { id, at } of owners) {
        ok(members.find(({ member_id }) => member_id === id)!.topics.includes(at.topic));
      }
      if (alike) {
        const sizes = [...dealt.values()].map(({ length }) => length);
        ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `shares of ${sizes}`);
      }
    },
  ));
});

Deno.test("partitions are grouped by topic and sorted", () => {
  const grouped = byTopic([
    { topic: "u", partition: 3 },
    { topic: "t", partition: 0 },
    { topic: "u", partition: 1 },
  ]);
  deepEqual([...grouped], [["u", [1, 3]], ["t", [0]]]);
  equal(byTopic([]).size, 0);
});
