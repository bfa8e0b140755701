/** Logging in to a broker by SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677). */
import { Buffer } from "node:buffer";
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { Settings } from "./options.ts";

/** The login failed: the message says why, and holds no secret. */
export class LoginError extends Error {
  override readonly name = "SASLError"; // as kafkajs has SASL in the names of its own
}

/** Sends a client's message and answers the server's. */
type Exchange = (message: Uint8Array) => Promise<Uint8Array>;

type Credentials = NonNullable<Settings["sasl"]>;

/** Proves who the client is, and with SCRAM that the server knows the password as well. Throws LoginError. */
export async function logIn(credentials: Credentials, exchange: Exchange): Promise<void> {
  const { mechanism, username, password } = credentials;
  if (mechanism === "plain") {
    await exchange(Buffer.from(`\0${username}\0${password}`));
    return;
  }
  const digest = mechanism === "scram-sha-256" ? "sha256" : "sha512";
  await scram({ username, password, digest, nonce: randomBytes(24).toString("base64") }, exchange);
}

/** RFC 5802 asks for no fewer. */
const LEAST_ITERATIONS = 4_096;
/** Kafka takes 16,384 at most; a server may not keep a client busy with more. */
const MOST_ITERATIONS = 1_000_000;

const derive = promisify(pbkdf2);

/** What a SCRAM login begins with. */
interface ScramStart {
  readonly username: string;
  readonly password: string;
  readonly digest: "sha256" | "sha512";
  /** Never used before. */
  readonly nonce: string;
}

/** One SCRAM login without channel binding. Names and passwords are taken as they are, as Kafka takes them. */
export async function scram(start: ScramStart, exchange: Exchange): Promise<void> {
  const { username, password, digest, nonce } = start;
  const hmac = (key: Uint8Array, text: string) => createHmac(digest, key).update(text).digest();
  const say = async (text: string) => Buffer.from(await exchange(Buffer.from(text))).toString();

  const name = username.replaceAll("=", "=3D").replaceAll(",", "=2C");
  const client_first = `n=${name},r=${nonce}`;
  const server_first = await say(`n,,${client_first}`);
  const { r = "", s = "", i = "", e, m } = attributes(server_first);
  if (e !== undefined) throw new LoginError(`the broker says ${e}`);
  if (m !== undefined) throw new LoginError(`the broker demands an extension of SCRAM: ${m}`);
  const salt = Buffer.from(s, "base64");
  if (!r.startsWith(nonce) || r === nonce || salt.length === 0) {
    throw new LoginError("the broker's first SCRAM message has another nonce, or no salt");
  }
  const iterations = /^[1-9]\d*$/.test(i) ? Number(i) : NaN;
  if (!(iterations >= LEAST_ITERATIONS && iterations <= MOST_ITERATIONS)) {
    throw new LoginError(
      `the broker asks for ${i} SCRAM iterations; ${LEAST_ITERATIONS} to ${MOST_ITERATIONS} are allowed`,
    );
  }

  const salted = await derive(
    password,
    salt,
    iterations,
    createHash(digest).digest().length,
    digest,
  );
  const client_key = hmac(salted, "Client Key");
  const stored_key = createHash(digest).update(client_key).digest();
  const client_final = `c=biws,r=${r}`;
  const all = `${client_first},${server_first},${client_final}`;
  const signature = hmac(stored_key, all);
  const proof = client_key.map((byte, at) => byte ^ signature[at]!);

  const server_final = await say(`${client_final},p=${Buffer.from(proof).toString("base64")}`);
  const { v = "", e: refusal } = attributes(server_final);
  if (refusal !== undefined) throw new LoginError(`the broker says ${refusal}`);
  const expected = hmac(hmac(salted, "Server Key"), all);
  const told = Buffer.from(v, "base64");
  if (told.length !== expected.length || !timingSafeEqual(told, expected)) {
    throw new LoginError("the broker does not prove that it knows the password");
  }
}

/** `r=...,s=...,i=...` by their letters. */
function attributes(message: string): Partial<Record<string, string>> {
  return Object.fromEntries(
    message.split(",").map((part) => [part.slice(0, 1), part.slice(2)]),
  );
}
