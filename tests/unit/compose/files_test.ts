/** The compose files: that they parse, and that names, ports and rights are as agreed. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import config from "../../../deno.json" with { type: "json" };
import { OFFICIAL_IMAGES } from "../../../compose/debian/images.ts";
import { composeVariables, SERVICES, writeSecrets } from "../../../compose/native/docker.ts";
import { accountStatements } from "../../../compose/native/mysql_server.ts";
import { newDatabase, type StackInfo } from "../../../compose/native/state.ts";
import { loadJob } from "../../../shared/jobs/reader.ts";
import { jobKinds } from "../../../workers/jobs.ts";

interface Service {
  hostname?: string;
  command?: string | string[];
  entrypoint?: string[];
  ports?: string[];
  networks: string[];
  environment?: Record<string, string>;
  volumes?: string[];
  secrets?: string[];
  build?: { dockerfile: string };
  healthcheck?: { test: string[] };
  extends?: { file: string; service: string };
  user: string;
  read_only: boolean;
  cap_drop: string[];
  security_opt: string[];
  mem_limit: string;
}
interface ComposeFile {
  include?: string[];
  services?: Record<string, Service>;
  networks?: Record<string, unknown>;
  volumes?: Record<string, unknown>;
  secrets?: Record<string, { file: string }>;
}

function read(name: string): string {
  return Deno.readTextFileSync(new URL(`../../../compose/${name}`, import.meta.url));
}

function parsed(name: string): ComposeFile {
  return parse(read(name), { merge: true }) as ComposeFile;
}

/** A service with what it takes from the file that it extends. */
function whole(service: Service): Service {
  if (service.extends === undefined) return service;
  const base = parsed(service.extends.file).services![service.extends.service]!;
  const volumes = [...base.volumes ?? [], ...service.volumes ?? []];
  return { ...base, ...service, volumes };
}

const COMPOSE = parsed("compose.yml");
const FILES = COMPOSE.include!.map((name) => ({ name, text: read(name), content: parsed(name) }));
const ALL_SERVICES = new Map(
  FILES.flatMap(({ content }) => Object.entries(content.services ?? {}))
    .map(([name, service]) => [name, whole(service)]),
);
const SERVERS = Object.values(SERVICES).flatMap((services) => Object.keys(services));
const WORKERS = [...ALL_SERVICES.keys()].filter((name) => !SERVERS.includes(name));

const INFO: StackInfo = {
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

Deno.test("compose.yml includes the servers, and the workers of both databases", () => {
  assert.deepEqual([...ALL_SERVICES.keys()].sort(), [...SERVERS, ...WORKERS].sort());
  assert.deepEqual(WORKERS.sort(), [
    "capture-mysql",
    "capture-pg",
    "my-consumer",
    "my-seeder",
    "my-tester",
    "pg-consumer",
    "pg-seeder",
    "pg-tester",
  ]);
});

Deno.test("the servers are the agreed hosts, and all are on the network list_sync-net", () => {
  for (const name of SERVERS) assert.equal(ALL_SERVICES.get(name)?.hostname, name);
  for (const service of ALL_SERVICES.values()) {
    assert.deepEqual(service.networks, ["list_sync-net"]);
  }
  for (const { name, content } of FILES) {
    assert.deepEqual(Object.keys(content.networks ?? {}), ["list_sync-net"], name);
  }
});

Deno.test("no container is root, writes its own files, has a capability or unbounded memory", () => {
  for (const [name, service] of ALL_SERVICES) {
    const { user, read_only, cap_drop, security_opt, mem_limit } = service;
    assert.match(user, /^(appuser|postgres|mysql|deno)$/, name);
    assert.equal(read_only, true, name);
    assert.deepEqual(cap_drop, ["ALL"], name);
    assert.deepEqual(security_opt, ["no-new-privileges:true"], name);
    assert.match(mem_limit, /^\d+[mg]$/, name);
  }
});

Deno.test("servers, captures and consumers have health checks", () => {
  for (const [name, { healthcheck }] of ALL_SERVICES) {
    assert.equal(healthcheck === undefined, /seeder|tester/.test(name), name);
  }
});

Deno.test("databases are healthy once an account can log in to the database", () => {
  for (const name of ["db-pgsql", "db-mysql"]) {
    const [, check] = ALL_SERVICES.get(name)!.healthcheck!.test;
    assert.match(check!, /cat \/run\/secrets\/\w+_admin\).*--host=127\.0\.0\.1.*shop/, name);
  }
});

