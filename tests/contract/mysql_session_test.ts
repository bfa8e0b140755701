/** A session with MySQL that is given up while it waits for an answer. */
import assert from "node:assert/strict";
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
