/** Servers that demand TLS, logins and rights: all workers with the least of them, and each fault of a job. */
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { createServer, type Server } from "node:tls";
import type { AddressInfo } from "node:net";
import {
  AclOperations,
  AclPermissionTypes,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";
import { CertificateAuthority, type Certified } from "../../compose/native/certificates.ts";
import { freePortOffset } from "../../compose/native/ports.ts";
import { grantAcls, SECURED_JOBS } from "../../compose/native/secured.ts";
import { down, PARTS, STACK_PORTS, type StackInfo, up } from "../../compose/native/stack.ts";
import type { Account, DatabaseInfo, KafkaInfo } from "../../compose/native/state.ts";
import { giveToServerUser } from "../../compose/native/user.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import { databaseOptions } from "../../shared/database/options.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { format } from "../../shared/formats/json.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import { schemaBatch, schemasTopic } from "../../shared/pipeline/schemas.ts";
import { createSignalTable } from "../../shared/sources/snapshot_options.ts";
import type { Finding } from "../../shared/sources/source.ts";
import { readJob } from "../../workers/runtime/environment.ts";
import { allFindings, inspectJob } from "../../workers/runtime/inspect.ts";
import { type Ended, runDeno } from "../command.ts";
import { encoded } from "../encoded.ts";
import { filesUnder } from "../files_under.ts";
import { SILENT } from "../silent.ts";
import { ownStackName, testStack } from "../stack.ts";
import { change } from "../unit/sinks/fixtures.ts";
import { DEADLINE_MS, until } from "../until.ts";
import { WorkerProcess } from "../worker_process.ts";

const NAME = ownStackName();
const RUN = `${SECURED_JOBS}_${crypto.randomUUID().slice(0, 8)}`;
const ROWS = 400;
const DAY_MS = 86_400_000;
/** Jobs, secrets, files and logs of this run. */
const FOLDER = Deno.makeTempDirSync({ prefix: "list-sync-secured-" });

/** An authority that no job trusts unless it says so, and a certificate of it that has expired. */
const STRANGER = new CertificateAuthority("stranger", days(-9), days(9));
const EXPIRED = STRANGER.certify({
  name: "expired",
  hosts: ["127.0.0.1"],
  from: days(-8),
  until: days(-1),
});

/** A job as it stands in its file. */
type Job = { job: string; name: string } & Record<string, unknown>;
type Databases = "pg" | "mysql" | "mariadb";

let stack: StackInfo & { kafka: KafkaInfo } & Record<Databases, DatabaseInfo>;

Deno.test.beforeAll(async () => {
  const port_offset = freePortOffset(STACK_PORTS);
  const only = [...PARTS];
  stack = await up({ name: NAME, port_offset, docker: false, secure: true, only }) as typeof stack;
  await makeTables();
});

Deno.test.afterAll(async () => {
  await down({ name: NAME, wipe: true });
  Deno.removeSync(FOLDER, { recursive: true });
});

/** A table with rows in each database, and what only its owner may make. */
async function makeTables(): Promise<void> {
  await Promise.all(BOTH.map((of) => done(seedJob(of))));
  const { sql, close } = await admin("pg");
  await sql(`CREATE PUBLICATION list_sync_${RUN}_pg FOR TABLE public.${RUN}`);
  await close();
}

function days(count: number): Date {
  return new Date(Date.now() + count * DAY_MS);
}

// Jobs -----------------------------------------------------------------------------------------------

/** A reference to a file that holds `text`, as a job names its secrets. */
function secret(text: string): string {
  const file = `${FOLDER}/secret-${crypto.randomUUID().slice(0, 8)}`;
  Deno.writeTextFileSync(file, text, { mode: 0o600 });
  return `\${file:${file}}`;
}

const TRUST = () => ({ ca: `\${file:${stack.kafka.ca}}` });

function kafka(role: "capture" | "consume", more: Record<string, unknown> = {}) {
  const { user, password } = stack.kafka.users![role];
  return {
    brokers: stack.kafka.brokers,
    tls: TRUST(),
    sasl: { mechanism: "scram-sha-512", username: user, password: secret(password) },
    ...more,
  };
}

function server(of: Databases, account: Account, more: Record<string, unknown> = {}) {
  const { host, port, database } = stack[of];
  const { user, password } = account;
  return { host, port, database, user, password: secret(password), tls: TRUST(), ...more };
}

function captureJob(of: Databases, source: object = {}, kafkaPart: object = {}): Job {
  const { users, database } = stack[of];
  return {
    job: `capture-${of}`,
    name: `${RUN}_${of}`,
    mode: "batch",
    source: {
      ...server(of, users.replicator),
      tables: [of === "pg" ? `public.${RUN}` : `${database}.${RUN}`],
      ...source,
    },
    kafka: { ...kafka("capture"), ...kafkaPart },
  };
}

function topicOf(of: Databases): string {
  return `${RUN}_${of}.${of === "pg" ? "public" : stack[of].database}.${RUN}`;
}

function consumeJob(of: Databases, kafkaPart: object = {}): Job {
  return {
    job: "consume-csv",
    name: `${RUN}_${of}`,
    mode: "batch",
    topics: [topicOf(of)],
    kafka: { ...kafka("consume"), ...kafkaPart },
    sink: { output: `${FOLDER}/${of}` },
  };
}

const KINDS = { pg: "postgresql", mysql: "mysql", mariadb: "mysql" } as const;

function seedJob(of: Databases, database: object = {}, more: object = {}): Job {
  return {
    job: "seed",
    name: `${RUN}_${of}`,
    rows: ROWS,
    table: RUN,
    database: { kind: KINDS[of], ...server(of, stack[of].users.writer), ...database },
    ...more,
  };
}

function verifyJob(of: Databases, database: object = {}, more: object = {}): Job {
  return {
    job: "verify",
    name: `${RUN}_${of}`,
    table: RUN,
    topic: topicOf(of),
    files: { output: `${FOLDER}/${of}` },
    database: { kind: KINDS[of], ...server(of, stack[of].users.replicator), ...database },
    ...more,
  };
}

// Processes ------------------------------------------------------------------------------------------

/** Writes a job's file, and answers its path. */
function written(job: Job): string {
  const path = `${FOLDER}/${job.job}-${crypto.randomUUID().slice(0, 8)}.yaml`;
  Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 1));
  return path;
}

