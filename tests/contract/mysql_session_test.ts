/** Sessions with MySQL that end: given up while they wait for an answer, or lost while nothing is asked. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connectMysql } from "../../shared/database/mysql.ts";
import { MysqlSession } from "../../shared/sources/mysql/connection.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { databases } from "../databases.ts";

const DEADLINE_MS = 20_000;

Deno.test("a question under way ends with an error when its session is closed", async () => {
  const { host, port, user, password } = databases().find(({ name }) => name === "MySQL")!.reader;
  const options = mysqlOptions.parse({ host, port, user, password, tables: ["shop.any"] });
  const session = await MysqlSession.connect(options, "list-sync test");
  const asked = session.query("SELECT SLEEP(60)");
  const closing = setTimeout(() => session.close(), 100);
  const late = Promise.withResolvers<never>();
  const deadline = setTimeout(
    () => late.reject(new Error(`the question has no answer after ${DEADLINE_MS} ms`)),
    DEADLINE_MS,
  );
  try {
    await assert.rejects(Promise.race([asked, late.promise]), { code: "PROTOCOL_CONNECTION_LOST" });
  } finally {
    clearTimeout(deadline);
    clearTimeout(closing);
  }
});

Deno.test("a connection that is lost while nothing is asked is told by the next query, and ends nobody", async () => {
  const { database } = databases().find(({ name }) => name === "MySQL")!;
  const [lost, other] = [await connectMysql(database), await connectMysql(database)];
  try {
    const { stream } = (lost as unknown as { connection: { stream: Socket } }).connection;
    const closed = once(stream, "close", { signal: AbortSignal.timeout(DEADLINE_MS) });
    await other.query(`KILL ${lost.threadId}`);
    await closed;
    await assert.rejects(lost.query("SELECT 1"), /closed|lost/i);
  } finally {
    lost.destroy();
    other.destroy();
  }
});
