import { deepEqual, equal } from "node:assert/strict";
import { BuiltinAdmin } from "../../../shared/kafka/builtin/admin.ts";
import type { Cluster } from "../../../shared/kafka/builtin/cluster.ts";
import { kafkaOptions, settings } from "../../../shared/kafka/options.ts";
import { SILENT } from "../../silent.ts";

/** An admin of brokers that answer whoever would make a topic with this error code. */
function refusing(error_code: number) {
  const asked: unknown[] = [];
  const cluster = {
    settings: settings(kafkaOptions.parse({ brokers: ["127.0.0.1:1"] })),
    log: SILENT,
    signal: new AbortController().signal,
    refresh: () => Promise.resolve({ controller_id: 1 }),
    call: (_use: string, _node: number, _request: unknown, body: { validate_only: boolean }) => {
      asked.push(body.validate_only);
      const error_message = "as the brokers say it";
      return Promise.resolve({ topics: [{ name: "t", error_code, error_message }] });
    },
  };
  return { admin: new BuiltinAdmin(cluster as unknown as Cluster), asked };
}

const POLICY_VIOLATION = 44;
const TOPIC_AUTHORIZATION_FAILED = 29;

Deno.test("a topic may be created where brokers demand more replicas than the question names", async () => {
  const { admin, asked } = refusing(POLICY_VIOLATION);
  equal(await admin.mayCreate("t"), true);
  deepEqual(asked, [true]);
});

Deno.test("a topic may not be created without the right to it", async () => {
  equal(await refusing(TOPIC_AUTHORIZATION_FAILED).admin.mayCreate("t"), false);
});
