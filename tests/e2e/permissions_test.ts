/** What workers may do: no more than a list written here, nothing of it in vain, and nowhere else. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { type JobKind, jobKinds } from "../../workers/jobs.ts";
import { type Ended, runDeno } from "../command.ts";
import { testFolder, testStack } from "../stack.ts";
import { inTurn } from "../steps.ts";

const STACK = testStack();
const RUN = `perm_${crypto.randomUUID().slice(0, 8)}`;
const METRICS_PORT = freePort();
const SEEDED_ROWS = 20;

const PG = `${STACK.pg.host}:${STACK.pg.port}`;
const MYSQL = `${STACK.mysql.host}:${STACK.mysql.port}`;
/** None runs here: what is granted is known without. */
const MARIADB = "mariadb.example:3306";
const METRICS = `127.0.0.1:${METRICS_PORT}`;
const ENV = {
  PERM_PG_PASSWORD: STACK.pg.users.replicator.password,
  PERM_PG_WRITER_PASSWORD: STACK.pg.users.writer.password,
  PERM_MYSQL_PASSWORD: STACK.mysql.users.replicator.password,
  PERM_MARIADB_PASSWORD: "unused",
};

/** The Kafka clients' compression, read when it is loaded. */
const WASM = fileURLToPath(
  new URL("native.wasm", import.meta.resolve("@platformatic/wasm-utils")),
);

interface Permissions {
  readonly net: string[];
  readonly read: string[];
  readonly write: string[];
  readonly env: string[];
  readonly command: string[];
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

function deno(args: readonly string[], env: Record<string, string> = ENV): Promise<Ended> {
  return runDeno(args, env);
}

async function permissionsOf(path: string, ...options: string[]): Promise<Permissions> {
  const { code, stdout, stderr } = await deno(
    ["run", "-A", "workers/commands/permissions.ts", "--json", ...options, path],
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Permissions;
}

/** All that a job may be granted. */
interface Allowed {
  readonly net: string[];
  readonly read: string[];
  readonly write: string[];
  readonly env: string[];
}

/** A job of each kind, in an order in which they can run, and all that it may be granted. */
function jobs(folder: string) {
  const password = (name: keyof typeof ENV) => `\${env:${name}}`;
  const kafka = { brokers: [STACK.kafka.brokers[0]!] };
  const observe = { metrics_port: METRICS_PORT };
  // Not there: the consumer makes it, though it may not look at the folders above.
  const output = `${folder}/made/by/worker`;
  const scratch = `${folder}/scratch`;
  const topic = `${RUN}.public.${RUN}`;
  const table = `public.${RUN}`;
  const database = {
    kind: "postgresql",
    host: STACK.pg.host,
    port: STACK.pg.port,
    database: STACK.pg.database,
    user: STACK.pg.users.writer.user,
    password: password("PERM_PG_WRITER_PASSWORD"),
  };
  const seed = { job: "seed", name: `${RUN}_seed`, rows: SEEDED_ROWS, table, database, observe };
  const capturePg = {
    job: "capture-pg",
    name: RUN,
    mode: "batch",
    source: {
      host: STACK.pg.host,
      port: STACK.pg.port,
      database: STACK.pg.database,
      user: STACK.pg.users.replicator.user,
      password: password("PERM_PG_PASSWORD"),
      tables: [table],
      snapshot: "never",
    },
    kafka,
    observe,
  };
  const captureMysql = {
    job: "capture-mysql",
    name: `${RUN}_mysql`,
    mode: "batch",
    source: {
      host: STACK.mysql.host,
      port: STACK.mysql.port,
      user: STACK.mysql.users.replicator.user,
      password: password("PERM_MYSQL_PASSWORD"),
      tables: [`${STACK.mysql.database}.*`],
      snapshot: "never",
    },
    kafka,
    observe,
  };
  const captureMariadb = {
    job: "capture-mariadb",
    name: `${RUN}_mariadb`,
    source: {
      host: "mariadb.example",
      user: "capture",
      password: password("PERM_MARIADB_PASSWORD"),
      tables: ["shop.*"],
    },
    kafka,
    observe,
  };
  const consume = {
    job: "consume-csv",
    name: `${RUN}_csv`,
    mode: "batch",
    topics: [topic],
    kafka,
    sink: { output },
    observe,
  };
  const verify = {
    job: "verify",
    name: `${RUN}_verify`,
    table,
    topic,
    database,
    files: { output },
    scratch,
    observe,
  };
  const listed = (job: { job: string; name: string }, allowed: Partial<Allowed>) => {
    const path = `${folder}/${job.name}.yaml`;
    Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 2));
    const { net = [], read = [], write = [], env = [] } = allowed;
    const all = { net: [...net, METRICS].sort(), read: [path, ...read].sort(), write, env };
    return { kind: job.job as JobKind, path, allowed: all };
  };
  const brokers = STACK.kafka.brokers;
  const writer = ["PERM_PG_WRITER_PASSWORD"];
  return [
    listed(seed, { net: [PG], env: writer }),
    listed(capturePg, { net: [PG, ...brokers], env: ["PERM_PG_PASSWORD"], read: [WASM] }),
    listed(captureMysql, { net: [MYSQL, ...brokers], env: ["PERM_MYSQL_PASSWORD"], read: [WASM] }),
    listed(captureMariadb, {
      net: [MARIADB, ...brokers],
      env: ["PERM_MARIADB_PASSWORD"],
      read: [WASM],
    }),
    listed(consume, { net: brokers, read: [WASM, output], write: [output] }),
    listed(verify, { net: [PG], env: writer, read: [output, scratch], write: [scratch] }),
  ];
}

