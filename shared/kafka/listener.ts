/** How a broker's listener wants to be spoken to: asked when a first connection fails without a word. */
import { Buffer } from "node:buffer";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { certificateFault } from "../connect/certificate.ts";
import { ConfigError } from "../errors.ts";
import { causes, connectionFault } from "./faults.ts";
import { type KafkaOptions, timeouts } from "./options.ts";

/** Long enough for a busy broker; the fault that is being explained has cost its own time already. */
const PATIENCE_MS = 2_000;

/**
 * The error for a connection that failed, certificates looked at; on first contact (`first`) a
 * listener that hangs up is asked whether it is TLS or a login that it misses: a broker does not say.
 * @param at `host:port` that was tried.
 */
export async function contactFault(
  error: unknown,
  at: string,
  options: KafkaOptions,
  first: boolean,
): Promise<Error> {
  const fault = connectionFault(error, at);
  for (const cause of causes(error)) {
    const { tls } = options;
    const { connect_timeout_ms: timeout_ms } = timeouts(options);
    const open = () => openSocket(at);
    const found = await certificateFault(cause, { at, part: "kafka", tls, timeout_ms, open });
    if (found !== undefined) return found;
  }
  return first ? await listenerFault(at, options) ?? fault : fault;
}

/** What the job says otherwise than the listener; undefined: nothing, or it does not answer. */
async function listenerFault(
  at: string,
  { tls, sasl }: KafkaOptions,
): Promise<ConfigError | undefined> {
  const wanted = tls !== false;
  const answer = await mechanismsOf(at, wanted);
  if (answer === undefined) {
    if (await mechanismsOf(at, !wanted) === undefined) return undefined;
    return wanted
      ? new ConfigError(`The Kafka broker at ${at} speaks no TLS on this port`, {
        cure: "name its TLS port in kafka.brokers; or leave kafka.tls out, where nobody can listen",
      })
      : new ConfigError(`The Kafka broker at ${at} speaks only TLS, and kafka.tls is off`, {
        cure: "set kafka.tls, with the authority in kafka.tls.ca",
      });
  }
  if (answer === "none" || sasl !== undefined) return undefined;
  return new ConfigError(
    `The Kafka broker at ${at} demands a login (${answer.join(", ")}), and kafka.sasl is missing`,
    { cure: "set kafka.sasl: mechanism, username, password" },
  );
}

const SASL_HANDSHAKE = { key: 17, version: 1 };
/** The listener knows no logins. */
const ILLEGAL_SASL_STATE = 34;

/** Mechanisms of the listener's logins, `none` where it has no logins; undefined: no Kafka answers this way. */
async function mechanismsOf(at: string, tls: boolean): Promise<string[] | "none" | undefined> {
  let socket: Socket | undefined;
  try {
    socket = await openSocket(at);
    // Nothing is sent that anyone may not know, so the certificate need not be trusted.
    const spoken = tls ? connectTls({ socket, rejectUnauthorized: false }) : socket;
    return await ask(spoken);
  } catch {
    return undefined;
  } finally {
    socket?.destroy();
  }
}

/** Asks for a mechanism without a name: the answer lists those that there are. */
function ask(socket: Socket): Promise<string[] | "none" | undefined> {
  const body = Buffer.alloc(12);
  body.writeInt16BE(SASL_HANDSHAKE.key, 0);
  body.writeInt16BE(SASL_HANDSHAKE.version, 2);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length); // the rest of the body: correlation 0, client "", mechanism ""
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.setTimeout(PATIENCE_MS, () => reject(new Error("no answer")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) return;
      const length = received.readInt32BE(0);
      if (length < 6 || length > 10_000) return resolve(undefined); // this is no Kafka
      if (received.length >= 4 + length) resolve(decode(received));
    });
    socket.write(Buffer.concat([size, body]));
  });
}

/** Reads a SaslHandshake response: size, correlation, error code, mechanisms. */
function decode(bytes: Buffer): string[] | "none" {
  if (bytes.readInt16BE(8) === ILLEGAL_SASL_STATE) return "none";
  const mechanisms: string[] = [];
  let at = 14;
  for (let left = bytes.readInt32BE(10); left > 0; left--) {
    const end = at + 2 + bytes.readInt16BE(at);
    mechanisms.push(bytes.toString("utf8", at + 2, end));
    at = end;
  }
  return mechanisms;
}

function openSocket(at: string): Promise<Socket> {
  const colon = at.lastIndexOf(":");
  const host = at.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve, reject) => {
    const socket = connectPlain({ host, port: Number(at.slice(colon + 1)) }, () => resolve(socket));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
  });
}