/**
 * Runs a program of workers/ on jobs to its end, with words before and after them; all that it says is
 * kept for the search for secrets.
 */
async function run(
  program: string,
  jobs: readonly Job[],
  before: readonly string[] = [],
  behind: readonly string[] = [],
): Promise<Ended> {
  const paths = jobs.map(written);
  const script = `workers/${program}.ts`;
  const ended = await runDeno(["run", "-A", "--no-prompt", script, ...before, ...paths, ...behind]);
  Deno.writeTextFileSync(`${paths[0]}.log`, ended.stdout + ended.stderr);
  return ended;
}

/** What `deno task check` finds. */
async function findings(job: Job): Promise<Finding[]> {
  const { kind, job: read } = readJob(written(job));
  return allFindings(await inspectJob(kind, read, { log: SILENT, now: Date.now }));
}

/** The same, through the launcher, which derives the permissions; each job must end well. */
async function task(
  name: string,
  jobs: readonly Job[],
  ...words: string[]
): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(`commands/${name}`, jobs, [...words, "--json"]);
  assert.equal(code, 0, `deno task ${name}: ${stderr}${stdout}`);
  return stdout.trim().split("\n").map((line) => JSON.parse(line));
}

/** Statements by the database's administrator, on one connection. */
async function admin(of: Databases) {
  const { host, port, database, users, ca } = stack[of];
  const options = databaseOptions.parse({
    kind: KINDS[of],
    host,
    port,
    database,
    ...users.admin,
    tls: { ca: Deno.readTextFileSync(ca!) },
  });
  if (of !== "pg") {
    const connection = await connectMysql(options);
    return {
      sql: async (text: string) => void await connection.query(text),
      close: () => connection.end(),
    };
  }
  const client = await connectPostgres(options, "secured-test");
  return {
    sql: async (text: string) => void await client.query({ text }),
    close: () => client.end(),
  };
}

/** Runs a job's worker to its good end; what it says in JSON. */
async function done(job: Job): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(job.job, [job], ["--json"]);
  assert.equal(code, 0, `${job.job}: ${stderr}${stdout}`);
  return JSON.parse(stdout);
}

/** The changes that a worker counted, by operation. */
function opsOf({ changes }: Record<string, unknown>): Record<string, number> {
  return changes as Record<string, number>;
}

const BOTH = ["pg", "mysql"] as const;

// The work -------------------------------------------------------------------------------------------

Deno.test("all workers do their work on secured servers with the least rights, by both Kafka clients", async () => {
  const clients = { pg: "builtin", mysql: "kafkajs" };
  const others = { pg: "kafkajs", mysql: "builtin" };
  const captures = BOTH.map((of) => captureJob(of, {}, { client: clients[of] }));
  for (const { changes } of await Promise.all(captures.map(done))) {
    assert.equal(
      (changes as { r: number }).r,
      ROWS / 4,
      "the snapshot has the rows that are there",
    );
  }
  await task("seed", BOTH.map((of) => seedJob(of)));
  for (const { changes } of await task("capture", captures)) {
    assert.equal((changes as { c: number }).c, ROWS / 2);
  }
  const plain = (of: (typeof BOTH)[number]) => {
    const { sasl } = kafka("consume");
    return { client: others[of], sasl: { ...sasl, mechanism: "plain" } };
  };
  const consumed = await task("consume", BOTH.map((of) => consumeJob(of, plain(of))));
  assert.deepEqual(consumed.map(({ repetitions }) => repetitions), [0, 0]);
  for (const result of await task("verify", BOTH.map((of) => verifyJob(of)))) {
    assert.equal(result["verified"], true, JSON.stringify(result));
  }
  for (const job of [...captures, consumeJob("pg"), seedJob("mysql"), verifyJob("pg")]) {
    const errors = (await findings(job)).filter(({ level }) => level === "error");
    assert.deepEqual(errors, [], `check ${job.job}`);
  }
});

