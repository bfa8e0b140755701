const [tree, client, rounds] = Deno.args;
const at = (p: string) => `file://${tree}/${p}`;
const { openKafka } = await import(at("shared/kafka/mod.ts"));
const { kafkaOptions } = await import(at("shared/kafka/options.ts"));
const { createLog } = await import(at("shared/observe/log.ts"));
const { createHealth } = await import(at("shared/observe/health.ts"));
const { createMetrics } = await import(at("shared/observe/metrics.ts"));
const { runConsume } = await import(at("shared/pipeline/consume.ts"));
const { CsvSink, csvOptions } = await import(at("shared/sinks/csv.ts"));
const { schemaBatch, schemasTopic } = await import(at("shared/pipeline/schemas.ts"));
const { formats } = await import(at("shared/formats/mod.ts"));
const { ByteArena } = await import(at("shared/wire/byte_arena.ts"));
const { change, table } = await import(at("tests/unit/sinks/fixtures.ts"));
const { brokers } = JSON.parse(Deno.readTextFileSync("/work/main/.stack/hunt/stack.json")).kafka;
const silent = createLog({ job: "t", write: () => {}, now: Date.now });
const { format } = await formats.json();
const base = kafkaOptions.parse({ brokers });
const kafka = await openKafka(base, "produce", silent);
const admin = await kafka.admin();
await admin.create_topics([schemasTopic(3)]);
let n = 0;
for (let round = 0; round < Number(rounds); round++) {
  const id = `churn.${crypto.randomUUID().slice(0, 8)}`;
  const names = [`${id}.a`, `${id}.b`, `${id}.c`];
  const lines: string[] = [];
  const log = createLog({ job: "c", level: "debug", format: "text", write: (l: string) => lines.push(l), now: Date.now });
  const out = Deno.makeTempDirSync({ prefix: "churn" });
  const stop = new AbortController();
  const health = createHealth();
  const metrics = createMetrics();
  const sink = new CsvSink(csvOptions.parse({ output: out }), { consumer_id: "1", log, health, now: Date.now });
  const totals = { done: 0 };
  const realAdd = metrics.changes.add.bind(metrics.changes);
  const counting = { ...metrics, changes: { add: (c: number, l: unknown) => { totals.done += c; realAdd(c, l as never); } } };
  const job = { name: id, mode: "stream", flush_interval_ms: 200, flush_bytes: 32 << 20, topic_refresh_ms: 200, topics: names,
    kafka: { fetch_bytes: 256 << 10, session_timeout_ms: 30_000, auto_offset_reset: "earliest" } };
  const ck = await openKafka({ ...base, client }, "consume", log);
  const began = performance.now();
  const running = runConsume(job, { kafka: ck, sink, format, log, metrics: counting, health, signal: stop.signal, now: Date.now });
  running.catch((e: unknown) => lines.push(`DIED ${e} ${(e as Error).stack}`));
  const producer = await kafka.producer({ transactional_id: id, fence: { partitions: [], ids: [] } });
  await producer.send([schemaBatch(change(0, "c", {}).source, table, Date.now())]);
  const arena = new ByteArena();
  let sent = 0;
  for (const topic of names) {
    await admin.create_topics([{ name: topic, partitions: 3, replication_factor: 3, config: {} }]);
    for (let i = 0; i < 15; i++) {
      for (let p = 0; p < 3; p++) {
        const records = Array.from({ length: 100 }, () => {
          const c = change(++n, "c", { after: [n, "x", "y"] });
          const { key, value, headers } = format.encode(c, arena);
          return { key: key.slice(), value: value.slice(), headers, timestamp_ms: Date.now() };
        });
        await producer.send([{ topic, partition: p, records }]);
        sent += 100;
      }
      await new Promise((r) => setTimeout(r, 20));
    }
  }
  let ok = true;
  for (const t = performance.now(); totals.done < sent;) {
    if (performance.now() - t > 45_000) { ok = false; break; }
    await new Promise((r) => setTimeout(r, 50));
  }
  console.log(new Date().toISOString(), client, id, ok ? "ok" : `STALL at ${totals.done} of ${sent}`, Math.round(performance.now() - began), "ms", lines.filter((l) => l.includes("partitions_assigned")).length, "assignments", lines.filter(l => /DIED|retrying/.test(l)).slice(0, 3).join("").slice(0, 600));
  if (!ok || lines.some((l) => l.includes("DIED"))) Deno.writeTextFileSync(`/tmp/hunt/${id}.log`, lines.join(""));
  stop.abort();
  await Promise.race([running.catch(() => {}), new Promise((r) => setTimeout(r, 10_000))]);
  await producer.close();
  await admin.delete_topics(names).catch(() => {});
  Deno.removeSync(out, { recursive: true });
}
await admin.close();
Deno.exit(0);
