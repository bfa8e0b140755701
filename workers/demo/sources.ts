/** What the demo runs: for each source its jobs, and the tables that it writes to. */
import { ConfigError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";

/** A table that the demo fills. */
export interface DemoTable {
  readonly name: string;
  /** Its part of the source's changes; the parts of a source add up to 1. */
  readonly share: number;
  readonly seed_job: string;
  readonly verify_job: string;
  /** Environment variable with the port of the seed's metrics. */
  readonly seed_port: string;
}

/** A database that the demo captures. */
export interface DemoSource {
  readonly title: string;
  readonly capture_job: string;
  readonly consume_job: string;
  readonly capture_port: string;
  readonly consume_port: string;
  readonly tables: readonly DemoTable[];
}

/** By the names that `--sources` takes, which are also those of the stack's parts. */
export const SOURCES = {
  pg: {
    title: "PostgreSQL",
    capture_job: "jobs/demo-capture-pg.yaml",
    consume_job: "jobs/demo-consume-pg.yaml",
    capture_port: "DEMO_CAPTURE_PG",
    consume_port: "DEMO_CONSUME_PG",
    tables: [
      {
        name: "demo.list",
        share: 0.9,
        seed_job: "jobs/demo-seed-pg.yaml",
        verify_job: "jobs/demo-verify-pg.yaml",
        seed_port: "DEMO_SEED_PG",
      },
      // The same with replica identity FULL: its deletes carry whole rows, the other's the key.
      {
        name: "demo.list_full",
        share: 0.1,
        seed_job: "jobs/demo-seed-pg-full.yaml",
        verify_job: "jobs/demo-verify-pg-full.yaml",
        seed_port: "DEMO_SEED_PG_FULL",
      },
    ],
  },
  mysql: {
    title: "MySQL",
    capture_job: "jobs/demo-capture-mysql.yaml",
    consume_job: "jobs/demo-consume-mysql.yaml",
    capture_port: "DEMO_CAPTURE_MYSQL",
    consume_port: "DEMO_CONSUME_MYSQL",
    tables: [{
      name: "demo.list",
      share: 1,
      seed_job: "jobs/demo-seed-mysql.yaml",
      verify_job: "jobs/demo-verify-mysql.yaml",
      seed_port: "DEMO_SEED_MYSQL",
    }],
  },
} as const satisfies Record<string, DemoSource>;

/** Name of a source. */
export type SourceName = keyof typeof SOURCES;

/** Reads `pg,mysql`. Throws ConfigError for a name that is no source's, and for none. */
export function readSources(text: string): SourceName[] {
  const known = Object.keys(SOURCES) as SourceName[];
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  for (const name of names) {
    if ((known as string[]).includes(name)) continue;
    throw new ConfigError(
      `demo: --sources has ${JSON.stringify(name)}${nearestHint(name, known)}.` +
        ` Allowed: ${known.join(", ")}, with commas between.`,
    );
  }
  if (names.length === 0) {
    throw new ConfigError("demo: --sources names no source.", { cure: "write --sources pg,mysql" });
  }
  return known.filter((name) => names.includes(name));
}

/** How many of `rows` changes each table gets; together just `rows`. */
export function tableRows(tables: readonly DemoTable[], rows: number): number[] {
  const parts = tables.map(({ share }) => Math.floor(rows * share));
  const rest = rows - parts.reduce((sum, part) => sum + part, 0);
  return parts.map((part, at) => at === 0 ? part + rest : part);
}