/** The command with one value taken out of one list; the whole flag when it was the only one. */
function without(command: readonly string[], kind: string, value: string): string[] {
  return command.flatMap((word) => {
    if (!word.startsWith(`--allow-${kind}=`)) return [word];
    const rest = word.slice(`--allow-${kind}=`.length).split(",").filter((one) => one !== value);
    return rest.length === 0 ? [] : [`--allow-${kind}=${rest.join(",")}`];
  });
}

/** Statements by the stack's own administrator: what the capture's role has no right to do. */
async function sql(...statements: string[]): Promise<void> {
  const { host, port, database, users } = STACK.pg;
  const client = new pg.Client({ host, port, database, ...users.admin });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

const FOLDER = testFolder(RUN);
const LISTED = jobs(FOLDER);
/** Those whose servers run here. */
const RUNNING = LISTED.filter(({ kind }) => kind !== "capture-mariadb");

function pathOf(kind: JobKind): string {
  return LISTED.find((listed) => listed.kind === kind)!.path;
}

Deno.test("there is a list for each kind of job", () => {
  assert.deepEqual(LISTED.map(({ kind }) => kind).sort(), Object.keys(jobKinds).sort());
});

for (const { kind, path, allowed } of LISTED) {
  Deno.test(`${kind}: grants are just those listed here`, async () => {
    const { command, ...granted } = await permissionsOf(path);
    assert.deepEqual(granted, allowed);
    const flags = command.filter((word) => word.startsWith("--allow"));
    const kinds = flags.map((flag) => flag.split("=")[0]);
    const wanted = allowed.write.length > 0
      ? ["--allow-net", "--allow-read", "--allow-write", "--allow-env"]
      : ["--allow-net", "--allow-read", "--allow-env"];
    assert.deepEqual(kinds, wanted);
  });

  Deno.test(`${kind}: a connection elsewhere is refused`, async () => {
    const { command } = await permissionsOf(path);
    const elsewhere = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const probe = `${FOLDER}/${kind}-probe.ts`;
    Deno.writeTextFileSync(
      probe,
      `await Deno.connect({ hostname: "127.0.0.1", port: ${elsewhere.addr.port} });`,
    );
    try {
      const flags = command.slice(1).filter((word) => word === "run" || word.startsWith("--"));
      const { code, stderr } = await deno([...flags, probe]);
      assert.equal(code, 1);
      assert.match(stderr, /NotCapable: Requires net access/);
    } finally {
      elsewhere.close();
    }
  });
}

for (const { kind, path, allowed } of RUNNING) {
  Deno.test(`${kind}: without any one grant it refuses to start and names it`, async () => {
    const { command } = await permissionsOf(path);
    for (const kind of ["net", "read", "write"] as const) {
      for (const value of allowed[kind]) {
        const { code, stderr } = await deno(without(command.slice(1), kind, value));
        assert.equal(code, 2, `--allow-${kind} without ${value}: ${stderr}`);
        const words = value === path ? ["Cannot read", path] : [`--allow-${kind}`, value];
        const found = words.filter((word) => stderr.includes(word));
        assert.deepEqual(found, words, `--allow-${kind} without ${value}: ${stderr}`);
      }
    }
    for (const variable of allowed.env) {
      const { code, stderr } = await deno(command.slice(1), { ...ENV, [variable]: "" });
      assert.equal(code, 2, `${variable} empty: ${stderr}`);
      assert.match(stderr, new RegExp(`the environment variable ${variable} is empty`));
    }
  });
}

/** Runs the worker of this kind with its grants alone, and answers its result. */
async function work(kind: JobKind) {
  const { command } = await permissionsOf(pathOf(kind));
  const { code, stdout, stderr } = await deno([...command.slice(1), "--json"]);
  assert.equal(code, 0, `${kind}: ${stderr}`);
  return JSON.parse(stdout);
}

async function dropAll(): Promise<void> {
  for (const kind of ["capture-pg", "capture-mysql"] as const) {
    const { code, stderr } = await deno(
      ["run", "-A", "workers/commands/remove.ts", "--topics", "--yes", pathOf(kind)],
    );
    assert.equal(code, 0, stderr);
  }
  await sql(
    `DROP PUBLICATION IF EXISTS list_sync_${RUN}`,
    `DROP TABLE IF EXISTS public.${RUN}`,
  );
}

Deno.test("workers do their work with their grants alone", async (t) => {
  try {
    await inTurn(t, {
      async "seed makes its table"() {
        await work("seed");
        await sql(
          `TRUNCATE public.${RUN}`,
          `CREATE PUBLICATION list_sync_${RUN} FOR TABLE public.${RUN}`,
        );
      },
      async "capture-pg begins at the end of the log, and captures what seed writes then"() {
        assert.equal((await work("capture-pg")).changes.c, 0);
        await work("seed");
        assert.equal((await work("capture-pg")).changes.c, SEEDED_ROWS / 2);
      },
      async "capture-mysql comes to the end of the log"() {
        await work("capture-mysql");
      },
      async "consume-csv writes what was captured"() {
        assert.equal((await work("consume-csv")).changes.c, SEEDED_ROWS / 2);
      },
      async "verify finds the files equal to the table"() {
        assert.equal((await work("verify")).verified, true);
      },
    });
  } finally {
    await dropAll();
  }
});

Deno.test("offline, only the job's own list of brokers is granted", async () => {
  const { net } = await permissionsOf(pathOf("capture-pg"), "--offline");
  assert.deepEqual(net, [PG, STACK.kafka.brokers[0]!, METRICS].sort());
});

Deno.test("a refused connection names the line of the job that would allow it", async () => {
  const path = pathOf("capture-pg");
  const { command } = await permissionsOf(path);
  const { stderr } = await deno(without(command.slice(1), "net", PG));
  const line = Deno.readTextFileSync(path).split("\n")
    .findIndex((text) => text.includes('"host"')) + 1;
  assert.ok(stderr.includes(`${path}:${line}:5 source.host`), stderr);
  assert.ok(stderr.includes(`--allow-net=${PG}`), stderr);
});
