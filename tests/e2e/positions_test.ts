/** A capture that was set back, and the consumer that follows it. */
import assert from "node:assert/strict";
import pg from "pg";
import { commandRunner } from "../command.ts";
import { databases } from "../databases.ts";
import { Scenario } from "../scenario.ts";
import { testStack } from "../stack.ts";

Deno.test("files hold the table's content after changes came again; the consumer's place is shown, not moved", async () => {
  const db = databases().find(({ name }) => name === "MySQL")!;
  const scenario = new Scenario(db, { format: "json", mode: "batch" });
  const command = commandRunner(scenario.folder);
  const batch = async () => {
    await using worker = scenario.capture();
    await worker.ended();
  };
  await scenario.createTable();
  await batch();
  const shown = await command("positions", scenario.captureJob(), "show", "--json");
  const { file, offset } = JSON.parse(shown.stdout).stored.resume;
  await scenario.seed(200);
  await batch();
  await using first = scenario.consume();
  await first.ended();
  const set = await command(
    ...["positions", scenario.captureJob(), "set", "--to", `${file}:${offset}`, "--yes"] as const,
  );
  assert.equal(set.code, 0, set.stderr);
  await batch();

  const { code, stdout, stderr } = await command(
    ...["positions", scenario.consumeJob(), "show", "--json"] as const,
  );
  assert.equal(code, 0, stderr);
  const { group_id, partitions } = JSON.parse(stdout) as {
    group_id: string;
    partitions: { lag_records: number; journal_offset: number; committed_offset: number }[];
  };
  assert.equal(group_id, scenario.name);
  const lag = partitions.reduce((sum, { lag_records }) => sum + lag_records, 0);
  const markers = partitions.length; // of the fence, an offset each
  assert.ok(lag >= 200 && lag <= 200 + markers, stdout);
  const offsets = partitions.map(({ journal_offset }) => journal_offset);
  assert.deepEqual(partitions.map(({ committed_offset }) => committed_offset), offsets);
  const reset = await command("positions", scenario.consumeJob(), "reset", "--yes");
  assert.equal(reset.code, 2, reset.stdout);
  assert.match(reset.stderr, /empty sink\.output and another group_id/);

  await using second = scenario.consume();
  await second.ended();
  await scenario.verify({ complete_history: false });
});

Deno.test("PostgreSQL: where the publication is gone check says so, a start too, and its cure brings the rows again", async () => {
  const db = databases().find(({ name }) => name === "PostgreSQL")!;
  const scenario = new Scenario(db, { format: "json", mode: "batch", snapshot: "initial" });
  const command = commandRunner(scenario.folder);
  const { host, port, database, users: { admin } } = testStack().pg;
  const usual = scenario.captureJob();
  const job = { ...usual, source: { ...usual["source"] as object, ...admin } }; // it may publish
  const batch = async (exit_code = 0) => {
    await using worker = scenario.start(job);
    await worker.ended(exit_code);
    return worker;
  };
  await scenario.createTable();
  await scenario.seed(100);
  await batch();

  const owner = new pg.Client({ host, port, database, ...admin });
  await owner.connect();
  await owner.query(`DROP PUBLICATION list_sync_${scenario.name}`);
  await owner.end();
  const checked = await command("check", job);
  assert.match(checked.stdout, /publication list_sync_e2e_\w+ .*is gone/, checked.stderr);
  const refused = await batch(1);
  assert.match(
    String(refused.lines("failed")[0]!["error"]),
    /Publication .* is gone.*`deno task positions reset --yes JOB`/,
  );
  const reset = await command("positions", job, "reset", "--yes");
  assert.equal(reset.code, 0, reset.stderr);
  await scenario.seed(100);
  await batch();

  await scenario.consume().ended();
  const result = await scenario.verify({ complete_history: false });
  assert.ok(result.verified, `${JSON.stringify(result)}; logs in ${scenario.folder}`);
});
