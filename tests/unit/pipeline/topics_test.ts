import assert from "node:assert/strict";
import { HistoryLostError } from "../../../shared/errors.ts";
import { choiceProblem, refuseRemade, topicMatcher } from "../../../shared/pipeline/topics.ts";

Deno.test("A pattern takes whole names, and never the topics of Kafka or of list-sync itself", () => {
  const match = topicMatcher({ topic_pattern: "shop\\..*|.*offsets|list-sync.*" });
  const names = [
    "shop.schema-changes",
    "shop.list",
    "a.shop.list",
    "__consumer_offsets",
    "list-sync.schemas",
    "offsets",
  ];
  assert.deepEqual(names.filter(match), ["shop.list", "offsets"]);
});

Deno.test("Names or a pattern, not neither and not both", () => {
  assert.equal(choiceProblem({})?.field, "topics");
  assert.equal(choiceProblem({ topics: ["a"], topic_pattern: "a" })?.field, "topic_pattern");
  assert.match(choiceProblem({ topic_pattern: "(" })?.message ?? "", /Invalid regular expression/);
  assert.equal(choiceProblem({ topics: ["a"] }), undefined);
});

Deno.test("A topic made anew under the same name is lost history", () => {
  const topic = { name: "list", partitions: 1, replication_factor: 1 };
  const found = (id: string) => ({ found: new Map([["list", { ...topic, id }]]), missing: [] });
  refuseRemade(found("a"), found("a"));
  assert.throws(() => refuseRemade(found("a"), found("b")), HistoryLostError);
});
