import { seed } from "/work/main/shared/seed/seed.ts";
import { writers } from "/work/main/shared/seed/mod.ts";
import { seedOptions } from "/work/main/shared/seed/options.ts";
const stack = JSON.parse(Deno.readTextFileSync("/work/main/.stack/default/stack.json"));
const [kind, rows, connections, batch] = Deno.args;
const s = kind === "mysql" ? stack.mysql : stack.pg;
const o = seedOptions.parse({ rows: Number(rows), connections: Number(connections), batch: Number(batch), table: Deno.args[4] ?? "seedtest",
 database: { kind, host: s.host, port: s.port, database: s.database, ...s.users.admin } });
const { database, table, replica_identity, ...plan } = o;
const r = await seed(o, { open: () => writers[o.database.kind](o), now: () => performance.now(), progress: () => {}, signal: new AbortController().signal });
console.log(kind, rows, connections, batch, r, Math.round((r.inserted+r.updated+r.deleted)/r.seconds), Deno.memoryUsage().rss/1e6);