Deno.test("MariaDB: all workers do their work with the least rights, and each fault is refused with the cure", async () => {
  const job = captureJob("mariadb");
  await done(seedJob("mariadb"));
  assert.equal(opsOf(await done(job))["r"], ROWS / 4);
  await done(seedJob("mariadb"));
  assert.equal(opsOf(await done(job))["c"], ROWS / 2);
  await done(consumeJob("mariadb"));
  assert.equal((await done(verifyJob("mariadb")))["verified"], true);
  const { sql, close } = await admin("mariadb");
  const account = `'${stack.mariadb.users.replicator.user}'@'127.0.0.1'`;
  await refused(databaseFaults("mariadb", (part) => captureJob("mariadb", part), "source"));
  await sql(`REVOKE BINLOG MONITOR ON *.* FROM ${account}`);
  await refused([{
    what: "no BINLOG MONITOR",
    job,
    says: /privilege BINLOG MONITOR: not granted to list_sync@127\.0\.0\.1/,
    cure: /GRANT BINLOG MONITOR ON \*\.\* TO 'list_sync'@'127\.0\.0\.1'/,
  }]);
  await sql(`GRANT BINLOG MONITOR ON *.* TO ${account}`);
  await close();
});

Deno.test("the launcher lets a worker read the authority's certificate and its secrets, and no more files", async () => {
  const job = captureJob("pg");
  const { stdout } = await run("commands/permissions", [job], ["--json"]);
  const { read } = JSON.parse(stdout) as { read: string[] };
  const files = JSON.stringify(job).matchAll(/\$\{file:([^}]+)\}/g);
  const wanted = [...files].map(([, file]) => file!);
  const rest = read.filter((path) => !wanted.includes(path)).map((path) => basename(path));
  assert.deepEqual(wanted.filter((path) => !read.includes(path)), []);
  assert.equal(rest.length, 2, `besides them it reads ${rest.join(", ")}`);
  assert.ok(rest.includes("native.wasm") && rest.some((name) => name.endsWith(".yaml")));
});

// Faults ---------------------------------------------------------------------------------------------

/** A job with one fault, what is said of it, and what is said to do. */
interface Fault {
  readonly what: string;
  readonly job: Job;
  readonly says: RegExp;
  readonly cure: RegExp;
}

/**
 * Each fault gives one error with its cure and nothing else: from `check`, and from the worker, which
 * tries nothing again: so how long it takes is a matter of the machine alone.
 */
async function refused(faults: readonly Fault[]): Promise<void> {
  const works = faults.flatMap((fault) => [() => check(fault), () => worker(fault)]);
  // As many at once as there are processors.
  const next = async () => {
    for (let work = works.shift(); work !== undefined; work = works.shift()) await work();
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, next));
}

async function check({ what, job, says, cure }: Fault): Promise<void> {
  const errors = (await findings(job)).filter(({ level }) => level === "error");
  const place = `check ${job.job}, ${what}: ${JSON.stringify(errors)}`;
  assert.equal(errors.length, 1, place);
  const { subject, found, cure: told = "" } = errors[0]!;
  assert.match(`${subject}: ${found}`, says, place);
  assert.match(found + told, cure, place);
}

async function worker({ what, job, says, cure }: Fault): Promise<void> {
  const { code, stdout, stderr } = await run(job.job, [job]);
  const place = `${job.job}, ${what}: ${stderr}${stdout}`;
  assert.equal(code, 2, place);
  const lines = stderr.split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
  const loud = lines.filter(({ level, event }) => level !== "info" && event !== "check");
  assert.deepEqual(loud.map(({ event }) => event), ["failed"], place);
  const { error } = loud[0];
  assert.match(error, says, place);
  assert.match(error.slice(error.indexOf("To mend:")), cure, place);
}

const STRANGE = () => ({ ca: secret(STRANGER.certificate) });
const RENAMED = () => ({ ...TRUST(), server_name: "other.example" });
const NO_AUTHORITY = /signed by CN=list-sync stack, comes from no authority that this job trusts/;
const EXPIRY = /signed by CN=stranger, has expired or is not valid yet \(from .*Z until .*Z\)/;

const WITHOUT_TLS = {
  pg: /no encryption/,
  mysql: /insecure transport are prohibited/,
  mariadb: /Access denied for user/,
};

