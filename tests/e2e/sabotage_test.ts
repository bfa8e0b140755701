/** Each guarantee of the capture, broken on purpose: the judgement of the fault runs must see it. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { databases, type TestDatabase } from "../databases.ts";
import { topicEvidence } from "../faults/run/evidence.ts";
import { judge, type Verdict } from "../faults/run/judgement.ts";
import { Pipeline } from "../faults/run/pipeline.ts";
import { testStack } from "../stack.ts";
import { WorkerProcess } from "../worker_process.ts";

const WORKER = fileURLToPath(new URL("sabotage/capture.ts", import.meta.url));
const OPTIONS = { rate: 1_000, seed: 1, kafka: {} };
/** Changes between two kills: enough that some are on their way. */
const CHANGES = 2_000;
/** The first is of the capture that worked before. */
const KILLS = 2;
/** When nothing has come for so long, nothing more will come. */
const QUIET_MS = 1_000;
/** Longer than a sabotaged acknowledgement is late. */
const LATE_MS = 5_000;

/** What is judged of a topic whose capture is broken, killed in the middle and started again. */
async function verdict(
  db: TestDatabase,
  sabotage: string,
  quiet_ms = QUIET_MS,
): Promise<Verdict> {
  await using pipeline = await Pipeline.start(db, { stack: testStack() }, OPTIONS);
  const { scenario, writer } = pipeline;
  for (let run = 0; run < KILLS; run++) {
    await pipeline.capture.kill();
    const job = scenario.captureJob();
    pipeline.capture = new WorkerProcess(scenario.folder, WORKER, job, [sabotage]);
    await pipeline.capture.event("capture_started");
    await pipeline.writes(CHANGES);
  }
  await writer.stop();
  await scenario.settled(pipeline.capture, quiet_ms);
  return judge(scenario.topic, writer.ledger, await topicEvidence(scenario), false);
}

const [postgres, mysql] = databases() as [TestDatabase, TestDatabase];

Deno.test("Unbroken, the capture of these runs loses, repeats and alters nothing", async () => {
  const { lost, repeated, altered, examples } = await verdict(postgres, "none");
  assert.deepStrictEqual(
    { lost, repeated, altered },
    { lost: 0, repeated: 0, altered: 0 },
    examples.join("\n"),
  );
});

Deno.test("A capture that alters a value is seen to do so", async () => {
  const { altered, examples } = await verdict(mysql, "alter a value");
  assert.ok(altered > 0, `nothing is altered: ${examples.join("\n")}`);
});

for (const db of [postgres, mysql]) {
  Deno.test(`${db.name}: a capture that acknowledges on receipt is seen to lose changes`, async () => {
    const { lost, examples } = await verdict(db, "acknowledge on receipt", LATE_MS);
    assert.ok(lost > 0, `nothing is lost: ${examples.join("\n")}`);
  });

  Deno.test(`${db.name}: a capture that skips the position check is seen to repeat changes`, async () => {
    const { repeated, examples } = await verdict(db, "skip the position check");
    assert.ok(repeated > 0, `nothing is repeated: ${examples.join("\n")}`);
  });
}
