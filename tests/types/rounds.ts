/** How much is tried; `deno task types` asks for more rounds. */

/** Rounds of random tables and changes for each database. */
export const ROUNDS = Number(Deno.env.get("LIST_SYNC_TYPES_ROUNDS") ?? 1);

/** The first round's; each next one has the next. */
export const SEED = Number(Deno.env.get("LIST_SYNC_TYPES_SEED") ?? 1);