/** The faults of a job's way to a database. `make`: the job with that part of it changed. */
function databaseFaults(of: Databases, make: (part: object) => Job, part: string): Fault[] {
  const tls = new RegExp(`${part}\\.tls`);
  return [
    { what: "wrong CA", job: make({ tls: STRANGE() }), says: NO_AUTHORITY, cure: tls },
    {
      what: "wrong server name",
      job: make({ tls: RENAMED() }),
      says: /is another server's: .*other\.example.* not in .*DNS:localhost/,
      cure: tls,
    },
    {
      what: "wrong password",
      job: make({ password: secret("wrong-password-of-a-database") }),
      says: /password authentication failed|Access denied for user/,
      cure: new RegExp(`correct ${part}\\.user and ${part}\\.password`),
    },
    {
      what: "no TLS",
      job: make({ tls: false }),
      says: WITHOUT_TLS[of],
      cure: tls,
    },
  ];
}

Deno.test("databases: wrong authority, name and password, and plain TCP, are refused with the cure", async () => {
  await refused([
    ...BOTH.flatMap((of) => databaseFaults(of, (part) => captureJob(of, part), "source")),
    ...databaseFaults("pg", (part) => seedJob("pg", part), "database"),
    ...databaseFaults("mysql", (part) => verifyJob("mysql", part), "database"),
    {
      what: "TLS to a server that has none",
      job: captureJob("pg", { port: testStack().pg.port }),
      says: /does not support SSL/,
      cure: /turn ssl on at the server; or, where nobody can listen in, leave source\.tls out/,
    },
  ]);
});

Deno.test("databases: a missing grant is refused with the statement that gives it", async () => {
  const { pg, mysql } = stack;
  const as = (of: Databases, role: "replicator" | "writer") => server(of, stack[of].users[role]);
  const administrator = await admin("pg");
  await administrator.sql(`REVOKE SELECT ON public.${RUN} FROM ${pg.users.replicator.user}`);
  await refused([
    {
      what: "no REPLICATION",
      job: captureJob("pg", as("pg", "writer")),
      says: /role: writer lacks the attribute REPLICATION/,
      cure: /ALTER ROLE "writer" REPLICATION/,
    },
    {
      what: "no SELECT for the snapshot",
      job: {
        ...captureJob("pg", { publication: `list_sync_${RUN}_pg` }),
        name: `${RUN}_unread`,
      },
      says: /may not read them, which a snapshot needs/,
      cure: /GRANT SELECT ON/,
    },
    {
      what: "no INSERT",
      job: seedJob("pg", as("pg", "replicator")),
      says: new RegExp(`permission denied for table ${RUN}`),
      cure: new RegExp(`GRANT SELECT, INSERT, .* ON TABLE ${RUN} TO "${pg.users.replicator.user}"`),
    },
    {
      what: "no SELECT",
      job: verifyJob("pg"),
      says: new RegExp(`permission denied for table ${RUN}`),
      cure: new RegExp(`GRANT SELECT.* ON TABLE ${RUN} TO`),
    },
    {
      what: "no INSERT",
      job: seedJob("mysql", as("mysql", "replicator")),
      says: /(INSERT|CREATE) command denied/,
      cure: new RegExp(`GRANT (INSERT|CREATE) ON \`${mysql.database}\`\\.\`${RUN}\` TO`),
    },
    {
      what: "no SELECT",
      job: verifyJob("mysql", {}, { table: "mysql.user" }),
      says: /SELECT command denied|may not read it/,
      cure: /GRANT SELECT/,
    },
  ]);
  await administrator.sql(`GRANT SELECT ON public.${RUN} TO ${pg.users.replicator.user}`);
  await administrator.close();
});

Deno.test("databases: a snapshot of a table without a key is refused with the grant that it takes", async () => {
  const { sql, close } = await admin("mysql");
  await sql(`CREATE TABLE ${RUN}_keyless (v INT)`);
  await close();
  const job: Job = {
    ...captureJob("mysql", { tables: [`${stack.mysql.database}.${RUN}_keyless`] }),
    name: `${RUN}_keyless`,
  };
  const { code, stderr } = await run(job.job, [job]);
  assert.equal(code, 2, stderr);
  assert.match(
    stderr,
    /without a primary key needs a moment .* To mend: GRANT FLUSH_TABLES ON \*\.\* TO 'list_sync'@'127\.0\.0\.1'/,
  );
});

