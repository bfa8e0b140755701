/** What workers may do: no more than a list written here, nothing of it in vain, and nowhere else. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { type Ended, runDeno } from "../command.ts";
import { testStack } from "../stack.ts";

const STACK = testStack();
const RUN = `perm_${crypto.randomUUID().slice(0, 8)}`;
const METRICS_PORT = freePort();
const SEEDED_ROWS = 20;

const PG = `${STACK.pg.host}:${STACK.pg.port}`;
const MYSQL = `${STACK.mysql.host}:${STACK.mysql.port}`;
const METRICS = `127.0.0.1:${METRICS_PORT}`;
const ENV = {
  PERM_PG_PASSWORD: STACK.pg.users.replicator.password,
  PERM_PG_WRITER_PASSWORD: STACK.pg.users.writer.password,
  PERM_MYSQL_PASSWORD: STACK.mysql.users.replicator.password,
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

/** The jobs under test, and all that each may be granted. */
function jobs(folder: string) {
  const password = (name: keyof typeof ENV) => `\${env:${name}}`;
  const kafka = { brokers: [STACK.kafka.brokers[0]!] };
  const observe = { metrics_port: METRICS_PORT };
  // Not there: the consumer makes it, though it may not look at the folders above.
  const output = `${folder}/made/by/worker`;
  const seed = {
    job: "seed",
    name: `${RUN}_seed`,
    rows: SEEDED_ROWS,
    table: `public.${RUN}`,
    database: {
      kind: "postgresql",
      host: STACK.pg.host,
      port: STACK.pg.port,
      database: STACK.pg.database,
      user: STACK.pg.users.writer.user,
      password: password("PERM_PG_WRITER_PASSWORD"),
    },
    observe,
  };
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
      tables: [`public.${RUN}`],
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
  const consume = {
    job: "consume-csv",
    name: `${RUN}_csv`,
    mode: "batch",
    topics: [`${RUN}.public.${RUN}`],
    kafka,
    sink: { output },
    observe,
  };
  const listed = (
    job: { name: string },
    allowed: { net: string[]; env: string[]; read?: string[]; write?: string[] },
  ) => {
    const path = `${folder}/${job.name}.yaml`;
    Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 2));
    return {
      path,
      allowed: {
        net: [...allowed.net, METRICS].sort(),
        read: [path, ...allowed.read ?? []].sort(),
        write: allowed.write ?? [],
        env: allowed.env,
      },
    };
  };
  const brokers = STACK.kafka.brokers;
  return [
    listed(seed, { net: [PG], env: ["PERM_PG_WRITER_PASSWORD"] }),
    listed(capturePg, { net: [PG, ...brokers], env: ["PERM_PG_PASSWORD"], read: [WASM] }),
    listed(captureMysql, { net: [MYSQL, ...brokers], env: ["PERM_MYSQL_PASSWORD"], read: [WASM] }),
    listed(consume, { net: brokers, env: [], read: [WASM, output], write: [output] }),
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

const folder = Deno.makeTempDirSync({ prefix: "list-sync-permissions-" });
const LISTED = jobs(folder);
const [SEED, CAPTURE_PG, CAPTURE_MYSQL] = LISTED.map(({ path }) => path) as [
  string,
  string,
  string,
];

for (const { path, allowed } of LISTED) {
  const name = path.slice(folder.length + 1).replace(RUN, "NAME");

  Deno.test(`${name}: grants are just those listed here`, async () => {
    const { command, ...granted } = await permissionsOf(path);
    assert.deepEqual(granted, allowed);
    const flags = command.filter((word) => word.startsWith("--allow"));
    const kinds = flags.map((flag) => flag.split("=")[0]);
    const wanted = allowed.write.length > 0
      ? ["--allow-net", "--allow-read", "--allow-write", "--allow-env"]
      : ["--allow-net", "--allow-read", "--allow-env"];
    assert.deepEqual(kinds, wanted);
  });

  Deno.test(`${name}: the worker does its work with them`, async () => {
    const { command } = await permissionsOf(path);
    const work = async () => {
      const { code, stdout, stderr } = await deno([...command.slice(1), "--json"]);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
    const result = await work();
    if (path === SEED) await sql(`CREATE PUBLICATION list_sync_${RUN} FOR TABLE public.${RUN}`);
    if (path !== CAPTURE_PG) return;
    assert.equal(result.changes.c, 0, "it begins at the end of the log");
    await deno(["run", "-A", "workers/seed.ts", SEED]);
    assert.equal((await work()).changes.c, SEEDED_ROWS / 2);
  });

  Deno.test(`${name}: without any one of them it refuses to start and names it`, async () => {
    const { command } = await permissionsOf(path);
    for (const kind of ["net", "read", "write"] as const) {
      for (const value of allowed[kind]) {
        const { code, stderr } = await deno(without(command.slice(1), kind, value));
        assert.equal(code, 2, `--allow-${kind} without ${value}: ${stderr}`);
        assert.ok(stderr.includes(value), `--allow-${kind} without ${value}: ${stderr}`);
      }
    }
    for (const variable of allowed.env) {
      const { code, stderr } = await deno(command.slice(1), { ...ENV, [variable]: "" });
      assert.equal(code, 2, `${variable} empty: ${stderr}`);
      assert.match(stderr, new RegExp(`the environment variable ${variable} is empty`));
    }
  });

  Deno.test(`${name}: a connection elsewhere is refused`, async () => {
    const { command } = await permissionsOf(path);
    const elsewhere = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const probe = `${folder}/probe.ts`;
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

Deno.test("offline, only the job's own list of brokers is granted", async () => {
  const { net } = await permissionsOf(CAPTURE_PG, "--offline");
  assert.deepEqual(net, [PG, STACK.kafka.brokers[0]!, METRICS].sort());
});

Deno.test("a refused connection names the line of the job that would allow it", async () => {
  const { command } = await permissionsOf(CAPTURE_PG);
  const { stderr } = await deno(without(command.slice(1), "net", PG));
  const line = Deno.readTextFileSync(CAPTURE_PG).split("\n")
    .findIndex((text) => text.includes('"host"')) + 1;
  assert.ok(stderr.includes(`${CAPTURE_PG}:${line}:5 source.host`), stderr);
  assert.ok(stderr.includes(`--allow-net=${PG}`), stderr);
});

Deno.test("what the tests made is dropped again", async () => {
  for (const path of [CAPTURE_PG, CAPTURE_MYSQL]) {
    const { code, stderr } = await deno(
      ["run", "-A", "workers/commands/remove.ts", "--topics", "--yes", path],
    );
    assert.equal(code, 0, stderr);
  }
  await sql(`DROP PUBLICATION list_sync_${RUN}`, `DROP TABLE public.${RUN}`);
  Deno.removeSync(folder, { recursive: true });
});
