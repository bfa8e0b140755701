/** The databases that can be seeded. Adding one is a file and a line. */
import type { SeedOptions } from "./options.ts";
import type { SeedWriter } from "./writer.ts";

/** Connects a writer to the job's table. */
export const writers = {
  postgresql: async (options) => (await import("./postgres.ts")).openPostgresWriter(options),
  mysql: async (options) => (await import("./mysql.ts")).openMysqlWriter(options),
} satisfies Record<
  SeedOptions["database"]["kind"],
  (options: SeedOptions) => Promise<SeedWriter>
>;