Deno.test("databases: an expired certificate is refused with its dates", async () => {
  const tls = STRANGE();
  const folders = { pg: "postgres", mysql: "mysql" };
  const reload = { pg: "SELECT pg_reload_conf()", mysql: "ALTER INSTANCE RELOAD TLS" };
  // MySQL loads no certificate that has expired already, so this one does it afterwards.
  const until_ms = Date.now() + 3_000;
  const soon = { name: "expired", hosts: ["127.0.0.1"], from: days(-8), until: new Date(until_ms) };
  const { key, certificate } = STRANGER.certify(soon);
  const restore: (() => Promise<void>)[] = [];
  try {
    for (const of of BOTH) {
      const { sql, close } = await admin(of);
      const files = { "ca.pem": STRANGER.certificate, "server.pem": key + certificate };
      const before = Object.keys(files).map((name) => {
        const path = join(stack.dir, folders[of], name);
        return [path, Deno.readTextFileSync(path)] as const;
      });
      restore.push(async () => {
        for (const [path, text] of before) await replace(path, text);
        await sql(reload[of]);
        await close();
      });
      for (const [name, text] of Object.entries(files)) {
        await replace(join(stack.dir, folders[of], name), text);
      }
      await sql(reload[of]);
    }
    // Certificates count whole seconds, and hold to the end of the last.
    await until("the certificate has expired", () => Date.now() > until_ms + 1_000);
    const cure = /new certificate/;
    await refused(BOTH.flatMap((of) => [
      { what: `expired, ${of}`, job: captureJob(of, { tls }), says: EXPIRY, cure },
      { what: `expired, ${of}`, job: seedJob(of, { tls }), says: EXPIRY, cure },
    ]));
  } finally {
    for (const step of restore) await step();
  }
});

/** Writes a file that the server's user owns. */
async function replace(path: string, text: string): Promise<void> {
  Deno.writeTextFileSync(path, text, { mode: 0o600 });
  await giveToServerUser(path);
}

/** The faults of a job's way to the brokers. */
function brokerFaults(
  role: "capture" | "consume",
  client: string,
  make: (part: object) => Job,
): Fault[] {
  const { sasl } = kafka(role);
  const withPart = (part: object) => make({ client, ...part });
  const wrong = { ...sasl, password: secret("wrong-password-of-a-broker") };
  return [
    { what: "wrong CA", job: withPart({ tls: STRANGE() }), says: NO_AUTHORITY, cure: /kafka\.tls/ },
    {
      what: "wrong server name",
      job: withPart({ tls: RENAMED() }),
      says: /is another server's: .*other\.example.* not in .*DNS:localhost/,
      cure: /kafka\.tls\.server_name/,
    },
    {
      what: "wrong password",
      job: withPart({ sasl: wrong }),
      says: /refuses the login/,
      cure: /kafka\.sasl/,
    },
    {
      what: "no login",
      job: withPart({ sasl: undefined }),
      says: /demands a login \(SCRAM-SHA-512, PLAIN\), and kafka\.sasl is missing/,
      cure: /set kafka\.sasl/,
    },
    {
      what: "no TLS",
      job: withPart({ tls: false }),
      says: /speaks only TLS, and kafka\.tls is off/,
      cure: /set kafka\.tls/,
    },
    {
      what: "TLS to a plain port",
      job: withPart({ brokers: testStack().kafka.brokers }),
      says: /speaks no TLS on this port/,
      cure: /TLS port/,
    },
  ];
}

Deno.test("brokers: wrong authority, name and login, plain TCP, and TLS to a plain port, are refused with the cure", async () => {
  await refused([
    ...brokerFaults("capture", "builtin", (part) => captureJob("pg", {}, part)),
    ...brokerFaults("consume", "kafkajs", (part) => consumeJob("pg", part)),
  ]);
});

Deno.test("brokers: an expired certificate is refused with its dates", async () => {
  const listener = await serving(EXPIRED);
  const { port } = listener.address() as AddressInfo;
  const expired = { brokers: [`127.0.0.1:${port}`], tls: STRANGE() };
  const cure = /new certificate/;
  try {
    await refused([
      {
        what: "expired",
        job: captureJob("pg", {}, { ...expired, client: "kafkajs" }),
        says: EXPIRY,
        cure,
      },
      {
        what: "expired",
        job: consumeJob("pg", { ...expired, client: "builtin" }),
        says: EXPIRY,
        cure,
      },
    ]);
  } finally {
    await new Promise<unknown>((resolve) => listener.close(resolve));
  }
});

/** A listener of whose certificate no client gets further: no broker starts with an expired one. */
function serving({ key, certificate }: Certified): Promise<Server> {
  return new Promise((resolve) => {
    const listener = createServer({ key, cert: certificate });
    listener.on("tlsClientError", () => {});
    listener.listen(0, "127.0.0.1", () => resolve(listener));
  });
}