Deno.test("what testers put on disk is no memory of theirs", () => {
  for (const name of ["pg-tester", "my-tester"]) {
    const { scratch } = parse(read(`jobs/${name}.yaml`));
    assert.ok(ALL_SERVICES.get(name)!.volumes!.includes("/scratch"), name);
    assert.match(scratch, /^\/scratch\//, name);
  }
});

Deno.test("each worker has a job file, mounted read-only, that is valid with its secrets and variables", () => {
  for (const name of WORKERS) {
    const { command, entrypoint, volumes, secrets = [] } = ALL_SERVICES.get(name)!;
    assert.ok(volumes!.includes("./jobs:/jobs:ro"), name);
    const [path] = [...entrypoint ?? [], ...command as string[] ?? []].filter((word) =>
      word.startsWith("/jobs/")
    );
    const mounted: string[] = [];
    const { job } = loadJob(path!, jobKinds, {
      env: (variable) => ({ HOSTNAME: "0123456789ab", CONSUMER: "0123456789ab" })[variable],
      readTextFile: (file) => {
        if (!file.startsWith("/run/secrets/")) return read(file.slice(1));
        mounted.push(file.slice("/run/secrets/".length));
        return "secret";
      },
    });
    assert.equal(path, `/jobs/${name}.yaml`);
    assert.deepEqual(mounted, secrets, name);
    if (ALL_SERVICES.get(name)!.healthcheck === undefined) continue;
    assert.equal(job.observe.metrics_port, 9464, `${name}: http.sh asks this port`);
  }
});

Deno.test("consumers of one service keep apart by the host name: group and folder", () => {
  for (const name of ["pg-consumer", "my-consumer"]) {
    const { group_id, sink } = parse(read(`jobs/${name}.yaml`));
    assert.equal(group_id, `${name}-\${env:HOSTNAME}`);
    assert.equal(sink.output, "/out/${env:HOSTNAME}");
  }
});

Deno.test("the image of the workers bears the version of what is in it", () => {
  for (const name of WORKERS) {
    assert.equal(
      (ALL_SERVICES.get(name) as { image?: string }).image,
      `list-sync/worker:${config.version}`,
    );
  }
});

Deno.test("compose/debian.env replaces each official image, which the files name with its version", () => {
  const replaced = read("debian.env").split("\n").filter((line) => /^[A-Z]/.test(line));
  assert.deepEqual(
    replaced.map((line) => line.split("=")[0]).sort(),
    Object.keys(OFFICIAL_IMAGES).sort(),
  );
  const files = [...COMPOSE.include!, "worker.yml"].map(read).join("\n");
  for (const [variable, image] of Object.entries(OFFICIAL_IMAGES)) {
    assert.ok(files.includes(`\${${variable}:-${image}}`), `${variable}: ${image}`);
  }
});

Deno.test("brokers tell the network broker1:9092, broker2:9094 and broker3:9095", () => {
  for (const [name, port] of Object.entries(SERVICES.kafka)) {
    const environment = ALL_SERVICES.get(name)!.environment!;
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

Deno.test("every server listens on its agreed port of the loopback address only", () => {
  for (const services of Object.values(SERVICES)) {
    for (const [name, port] of Object.entries(services)) {
      const [published, ...more] = ALL_SERVICES.get(name)!.ports!;
      assert.deepEqual(more, [], `${name} publishes one port`);
      const variable = `${name.toUpperCase().replaceAll("-", "_")}_PORT`;
      assert.match(published!, new RegExp(`^127\\.0\\.0\\.1:\\$\\{${variable}:-${port}\\}:\\d+$`));
    }
  }
});

Deno.test("the launcher moves every published port, and gives every file of a secret", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const info = { ...INFO, dir };
    const given = composeVariables(info);
    assert.equal(given["BROKER3_PORT"], "10095");
    assert.equal(given["DB_PGSQL_PORT"], "6432");
    await writeSecrets(info);
    await writeSecrets(info);
    const secrets = FILES.flatMap(({ content }) => Object.entries(content.secrets ?? {}));
    assert.equal(new Set(secrets.map(([name]) => name)).size, 6);
    for (const [name, { file }] of secrets) {
      const path = file.replace("${SECRETS:-./secrets}", given["SECRETS"]!);
      const [database, role] = name.split("_") as ["pg" | "mysql", "admin"];
      assert.equal(Deno.readTextFileSync(path), info[database]!.users[role].password);
      assert.equal(Deno.statSync(path).mode! & 0o777, 0o444);
    }
    assert.equal(Deno.statSync(given["SECRETS"]!).mode! & 0o777, 0o700);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("compose/secrets.sh makes the secrets that the files name, once", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.copyFile(
      new URL("../../../compose/secrets.sh", import.meta.url),
      `${dir}/secrets.sh`,
    );
    const make = async () => {
      const command = new Deno.Command("sh", { args: [`${dir}/secrets.sh`] });
      assert.equal((await command.output()).code, 0);
      return Array.from(Deno.readDirSync(`${dir}/secrets`), ({ name }) => name).sort()
        .map((name) => [name, Deno.readTextFileSync(`${dir}/secrets/${name}`).trim()] as const);
    };
    const made = await make();
    const named = FILES.flatMap(({ content }) => Object.keys(content.secrets ?? {}));
    assert.deepEqual(made.map(([name]) => name), [...new Set(named)].sort());
    for (const [name, text] of made) assert.match(text, /^[A-Za-z0-9_-]{24}$/, name);
    assert.deepEqual(await make(), made);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("no password stands in an environment, and every file that a service needs is there", () => {
  for (const { name, text, content } of FILES) {
    for (const [line] of text.matchAll(/^ +[A-Z_]*PASSWORD\w*: .*/gm)) {
      assert.match(line, /PASSWORD(_FILE: \/run\/secrets\/\w+|: "yes")$/, name);
    }
    for (
      const [service, { volumes = [], build, secrets = [] }] of Object.entries(
        content.services ?? {},
      )
    ) {
      const mounted = volumes.map((volume) => volume.split(":")[0]!);
      const local = mounted.filter((path) => path.startsWith("./"));
      for (const path of [...local, ...(build ? [build.dockerfile] : [])]) {
        assert.ok(read(path).length > 0, `${service} needs compose/${path}`);
      }
      const named = mounted.filter((path) => !/^\.?\//.test(path));
      for (const volume of named) assert.ok(volume in content.volumes!, `${service}: ${volume}`);
      for (const secret of secrets) assert.ok(secret in content.secrets!, `${service}: ${secret}`);
    }
  }
});

Deno.test("no password stands on a command line while the accounts are made", async () => {
  for (const name of ["mysql-accounts.sh", "pgsql-accounts.sh"]) {
    const script = `
      cat() { echo hunter2; }
      psql() { printf '%s\\n' called "$@"; }
      docker_process_sql() { psql "$@"; }
      . "$0"`;
    const path = new URL(`../../../compose/${name}`, import.meta.url).pathname;
    const { stdout } = await new Deno.Command("bash", { args: ["-c", script, path] }).output();
    const [called, ...words] = new TextDecoder().decode(stdout).trim().split("\n");
    assert.equal(called, "called", name);
    assert.deepEqual(words.filter((word) => word.includes("hunter2")), [], name);
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
