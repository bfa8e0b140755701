/** The stack that service tests run against. */

import type { Accounts, DatabaseInfo } from "../compose/native/state.ts";

export type { Accounts, DatabaseInfo };

/** Addresses and accounts of a running stack with all of its parts. */
export interface TestStack {
  kafka: { brokers: string[] };
  pg: DatabaseInfo;
  mysql: DatabaseInfo;
  /** Only in stacks that were asked for it. */
  mariadb?: DatabaseInfo;
  /** Folder of the stack: data, logs and state. */
  dir: string;
}

/** Reads the stack whose state file the environment variable LIST_SYNC_STACK names. */
export function testStack(): TestStack {
  const path = Deno.env.get("LIST_SYNC_STACK");
  if (!path) {
    throw new Error(
      "LIST_SYNC_STACK is not set: this test needs running servers. Run `deno task test`, which " +
        "starts some, or `deno task stack up` and `export LIST_SYNC_STACK=.stack/default/stack.json`.",
    );
  }
  const { kafka, pg, mysql, dir } = JSON.parse(Deno.readTextFileSync(path)) as Partial<TestStack>;
  if (kafka && pg && mysql && dir) return { kafka, pg, mysql, dir };
  const missing = Object.entries({ kafka, pg, mysql, dir }).filter(([, value]) => !value);
  throw new Error(
    `The stack ${path} lacks ${missing.map(([name]) => name).join(", ")}. ` +
      "Run `deno task stack up` without --only.",
  );
}

/** A name for a stack of the test's own, by which `deno task test` knows whose it was. */
export function ownStackName(): string {
  return `test-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
}

/** Makes a folder for a test's jobs and logs: among the stack's, which are kept only when a test fails. */
export function testFolder(name: string): string {
  const folder = `${testStack().dir}/logs/${name}`;
  Deno.mkdirSync(folder, { recursive: true });
  return folder;
}
