/** Measures nft or tc in a network namespace of its own, and prints what it found as JSON. */
import { NftBackend } from "../../../netem/nft.ts";
import type { Scenario } from "../../../netem/scenario.ts";
import { TcBackend } from "../../../netem/tc.ts";

const ADDRESS = "127.0.0.1";
/** A tenth of what goes each way is lost. */
const LOSS_PERCENT = 10;
/** Messages of one packet each. */
const MESSAGES = 100;
/** At 20 Mbit/s a bit over a second. */
const RATE_BYTES = 3_000_000;
/** A connection that is made at all is made by then: SYN is sent again after 1 s. */
const CUT_PATIENCE_MS = 2_500;

const LOSSY: Scenario = {
  file: "tests/netem/run/alone.ts",
  description: "Loss, and a cut.",
  links: {
    between_brokers: { loss_percent: LOSS_PERCENT, cuts: [{ after_ms: 0, for_ms: 1 }] },
  },
};
const SLOW: Scenario = {
  file: "tests/netem/run/alone.ts",
  description: "A rate.",
  links: { between_brokers: { rate_mbit: 20 } },
};

/** A server that reads and drops, and answers each `\n` with one. */
function listen(): Deno.TcpListener {
  const listener = Deno.listen({ hostname: ADDRESS, port: 0 });
  const serve = async (connection: Deno.TcpConn) => {
    connection.setNoDelay(true);
    const buffer = new Uint8Array(1 << 16);
    for (let count = await connection.read(buffer); count !== null;) {
      const answers = buffer.subarray(0, count).filter((byte) => byte === 10);
      if (answers.length > 0) await connection.write(answers);
      count = await connection.read(buffer);
    }
  };
  (async () => {
    for await (const connection of listener) serve(connection).catch(() => {}); // the client has gone
  })();
  return listener;
}

/** Segments sent, and sent again, by this namespace so far (RFC 4022: OutSegs, RetransSegs). */
function segments(): { sent: number; again: number } {
  const [names, values] = Deno.readTextFileSync("/proc/self/net/snmp").split("\n")
    .filter((line) => line.startsWith("Tcp:")).map((line) => line.split(" "));
  const value = (name: string) => Number(values![names!.indexOf(name)]);
  return { sent: value("OutSegs"), again: value("RetransSegs") };
}

async function loss() {
  using listener = listen();
  const { port } = listener.addr;
  const backend = new NftBackend([{ link: "between_brokers", name: "x", port, upstream: port }]);
  await backend.apply(LOSSY, new Set());
  const before = segments();
  // Many connections at once: one alone would wait for each packet that is lost.
  await Promise.all(Array.from({ length: MESSAGES }, () => exchange(port)));
  const after = segments();
  await backend.apply(LOSSY, new Set(["between_brokers"]));
  const cut = !await connects(port);
  await backend.clear();
  await exchange(port);
  return {
    sent: after.sent - before.sent,
    lost: after.again - before.again,
    cut,
    cleared: await backend.status(),
  };
}

/** Once more where the loss of its handshake's packets has reset the connection, as it may. */
async function exchange(port: number): Promise<void> {
  for (;;) {
    using connection = await Deno.connect({ hostname: ADDRESS, port });
    try {
      await connection.write(new Uint8Array([10]));
      await connection.read(new Uint8Array(1));
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    }
  }
}

async function connects(port: number): Promise<boolean> {
  const given_up = new AbortController();
  const timer = setTimeout(() => given_up.abort(), CUT_PATIENCE_MS);
  try {
    (await Deno.connect({ hostname: ADDRESS, port, signal: given_up.signal })).close();
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

async function rate() {
  using listener = listen();
  const { port } = listener.addr;
  const backend = new TcBackend({
    at: "broker",
    interface: "lo",
    prefix: [],
    brokers: [ADDRESS],
    databases: [],
  });
  const before_mbit = await throughput(port);
  await backend.apply(SLOW, new Set());
  const mbit = await throughput(port);
  await backend.clear();
  return { before_mbit, mbit, after_mbit: await throughput(port) };
}

async function throughput(port: number): Promise<number> {
  const connection = await Deno.connect({ hostname: ADDRESS, port });
  const data = new Uint8Array(RATE_BYTES);
  data[RATE_BYTES - 1] = 10;
  const began = performance.now();
  for (let at = 0; at < data.length;) at += await connection.write(data.subarray(at));
  await connection.read(new Uint8Array(1));
  connection.close();
  return RATE_BYTES * 8 / 1e6 / ((performance.now() - began) / 1000);
}

console.log(JSON.stringify(Deno.args[0] === "loss" ? await loss() : await rate()));
Deno.exit(0);
