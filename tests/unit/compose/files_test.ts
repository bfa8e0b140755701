/** The compose files: that they parse, and that names, ports and rights are as agreed. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { composeVariables, SERVICES } from "../../../compose/native/docker.ts";
import { accountStatements } from "../../../compose/native/mysql.ts";
import { newDatabase, type StackInfo } from "../../../compose/native/state.ts";

interface Service {
  hostname: string;
  ports: string[];
  networks: string[];
  environment: Record<string, string>;
  volumes: string[];
  build?: { dockerfile: string };
  healthcheck: { test: string[] };
}
interface ComposeFile {
  include?: string[];
  services?: Record<string, Service>;
  networks?: Record<string, unknown>;
  volumes?: Record<string, unknown>;
}

function read(name: string): string {
  return Deno.readTextFileSync(new URL(`../../../compose/${name}`, import.meta.url));
}

const COMPOSE = parse(read("compose.yml")) as ComposeFile;
const FILES = COMPOSE.include!.map((name) => ({
  name,
  text: read(name),
  content: parse(read(name), { merge: true }) as ComposeFile,
}));
const ALL_SERVICES = new Map(
  FILES.flatMap(({ content }) => Object.entries(content.services ?? {})),
);

Deno.test("compose.yml includes the files of the brokers and of both databases", () => {
  assert.deepEqual(FILES.map(({ name }) => name), ["brokers.yml", "pgsql.yml", "mysql.yml"]);
});

Deno.test("the services are the agreed hosts, on the network list_sync-net", () => {
  const expected = Object.values(SERVICES).flatMap((services) => Object.keys(services));
  assert.deepEqual([...ALL_SERVICES.keys()], expected);
  for (const [name, service] of ALL_SERVICES) {
    assert.equal(service.hostname, name);
    assert.deepEqual(service.networks, ["list_sync-net"]);
  }
  for (const { name, content } of FILES) {
    assert.deepEqual(Object.keys(content.networks ?? {}), ["list_sync-net"], name);
  }
});

Deno.test("brokers tell the network broker1:9092, broker2:9094 and broker3:9095", () => {
  for (const [name, port] of Object.entries(SERVICES.kafka)) {
    const { environment } = ALL_SERVICES.get(name)!;
    assert.match(environment["KAFKA_LISTENERS"]!, new RegExp(`^BROKER://:${port},`));
    assert.match(
      environment["KAFKA_ADVERTISED_LISTENERS"]!,
      new RegExp(`^BROKER://${name}:${port},HOST://127\\.0\\.0\\.1:`),
    );
    assert.equal(environment["KAFKA_MIN_INSYNC_REPLICAS"], "2");
    assert.equal(environment["KAFKA_DEFAULT_REPLICATION_FACTOR"], "3");
    assert.equal(environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"], "false");
  }
});

Deno.test("every service listens on its agreed port of the loopback address only", () => {
  for (const services of Object.values(SERVICES)) {
    for (const [name, port] of Object.entries(services)) {
      const [published, ...more] = ALL_SERVICES.get(name)!.ports;
      assert.deepEqual(more, [], `${name} publishes one port`);
      const variable = `${name.toUpperCase().replaceAll("-", "_")}_PORT`;
      assert.match(published!, new RegExp(`^127\\.0\\.0\\.1:\\$\\{${variable}:-${port}\\}:\\d+$`));
    }
  }
});

Deno.test("the launcher gives every variable that the compose files demand", () => {
  const info: StackInfo = {
    name: "x",
    engine: "docker",
    dir: "/x",
    port_offset: 1000,
    versions: {},
    servers: [],
    kafka: { brokers: [], cluster_id: "AAAAAAAAAAAAAAAAAAAAAA" },
    pg: newDatabase(6432),
    mysql: newDatabase(4306),
  };
  const given = composeVariables(info);
  for (const { name, text } of FILES) {
    for (const [, variable] of text.matchAll(/\$\{([A-Z0-9_]+)(?::[-?][^}]*)?\}/g)) {
      assert.ok(given[variable!], `${name} wants ${variable}; given: ${Object.keys(given)}`);
    }
  }
  assert.equal(given["BROKER3_PORT"], "10095");
  assert.equal(given["DB_PGSQL_PORT"], "6432");
});

Deno.test("no password has a default, and every file that a service needs is there", () => {
  for (const { name, text, content } of FILES) {
    for (const [line] of text.matchAll(/.*PASSWORD: .*/g)) {
      assert.match(line, /PASSWORD: (\$\{[A-Z_]+:\?[^}]+\}|"yes")$/, name);
    }
    for (const [service, { volumes, build }] of Object.entries(content.services ?? {})) {
      const local = volumes.map((volume) => volume.split(":")[0]!).filter((path) =>
        /^\./.test(path)
      );
      for (const path of [...local, ...(build ? [build.dockerfile] : [])]) {
        assert.ok(read(path).length > 0, `${service} needs compose/${path}`);
      }
      const named = volumes.map((volume) => volume.split(":")[0]!).filter((path) =>
        !/^\./.test(path)
      );
      for (const volume of named) assert.ok(volume in content.volumes!, `${service}: ${volume}`);
    }
  }
});

Deno.test("containers and native servers give the writer and the replicator the same rights on MySQL", () => {
  const grants = (text: string) =>
    [...text.matchAll(/GRANT ((?:[A-Z]+(?: [A-Z]+)?)(?:, [A-Z]+(?: [A-Z]+)?)*) ON/g)]
      .map(([, rights]) => rights!).sort();
  const native = accountStatements(newDatabase(3306).users);
  assert.deepEqual(grants(read("mysql-accounts.sh")), grants(native));
  assert.equal(grants(native).length, 4);
});
