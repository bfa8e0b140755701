/** What a seed job says. */
import { z } from "zod";
import { databaseOptions } from "../database/options.ts";

/** The changes to make. */
export const seedPlan = z.strictObject({
  // Both sources together then take about half a minute on two cores.
  rows: z.int().min(1).default(1_000_000).describe("Changes to make in total, of all kinds."),
  // A list that grows while a quarter of the work corrects it and a quarter cleans it up.
  mix: z.string().default("50:25:25").describe("Shares of inserts, updates and deletes."),
  // Measured: larger transactions gain under 5 %, and are harder on what captures them.
  batch: z.int().min(1).max(20_000).optional().describe(
    "Changes in a transaction; default 2,000, with `rate` a hundredth of it (10 ms of changes).",
  ),
  // Absent: as fast as the server takes them.
  rate: z.number().positive().optional().describe("Changes a second, evenly paced."),
  // Any fixed number: the same seed gives the same values.
  seed: z.int().default(42).describe("Random seed, from which all values and choices follow."),
  // While one waits for its commit the other prepares its rows.
  connections: z.int().min(1).max(16).default(2).describe(
    "Connections that write at the same time; with 1 the order of all changes repeats exactly.",
  ),
  // 400 MB of ids: a limit that a larger table must lift knowingly.
  ids_limit: z.int().min(1).default(50_000_000).describe(
    "Ids held in memory, 8 bytes each; a table that has more is refused.",
  ),
});

/** The changes to make, as validated. */
export type SeedPlan = z.infer<typeof seedPlan>;

/** Schema of a seed job's own part. */
export const seedOptions = seedPlan.extend({
  database: databaseOptions,
  // The name that the examples of this project use throughout.
  table: z.string().min(1).default("list").describe(
    "Table to write, made where it is missing: `name`, or `schema.name` (MySQL: `database.name`).",
  ),
  // PostgreSQL's own default; with `full` the log carries whole old rows.
  replica_identity: z.enum(["default", "full"]).default("default").describe(
    "Replica identity that a PostgreSQL table is made with.",
  ),
});

/** A seed job's own part, as validated. */
export type SeedOptions = z.infer<typeof seedOptions>;
