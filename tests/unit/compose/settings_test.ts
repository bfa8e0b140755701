/** What servers are started with, and the files made for them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { brokerSettings, KAFKA_PORTS, newClusterId } from "../../../compose/native/kafka.ts";
import { projectOf } from "../../../compose/native/maven.ts";
import { checkName, newDatabase } from "../../../compose/native/state.ts";
import { environment } from "../../../compose/native/stack.ts";
import { javaTrustStore, TRUST_STORE_PASSWORD } from "../../../compose/native/truststore.ts";

Deno.test("brokers take the agreed ports, listen on loopback and replicate three times", () => {
  assert.deepEqual(KAFKA_PORTS.map(({ broker }) => broker), [9092, 9094, 9095]);
  const lines = brokerSettings(2, KAFKA_PORTS, "/data").split("\n");
  for (
    const expected of [
      "node.id=2",
      "process.roles=broker,controller",
      "listeners=BROKER://127.0.0.1:9094,CONTROLLER://127.0.0.1:9096",
      "advertised.listeners=BROKER://127.0.0.1:9094",
      "controller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9096,3@127.0.0.1:9097",
      "default.replication.factor=3",
      "min.insync.replicas=2",
      "num.partitions=3",
      "auto.create.topics.enable=false",
      "offsets.topic.replication.factor=3",
      "transaction.state.log.replication.factor=3",
      "group.initial.rebalance.delay.ms=0",
    ]
  ) assert.ok(lines.includes(expected), `${expected} is missing in:\n${lines.join("\n")}`);
  assert.throws(() => brokerSettings(4, KAFKA_PORTS, "/data"), /no broker 4; there are 3/);
});

Deno.test("a cluster id is 22 characters of base64url, never the same, never with a dash first", () => {
  const ids = Array.from({ length: 500 }, newClusterId);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("every stack gets passwords of its own, safe in files and statements", () => {
  const passwords = [newDatabase(1), newDatabase(1)].flatMap(({ users }) =>
    Object.values(users).map(({ password }) => password)
  );
  assert.equal(new Set(passwords).size, 6);
  for (const password of passwords) assert.match(password, /^[A-Za-z0-9_-]{24}$/);
});

Deno.test("stack names that are no plain folder name are refused", () => {
  checkName("test-1");
  for (const name of ["", "..", "a/b", "A", "-a", "x".repeat(42)]) {
    assert.throws(() => checkName(name), /allowed are lower-case letters/, name);
  }
});

Deno.test("the environment of a stack holds what it has, and nothing of what it lacks", () => {
  const stack = {
    name: "x",
    engine: "native" as const,
    dir: "/x",
    port_offset: 0,
    versions: {},
    servers: [],
    pg: newDatabase(5432),
  };
  const variables = environment(stack);
  assert.equal(variables["LIST_SYNC_STACK"], "/x/stack.json");
  assert.equal(variables["PG_USER"], "list_sync");
  assert.equal(variables["PG_PASSWORD"], stack.pg.users.replicator.password);
  assert.deepEqual(Object.keys(variables).filter((name) => /MYSQL|KAFKA/.test(name)), []);
});

Deno.test("a Maven project depends on exactly the artifacts asked for", () => {
  const project = projectOf({ name: "n-1", artifacts: ["g.h:a_2.13:3.9.1"] });
  assert.match(
    project,
    /<groupId>g\.h<\/groupId><artifactId>a_2\.13<\/artifactId><version>3\.9\.1</,
  );
  assert.equal(project.match(/<dependency>/g)?.length, 1);
});

Deno.test("a trust store has the layout that Java reads, sealed with its password", () => {
  const store = Buffer.from(javaTrustStore([Buffer.from("first"), Buffer.from("second!")]));
  const [body, seal] = [store.subarray(0, -20), store.subarray(-20)];
  const password = [...TRUST_STORE_PASSWORD].flatMap((letter) => [0, letter.charCodeAt(0)]);
  const expected = createHash("sha1").update(Buffer.from(password)).update("Mighty Aphrodite")
    .update(body).digest();
  assert.equal(seal.toString("hex"), expected.toString("hex"));
  assert.equal(body.subarray(0, 12).toString("hex"), "feedfeed" + "00000002" + "00000002");
  const entry = "00000002" + "000b" + Buffer.from("authority-0").toString("hex") +
    "0000000000000000" + "0005" + Buffer.from("X.509").toString("hex") +
    "00000005" + Buffer.from("first").toString("hex");
  assert.equal(body.subarray(12, 12 + entry.length / 2).toString("hex"), entry);
});
