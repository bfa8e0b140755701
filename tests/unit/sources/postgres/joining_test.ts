import assert from "node:assert/strict";
import type { Log } from "../../../../shared/observe/log.ts";
import { Incremental } from "../../../../shared/sources/incremental.ts";
import type { Session, TextRow } from "../../../../shared/sources/postgres/connection.ts";
import { JoiningTables } from "../../../../shared/sources/postgres/joining.ts";
import { postgresOptions } from "../../../../shared/sources/postgres/options.ts";
import {
  readSnapshot,
  StreamedTransactions,
} from "../../../../shared/sources/postgres/visibility.ts";

/** A catalogue with a table `public.later`, and a capture that looks at it. */
class Lab {
  keyed = true;
  published = false;
  /** What the server says to whoever publishes the table. */
  refusal: { code: string; message: string } | undefined;
  readonly told: string[] = [];
  readonly requests: Incremental<never, never>;
  readonly joining: JoiningTables;

  constructor() {
    const tell = (event: string) => void this.told.push(event);
    const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
    this.requests = new Incremental(undefined, { log } as never);
    this.joining = new JoiningTables(undefined, {
      session: { query: (text: string) => this.#answer(text) } as unknown as Session,
      options: postgresOptions.parse({
        host: "h",
        database: "d",
        user: "u",
        password: "p",
        tables: ["public.*"],
      }),
      name: "orders",
      streamed: new StreamedTransactions(readSnapshot("10:10:")),
      requests: this.requests,
      log,
    });
  }

  /** A look, and what it asks for is stored. */
  async look(): Promise<void> {
    await this.joining.look();
    this.joining.stored(this.requests.with({ lsn: "0/1" }));
  }

  /** The tables that are to be read, as they are stored. */
  get stored(): string {
    return String(this.requests.with({})["incremental"] ?? "");
  }

  // deno-lint-ignore require-await
  async #answer(text: string): Promise<TextRow[]> {
    if (/alter publication/i.test(text)) {
      if (this.refusal !== undefined) throw Object.assign(new Error(), this.refusal);
      this.published = true;
      return [];
    }
    if (/from pg_publication p/.test(text)) return [["f", "t", "t", "t", "t", null]];
    if (/pg_publication_tables/.test(text)) {
      return this.published ? [["public", "later", null, null]] : [];
    }
    if (/c.relkind in/.test(text)) return [["200", "public", "later", "r", "p"]];
    if (/c.relreplident/.test(text)) return [["200", "public", "later", "d"]];
    if (/pg_attribute/.test(text)) {
      return [["200", "1", "id", "23", "integer", "t", "f", "f", "f"]];
    }
    if (/from pg_index/.test(text)) return this.keyed ? [["200", "t", "f", "1", "1"]] : [];
    if (/pg_current_snapshot/.test(text)) return [["10:10:"]];
    throw new Error(`an unknown question: ${text}`);
  }
}

Deno.test("a table that gets its key after a look, as a restore makes it, is taken in and read", async () => {
  const lab = new Lab();
  lab.keyed = false;
  for (let looks = 0; looks < 3; looks++) await lab.look();
  assert.deepEqual(lab.told, ["table_not_captured"]);
  lab.keyed = true;
  for (let looks = 0; looks < 2; looks++) await lab.look();
  assert.ok(lab.published);
  assert.match(lab.stored, /public\.later/);
  assert.ok(lab.requests.active);
});

Deno.test("a table that the role may not publish is to be read as soon as its owner has published it", async () => {
  const lab = new Lab();
  lab.refusal = { code: "42501", message: "must be owner of table later" };
  for (let looks = 0; looks < 4; looks++) await lab.look();
  assert.deepEqual(lab.told, ["incremental_snapshot_requested", "table_not_captured"]);
  assert.ok(!lab.requests.active, "nothing waits for it");
  assert.match(lab.stored, /public\.later/);
  lab.published = true;
  await lab.look();
  assert.ok(lab.requests.active);
});

Deno.test("a new table that is locked, or dropped since it was listed, joins at a later look", async () => {
  for (const code of ["55P03", "42P01", "3F000"]) {
    const lab = new Lab();
    lab.refusal = { code, message: "not now" };
    for (let looks = 0; looks < 3; looks++) await lab.look();
    assert.deepEqual(lab.told, ["incremental_snapshot_requested", "table_not_captured"]);
    lab.refusal = undefined;
    await lab.look();
    assert.ok(lab.published);
    assert.ok(lab.requests.active);
  }
});

Deno.test("a new table that the server refuses for another reason ends the look", async () => {
  const lab = new Lab();
  lab.refusal = { code: "XX000", message: "internal" };
  await lab.look();
  await assert.rejects(() => lab.look(), /internal/);
});
