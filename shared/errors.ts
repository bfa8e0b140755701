/** The errors of list-sync. Each says what failed, on what, the value found, and what to do next. */

interface Details {
  /** What the reader can do about it, as an instruction. */
  cure?: string;
  cause?: unknown;
}

abstract class ListSyncError extends Error {
  readonly cure: string | undefined;

  constructor(message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.cure = details.cure;
  }
}

/** The job, its arguments or its environment are wrong; starting again without a change is useless. */
export class ConfigError extends ListSyncError {}

/** A passing fault of a network or server; the same attempt may succeed later. */
export class RetryableError extends ListSyncError {}

/** One record or change cannot be read, written or represented truthfully. */
export class RecordError extends ListSyncError {}

/** Another process has taken over this producer's or consumer's work; this one must stop writing. */
export class FencedError extends ListSyncError {}

/** The source's or topic's history no longer holds what comes next; going on would lose changes. */
export class HistoryLostError extends ListSyncError {}

/** A snapshot was broken off where it cannot go on: it must begin again, in a new generation. */
export class SnapshotCutError extends ListSyncError {}

/** The cure where only a new generation helps: its topics are truncated and its tables read again. */
export const READ_ALL_AGAIN =
  "run `deno task positions reset --yes JOB`, then start the job: it truncates its topics and reads all rows again";

/** What to do about an error: `retry` with backoff, or `stop`. */
export type Verdict = "retry" | "stop";

/** System error codes of sockets that a later attempt may not meet. */
export const PASSING_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "ECONNABORTED",
]);

/** SQLSTATEs and MySQL codes with which a server says "not now". */
const PASSING_SERVER_CODES = new Set([
  "57P01", // admin_shutdown: the server is being restarted
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now: starting up or in recovery
  "57P05", // idle_session_timeout: this side was suspended for longer than the server waits
  "08006", // connection_failure
  "53300", // too_many_connections
  "55006", // object_in_use: the slot is still held by a walsender whose client has gone
  "PROTOCOL_CONNECTION_LOST",
  "ER_CLIENT_INTERACTION_TIMEOUT", // this side was suspended for longer than the server waits
  "ER_CON_COUNT_ERROR",
  "ER_SERVER_SHUTDOWN",
]);

/**
 * Decides in one place whether an error is worth another attempt.
 * Unknown errors stop the job: an attempt that cannot be justified may hide a loss.
 */
export function classify(error: unknown): Verdict {
  if (error instanceof RetryableError) return "retry"; // its thrower has looked at it already
  if (error instanceof ListSyncError) return "stop"; // needs a person, or another process is at work
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === "string") {
    if (PASSING_CODES.has(code)) return "retry"; // the network
    if (PASSING_SERVER_CODES.has(code)) return "retry"; // the server, restarting or full
  }
  return "stop";
}

/**
 * One line for people: what went wrong, and last, so that it can be copied to the line's end, what to do.
 */
export function describe(error: unknown): string {
  const cures = chain(error).map(cureOf).filter((cure) => cure !== undefined);
  return sentences([reasonOf(error), ...cures.map((cure) => `To mend: ${cure}`)]);
}

/** What went wrong: the message, and the causes that say something else. */
export function reasonOf(error: unknown): string {
  const told: string[] = [];
  for (const text of chain(error).map((at) => at instanceof Error ? at.message : String(at))) {
    if (told.some((earlier) => earlier.includes(text))) continue;
    told.push(told.length === 0 ? text : `Cause: ${text}`);
  }
  return sentences(told);
}

/** What the reader can do about an error, where it says so. */
export function cureOf(error: unknown): string | undefined {
  return error instanceof ListSyncError ? error.cure : undefined;
}

/** Whether list-sync itself has said what went wrong, so that a stack would tell a person nothing. */
export function isExplained(error: unknown): boolean {
  return error instanceof ListSyncError;
}

/** A RecordError with the place in front of what it says; another error as it is. */
export function placed<E>(place: string, error: E): E | RecordError {
  if (!(error instanceof RecordError)) return error;
  const { message, cure, cause } = error;
  return new RecordError(`${place}: ${message}`, { cure, cause });
}

/** The error, its cause, the cause of that. */
function chain(error: unknown): unknown[] {
  const all = [error];
  for (let at = error; at instanceof Error && at.cause !== undefined; at = at.cause) {
    all.push(at.cause);
  }
  return all;
}

/** The parts in one line, each but the last ended. */
function sentences(parts: readonly string[]): string {
  const ended = (part: string) => /[.:;!?]$/.test(part) ? part : `${part}.`;
  return parts.map((part, at) => at < parts.length - 1 ? ended(part) : part).join(" ");
}
