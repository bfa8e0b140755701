/** Servers that do not answer: which one, and the options that name it. */
import { PASSING_CODES, RetryableError } from "../errors.ts";

/** The server that was to be reached. */
export interface Sought {
  /** How messages name it, its address included. */
  readonly server: string;
  /** Where the job speaks of it: `source`, `database`. */
  readonly part: string;
}

/** Codes of a lookup or a connection that came to nothing; a later attempt may do better. */
const UNREACHED = new Set([
  ...PASSING_CODES,
  "ENOTFOUND", // name servers of containers say so, too, while one is started anew
  "PROTOCOL_CONNECTION_LOST", // mysql2's word for a server that hung up before its greeting
]);

/** How `pg` tells of them, without a code. */
const SILENCE = /Connection terminated|timeout expired/;

/** The error for a server that was not reached, with its cure; undefined: `error` is of another kind. */
export function unreachable(
  error: Error & { readonly code?: unknown },
  { server, part }: Sought,
): RetryableError | undefined {
  const { code, message } = error;
  if (!(code === undefined ? SILENCE.test(message) : UNREACHED.has(String(code)))) return undefined;
  const options = `${part}.host and ${part}.port`;
  return new RetryableError(`Cannot reach ${server}: ${message}`, {
    cure: code === "ENOTFOUND"
      ? `correct ${part}.host, or let this machine's name servers know it`
      : `check that the server runs, and that ${options} name it`,
    cause: error,
  });
}