Deno.test("brokers: a missing ACL is refused with the command that gives it", async () => {
  const elsewhere = `other_${RUN}`; // the stack's ACLs are for names that begin otherwise
  const topic = `${elsewhere}.public.${RUN}`;
  await refused([
    ...["builtin", "kafkajs"].map((client): Fault => ({
      what: `no right to write, ${client}`,
      job: {
        ...captureJob("pg", { publication: `list_sync_${RUN}_pg` }, { client }),
        name: elsewhere,
        include_schema_changes: false, // its topic is one more of these
      },
      says: new RegExp(`topic ${topic.replaceAll(".", "\\.")}: capture has no right to it`),
      cure: new RegExp(
        `User:capture --operation Create .*--operation Write .*--topic ${elsewhere}`,
      ),
    })),
    ...["builtin", "kafkajs"].map((client): Fault => ({
      what: `no right to read, ${client}`,
      job: { ...consumeJob("pg", { client }), topics: [topic] },
      says: /consume has no right to it/,
      cure: /User:consume --operation Read --topic/,
    })),
    {
      what: "no right to the topic of changes that are too large",
      job: {
        ...captureJob("pg", { publication: `list_sync_${RUN}_pg` }),
        on_oversize: "dead_letter",
        dead_letter_topic: `${elsewhere}.oversize`,
      },
      says: new RegExp(`topic ${elsewhere}\\.oversize: capture has no right to it`),
      cure: new RegExp(`User:capture --operation Create .*--topic ${elsewhere}\\.oversize`),
    },
    {
      what: "no right to the group",
      job: { ...consumeJob("pg"), group_id: elsewhere },
      says: new RegExp(`group ${elsewhere}: consume has no right to it`),
      cure: new RegExp(`User:consume --operation Read --group ${elsewhere}`),
    },
  ]);
});

/** Carries out the command of kafka-acls.sh that is a cure. */
async function allow(cure: string): Promise<void> {
  const options = [...cure.matchAll(/--([a-z-]+) ([^-\s]\S*)/g)];
  const values = (name: string) =>
    options.filter(([, other]) => other === name).map(([, , value]) => value!);
  const resource = ["topic", "transactional-id"].find((kind) => values(kind).length > 0);
  const [principal] = values("allow-principal");
  const [pattern = "literal"] = values("resource-pattern-type");
  const acls = values("operation").map((operation) => ({
    resourceType: ResourceTypes[upper(resource!) as keyof typeof ResourceTypes],
    resourceName: values(resource!)[0]!,
    resourcePatternType: ResourcePatternTypes[upper(pattern) as keyof typeof ResourcePatternTypes],
    principal: principal!,
    host: "*",
    operation: AclOperations[
      upper(operation.replace(/\B[A-Z]/g, "-$&")) as keyof typeof AclOperations
    ],
    permissionType: AclPermissionTypes.ALLOW,
  }));
  await grantAcls(stack.kafka, acls);
}

/** `transactional-id` → `TRANSACTIONAL_ID`. */
function upper(words: string): string {
  return words.toUpperCase().replaceAll("-", "_");
}

/** A topic with one change under a definition that is nowhere, and what publishes the definition. */
async function poisonedTopic(topic: string) {
  const { brokers, ca, users } = stack.kafka;
  const { user: username, password } = users!.capture;
  const client = await openKafka(
    kafkaOptions.parse({
      brokers,
      tls: { ca: Deno.readTextFileSync(ca!) },
      sasl: { mechanism: "scram-sha-512", username, password },
    }),
    SILENT,
  );
  const admin = await client.admin();
  await admin.createTopics([
    schemasTopic(3),
    { name: topic, partitions: 1, replication_factor: 3, config: {} },
  ]);
  await admin.close();
  const fence = { partitions: [], ids: [] };
  const producer = await client.producer({ transactional_id: `list-sync-${topic}`, fence });
  const row = change(1, "c", { after: [1, "category", "domain"] });
  const record = { ...encoded(format, row), timestamp_ms: Date.now() };
  await producer.send([{ topic, partition: 0, records: [record] }]);
  return {
    publish: () => producer.send([schemaBatch(row.source, row.table, Date.now())]),
    [Symbol.asyncDispose]: () => producer.close(),
  };
}

/** Runs a command that must be refused with one line; answers the cure in it. */
async function refusedCommand(
  command: string,
  job: Job,
  words: { before?: string[]; behind?: string[] },
  cure: RegExp,
): Promise<string> {
  const ended = await run(`commands/${command}`, [job], words.before, words.behind);
  assert.equal(ended.code, 2, ended.stderr + ended.stdout);
  const [, told] = /^[^\n]*To mend: ([^\n]*)\n$/.exec(ended.stderr) ?? [];
  assert.match(told ?? "", cure, ended.stderr);
  return told!;
}

const NO_CHANGES = { c: 0, u: 0, d: 0, r: 0, t: 0 };

