/** How a broker's listener wants to be spoken to: asked when a first connection fails without a word. */
import { connect, type Socket } from "node:net";
import { certificateFault } from "../connect/certificate.ts";
import { ConfigError } from "../errors.ts";
import { endpoint } from "../jobs/permissions.ts";
import { BrokerConnection } from "./connection.ts";
import { errorName } from "./error_names.ts";
import { causes, connectionFault } from "./faults.ts";
import { type KafkaOptions, timeouts } from "./options.ts";
import * as requests from "./requests.ts";
import { type AnswerTo, apiVersions, type Request, saslHandshake } from "./requests.ts";

/** Long enough for a busy broker; the fault that is being explained has cost its own time already. */
const PATIENCE_MS = 2_000;

/**
 * The error for a connection that failed, certificates looked at; on first contact (`first`) a listener
 * that hangs up is asked whether it misses TLS or a login or is too old: a broker does not say.
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

/** What a listener tells to whoever connects. */
interface Listener {
  /** Of its logins; undefined: it has none. */
  readonly mechanisms: readonly string[] | undefined;
  /** A request that the broker does not know in the version that is needed. */
  readonly lacks: string | undefined;
}

/** What the job says otherwise than the listener; undefined: nothing, or it does not answer. */
async function listenerFault(
  at: string,
  { tls, sasl }: KafkaOptions,
): Promise<ConfigError | undefined> {
  const wanted = tls !== false;
  const listener = await look(at, wanted);
  if (listener === undefined) {
    if (await look(at, !wanted) === undefined) return undefined;
    return wanted
      ? new ConfigError(`The Kafka broker at ${at} speaks no TLS on this port`, {
        cure:
          "name its TLS port in kafka.brokers; or, where nobody can listen in, leave kafka.tls out",
      })
      : new ConfigError(`The Kafka broker at ${at} speaks only TLS, and kafka.tls is off`, {
        cure: "set kafka.tls, with the authority in kafka.tls.ca",
      });
  }
  const { mechanisms, lacks } = listener;
  if (lacks !== undefined) {
    return new ConfigError(`The Kafka broker at ${at} is too old: ${lacks}`, {
      cure: "run brokers of Kafka 3.2 or later",
    });
  }
  if (mechanisms === undefined && sasl !== undefined) {
    return new ConfigError(`The Kafka broker at ${at} has no logins on this port`, {
      cure: "name the port of its SASL listener in kafka.brokers, or leave kafka.sasl out",
    });
  }
  if (mechanisms === undefined || sasl !== undefined) return undefined;
  return new ConfigError(
    `The Kafka broker at ${at} demands a login (${
      mechanisms.join(", ")
    }), and kafka.sasl is missing`,
    { cure: "set kafka.sasl: mechanism, username, password" },
  );
}

/** Asks a listener; undefined: no Kafka answers this way. */
async function look(at: string, tls: boolean): Promise<Listener | undefined> {
  const settings = {
    client_id: "",
    connect_timeout_ms: PATIENCE_MS,
    answer_timeout_ms: PATIENCE_MS,
    // Nothing is sent that anyone may not know, so the certificate need not be trusted.
    tls: tls ? { rejectUnauthorized: false } : undefined,
    sasl: undefined,
  };
  const link = new BrokerConnection(at, settings, () => {});
  try {
    await link.ready;
    const lacks = lacking((await link.ask(apiVersions, {})).api_keys);
    // Without a mechanism's name: the answer lists those that there are.
    const { error_code, mechanisms } = await link.ask(saslHandshake, { mechanism: "" });
    const hasLogins = errorName(error_code) !== "ILLEGAL_SASL_STATE";
    return { mechanisms: hasLogins ? mechanisms : undefined, lacks };
  } catch {
    return undefined;
  } finally {
    link.destroy();
  }
}

/** The first request that a broker does not know as it is needed. */
function lacking(known: AnswerTo<typeof apiVersions>["api_keys"]): string | undefined {
  for (const { name, key, version } of Object.values<unknown>(requests).filter(isRequest)) {
    const range = known.find((one) => one.key === key);
    if (range === undefined) return `it does not know ${name}`;
    const { min_version: min, max_version: max } = range;
    if (version < min || version > max) {
      return `it knows ${name} in versions ${min} to ${max}, and version ${version} is needed`;
    }
  }
  return undefined;
}

function isRequest(
  value: unknown,
): value is Pick<Request<never, never>, "name" | "key" | "version"> {
  return typeof value === "object" && value !== null && "version" in value;
}

function openSocket(at: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(endpoint(at), () => resolve(socket));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
  });
}
