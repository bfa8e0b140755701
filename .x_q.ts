import mysql from "mysql2/promise";
const s = JSON.parse(Deno.readTextFileSync("/work/main/.stack/default/stack.json")).mysql;
const c = await mysql.createConnection({host:s.host,port:s.port,database:s.database,...s.users.admin});
for (const q of Deno.args) console.log((await c.query(q))[0]);
await c.end();
