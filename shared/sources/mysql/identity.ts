/** Under which names a capture appears on the server: derived from the job's name, the same after each start. */
import { createHash } from "node:crypto";

/** First of the server ids that are derived; real servers are numbered from 1. */
const FIRST_SERVER_ID = 2_000_000_000;
const SERVER_IDS = 2_000_000_000;

/** MySQL refuses longer names of locks. */
const LOCK_NAME_CHARACTERS = 64;

/** The names of one capture. */
export interface CaptureIdentity {
  readonly server_id: number;
  /** Replica UUID: the server ends an older dump with the same one. */
  readonly uuid: string;
  /** Name of the lock that the running capture holds. */
  readonly lock: string;
}

/** The names for job `name`; `server_id` is the one that the job asks for. */
export function captureIdentity(name: string, server_id: number | undefined): CaptureIdentity {
  const hash = createHash("sha256").update(`list-sync:${name}`).digest();
  const hex = hash.toString("hex");
  const lock = `list-sync:${name}`;
  return {
    server_id: server_id ?? FIRST_SERVER_ID + hash.readUInt32BE(0) % SERVER_IDS,
    // Version 8: bits of the maker's own choice (RFC 9562, section 5.8).
    uuid: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-9${hex.slice(17, 20)}-${
      hex.slice(20, 32)
    }`,
    lock: lock.length <= LOCK_NAME_CHARACTERS ? lock : `list-sync:${hex.slice(0, 48)}`,
  };
}