Deno.test("dead letters are set aside, read and replayed with just the rights that the errors name", async () => {
  const topic = `${RUN}_poison`;
  await using poison = await poisonedTopic(topic);
  const consumer = (group_id: string, more: object = {}): Job => ({
    ...consumeJob("pg", { client: "builtin" }),
    name: topic,
    group_id,
    topics: [topic],
    on_error: "dead_letter",
    sink: { output: `${FOLDER}/${group_id}` },
    ...more,
  });
  const [job, other] = [consumer(topic), consumer(`${RUN}_other`)];
  const letters = `${topic}.dead-letters`;
  const lacks = async (job: Job) => (await findings(job)).filter(({ level }) => level === "error");
  const [topicLack, idLack] = await lacks(job);
  const [otherTopicLack] = await lacks(other);
  await allow(idLack!.cure!);
  await allow(otherTopicLack!.cure!);
  await refused([
    {
      what: "no right to the dead letter topic",
      job,
      says: new RegExp(`topic ${letters}: it is not there, and consume may not create it`),
      cure: new RegExp(
        `--operation Create --operation Read --operation Write --operation DescribeConfigs --topic ${letters}`,
      ),
    },
    {
      what: "no right to the ids under which dead letters are sent",
      job: other,
      says: /transactional-id list-sync-dead-letters-\S+: consume has no right to it/,
      cure: /--operation Write --transactional-id \S+ --resource-pattern-type prefixed/,
    },
  ]);
  await allow(topicLack!.cure!);
  const [consumed] = await task("consume", [job]);
  assert.deepEqual([consumed!["dead_letters"], consumed!["changes"]], [1, NO_CHANGES]);
  const [letter] = await task("dead_letters", [job], "list");
  assert.deepEqual([letter!["reason"], letter!["status"]], ["schema", "waiting"]);

  await poison.publish();
  const unseen = { ...job, dead_letter_topic: `other_${letters}` };
  const list = { before: ["list"] };
  await refusedCommand("dead_letters", unseen, list, /--operation Read --topic other_/);
  const toWrite = new RegExp(`--operation Write --topic ${topic}$`);
  await allow(await refusedCommand("dead_letters", job, { before: ["replay"] }, toWrite));
  const [replayed] = await task("dead_letters", [job], "replay");
  assert.deepEqual((replayed!["replayed"] as unknown[]).length, 1, JSON.stringify(replayed));
  const [again] = await task("consume", [job]);
  assert.deepEqual([again!["dead_letters"], again!["changes"]], [0, { ...NO_CHANGES, c: 1 }]);
});

Deno.test("a table is read again under a running capture once its user may write the signal table", async () => {
  await Promise.all(BOTH.map(async (of) => {
    const { database } = stack[of];
    const schema = of === "pg" ? "public" : database;
    const table = `${RUN}_signal`;
    const { sql, close } = await admin(of);
    await sql(createSignalTable(`${schema}.${table}`));
    const publication = `list_sync_${RUN}_pg`;
    if (of === "pg") await sql(`ALTER PUBLICATION ${publication} ADD TABLE ${schema}.${table}`);
    const job: Job = {
      ...captureJob(of, {
        snapshot: "never",
        signal_table: `${schema}.${table}`,
        ...of === "pg" ? { publication } : {},
      }),
      name: `${RUN}_again_${of}`,
      mode: "stream",
    };
    await using running = new WorkerProcess(FOLDER, job.job, job, ["--json"]);
    await running.event("capture_started");
    const asked = `${schema}.${RUN}`;
    const behind = { behind: [asked] };
    await sql(await refusedCommand("snapshot", job, behind, /^GRANT (SELECT, )?INSERT ON /));
    const { code, stderr } = await run("commands/snapshot", [job], [], [asked]);
    assert.equal(code, 0, stderr);
    const { rows } = await running.event("incremental_snapshot_finished");
    assert.ok(Number(rows) >= ROWS / 4, `${rows} rows; log: ${running.log_file}`);
    await running.stop();
    await close();
  }));
});

Deno.test("a password that is changed under a running capture ends it, and with the new one nothing is lost", async () => {
  const { user, password } = stack.pg.users.replicator;
  const administrator = await admin("pg");
  const job: Job = { ...captureJob("pg"), mode: "stream" };
  await using running = new WorkerProcess(FOLDER, "capture-pg", job);
  await running.event("capture_started");
  await administrator.sql(`ALTER ROLE ${user} PASSWORD 'changed-while-it-ran'`);
  await administrator.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${user}'`,
  );
  await running.ended(2);
  const { error } = await running.event("failed");
  assert.match(String(error), /password authentication failed.*To mend: correct source\.user/);
  await done(seedJob("pg"));
  const { changes } = await done(captureJob("pg", { password: secret("changed-while-it-ran") }));
  assert.equal((changes as { c: number }).c, ROWS / 2);
  await administrator.sql(`ALTER ROLE ${user} PASSWORD '${password}'`);
  await administrator.close();
});

