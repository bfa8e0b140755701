import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { host, setHost } from "../../../workers/cli/host.ts";
import { readCapture, readConsumer, readEither } from "../../../workers/runtime/environment.ts";

setHost({ ...host(), env: (name) => name.endsWith("PASSWORD") ? "secret" : undefined });

const SEED = "jobs/demo-seed-pg.yaml";
const CAPTURE = "jobs/demo-capture-pg.yaml";
const CONSUMER = "jobs/demo-consume-pg.yaml";

Deno.test("commands read the kinds of job that they are for", () => {
  assert.equal(readCapture(CAPTURE, "").kind, "capture-pg");
  assert.equal(readConsumer(CONSUMER, "").kind, "consume-csv");
  assert.deepEqual([CAPTURE, CONSUMER].map((path) => readEither(path, "").kind), [
    "capture-pg",
    "consume-csv",
  ]);
});

Deno.test("a job of another kind is refused with its place, why, and what to name instead", () => {
  const refused = (read: () => unknown) => {
    try {
      read();
      return "read";
    } catch (error) {
      assert.ok(error instanceof ConfigError, String(error));
      return `${error.message} ${error.cure}`.replace(/:\d+:\d+ /, ":LINE ");
    }
  };
  assert.equal(
    refused(() => readCapture(CONSUMER, "reads no tables")),
    `${CONSUMER}:LINE job: consume-csv reads no tables. name the job file of a capture`,
  );
  assert.equal(
    refused(() => readConsumer(CAPTURE, "has no dead letters")),
    `${CAPTURE}:LINE job: capture-pg has no dead letters. name the job file of a consumer`,
  );
  assert.equal(
    refused(() => readEither(SEED, "has no position")),
    `${SEED}:LINE job: seed has no position. name the job file of a capture or a consumer`,
  );
});
