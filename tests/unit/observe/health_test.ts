import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { createHealth, serveHealth } from "../../../shared/observe/health.ts";
import { createMetrics } from "../../../shared/observe/prometheus.ts";

const HOST = "127.0.0.1";

async function withServer(
  body: (get: (path: string, init?: RequestInit) => Promise<[number, string]>) => Promise<void>,
  health = createHealth(),
) {
  const metrics = createMetrics();
  metrics.records.add(3);
  const server = serveHealth({ host: HOST, port: 0, metrics, health });
  try {
    await body(async (path, init) => {
      const response = await fetch(`http://${HOST}:${server.port}${path}`, init);
      return [response.status, await response.text()];
    });
  } finally {
    await server.close();
  }
}

Deno.test("a worker lives from the start, and is ready once every part is", async () => {
  const health = createHealth();
  await withServer(async (get) => {
    assert.deepEqual(await get("/health/live"), [200, '{"live":true}']);
    assert.deepEqual(await get("/health/ready"), [
      503,
      '{"ready":false,"reasons":{"start":"the worker has not begun to read"}}',
    ]);
    health.ready("start");
    health.unready("partition orders/0", "locked by pid 7");
    const [status, body] = await get("/health/ready");
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(body).reasons, { "partition orders/0": "locked by pid 7" });
    health.ready("partition orders/0");
    assert.deepEqual(await get("/health/ready"), [200, '{"ready":true,"reasons":{}}']);
  }, health);
});

Deno.test("metrics are served as text; other paths and methods say what is served", async () => {
  await withServer(async (get) => {
    const [status, text] = await get("/metrics");
    assert.equal(status, 200);
    assert.match(text, /^list_sync_records_total 3$/m);
    const [missing, hint] = await get("/");
    assert.equal(missing, 404);
    assert.match(hint, /\/metrics \/health\/live \/health\/ready/);
    assert.equal((await get("/metrics", { method: "POST" }))[0], 405);
  });
});

Deno.test("a port that is taken is a fault of the job", () => {
  const taken = Deno.listen({ hostname: HOST, port: 0 });
  try {
    const { port } = taken.addr;
    const options = { host: HOST, port, metrics: createMetrics(), health: createHealth() };
    assert.throws(() => serveHealth(options), (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.ok(error.message.includes(`${HOST}:${port}`), error.message);
      return true;
    });
  } finally {
    taken.close();
  }
});