Deno.test("remove takes away what the captures made, their topics as well", async () => {
  for (const of of BOTH) {
    const { code, stdout, stderr } = await run(
      "commands/remove",
      [captureJob(of)],
      ["--topics", "--yes"],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Forgot the position of/);
    assert.ok(stdout.includes(`Deleted topic ${topicOf(of)}.`), stdout);
  }
});

Deno.test("the launcher starts no worker for a login that the brokers refuse", async () => {
  const { sasl } = kafka("capture");
  const job = captureJob("pg", {}, {
    sasl: { ...sasl, password: secret("wrong-password-of-a-broker") },
  });
  const { code, stderr } = await run("commands/capture", [job]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /^[^\n]*refuses the login[^\n]*To mend: correct kafka\.sasl[^\n]*\n$/);
});

Deno.test("stack env tells what jobs need, and stack status no password", async () => {
  const path = `${FOLDER}/stack.log`;
  const stackCommand = async (action: string) => {
    const script = ["run", "-A", "workers/commands/stack.ts"];
    const { code, stdout, stderr } = await runDeno([...script, action, "--name", NAME, "--json"]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const env = JSON.parse(await stackCommand("env"));
  assert.equal(env["CA_FILE"], stack.kafka.ca);
  const { capture, consume } = stack.kafka.users!;
  assert.deepEqual(
    [env["KAFKA_CAPTURE_USER"], env["KAFKA_CAPTURE_PASSWORD"]],
    [capture.user, capture.password],
  );
  assert.equal(env["KAFKA_CONSUME_PASSWORD"], consume.password);
  Deno.writeTextFileSync(path, await stackCommand("status")); // searched below, with the logs
});

Deno.test("a broker that is killed under running workers is waited for, and not taken for a refused login", async () => {
  const name = `${RUN}_killed`;
  const topics = [topicOf("mysql").replace(`${RUN}_mysql`, name)];
  const sink = { output: `${FOLDER}/killed` };
  const mode = "stream";
  const source = { snapshot: "never" };
  const capture: Job = { ...captureJob("mysql", source, { client: "kafkajs" }), name, mode };
  const consume: Job = { ...consumeJob("mysql"), name, mode, topics, topic_refresh_ms: 100, sink };
  await using capturing = new WorkerProcess(FOLDER, capture.job, capture);
  await using consuming = new WorkerProcess(FOLDER, consume.job, consume);
  await capturing.event("capture_started");
  const made = done(seedJob("mysql", {}, { rate: 200 }));
  await consuming.event("partitions_assigned");
  Deno.kill(stack.servers.find(({ name }) => name === "kafka-2")!.pid, "SIGKILL");
  const { inserted, updated, deleted } = await made as Record<string, number>;
  const expected = inserted! + 2 * updated! + deleted!;
  const said = () => `${countRows(sink.output)} of ${expected} rows; logs in ${FOLDER}`;
  await until(said, () => {
    for (const worker of [capturing, consuming]) worker.refuseEnded();
    return countRows(sink.output) >= expected;
  }, 2 * DEADLINE_MS);
  await Promise.all([capturing.stop(), consuming.stop()]);
  assert.equal(countRows(sink.output), expected);
});

/** Data rows of all CSV files below a folder. */
function countRows(folder: string): number {
  const lines = filesUnder(folder).filter((path) => /\.csv(\.part)?$/.test(path))
    .flatMap((path) => Deno.readTextFileSync(path).split("\n"));
  return lines.filter((line) => /^[cud],/.test(line)).length;
}

Deno.test("keys and passwords are readable by their owner alone, and stand in no log", async () => {
  const secrets = [
    "wrong-password-of-a-database",
    "wrong-password-of-a-broker",
    "changed-while-it-ran",
    ...Object.values(stack.kafka.users!).map(({ password }) => password),
    ...[...BOTH, "mariadb" as const].flatMap((of) =>
      Object.values(stack[of].users).map(({ password }) => password)
    ),
  ];
  const files = [...filesUnder(stack.dir), ...filesUnder(FOLDER)];
  const keys = files.filter((path) => /\.(pem|properties|json)$|stack\.json/.test(path));
  const holding = keys.filter((path) => {
    const text = Deno.readTextFileSync(path);
    return text.includes("PRIVATE KEY") || secrets.some((secret) => text.includes(secret));
  });
  const closed = holding.map((path) => (Deno.statSync(path).mode! & 0o777).toString(8));
  assert.deepEqual([...new Set(closed)], ["600"], holding.join(", "));
  assert.ok(holding.length >= 9, `keys of three brokers and two databases: ${holding.join(", ")}`);
  const logs = files.filter((path) => path.endsWith(".log"));
  assert.ok(logs.length > 20, `${logs.length} logs of servers and workers`);
  for (const path of logs) {
    const text = Deno.readTextFileSync(path);
    for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} in ${path}`);
    assert.ok(!text.includes("PRIVATE KEY"), path);
  }
});
