import assert from "node:assert/strict";
import { seedPlan } from "../../../shared/seed/options.ts";
import { seed } from "../../../shared/seed/seed.ts";
import type { SeedWriter } from "../../../shared/seed/writer.ts";

/** A table in memory, which gives up the transactions of these numbers as a server does in a deadlock. */
class Table {
  readonly rows = new Set<number>();
  readonly #deadlocked: ReadonlySet<number>;
  #next = 1;
  transactions = 0;

  constructor(deadlocked: readonly number[]) {
    this.#deadlocked = new Set(deadlocked);
  }

  writer(): SeedWriter {
    let before = new Set<number>();
    const changed = (ids: readonly number[]) => ids.filter((id) => this.rows.has(id)).length;
    return {
      create: () => Promise.resolve(),
      async *ids() {},
      begin: () => {
        this.transactions++;
        before = new Set(this.rows);
        return Promise.resolve();
      },
      insert: (rows) => {
        const ids = rows.map(() => this.#next++);
        for (const id of ids) this.rows.add(id);
        return Promise.resolve(ids);
      },
      update: (rows) => {
        if (this.#deadlocked.has(this.transactions)) {
          return Promise.reject(Object.assign(new Error("Deadlock"), { code: "ER_LOCK_DEADLOCK" }));
        }
        return Promise.resolve(changed(rows.map(({ id }) => id)));
      },
      delete: (ids) => {
        const gone = changed(ids);
        for (const id of ids) this.rows.delete(id);
        return Promise.resolve(gone);
      },
      commit: () => Promise.resolve(),
      rollback: () => {
        this.rows.clear();
        for (const id of before) this.rows.add(id);
        return Promise.resolve();
      },
      close: () => Promise.resolve(),
    };
  }
}

function run(table: Table) {
  return seed(seedPlan.parse({ rows: 400, batch: 100, connections: 1 }), {
    open: () => Promise.resolve(table.writer()),
    now: () => 0,
    progress: () => {},
    signal: new AbortController().signal,
  });
}

Deno.test("a transaction that the server gives up in a deadlock is made again, with rows that are there", async () => {
  const table = new Table([2, 3, 5]);
  const { inserted, updated, deleted } = await run(table);
  assert.deepEqual({ inserted, updated, deleted }, { inserted: 200, updated: 100, deleted: 100 });
  assert.equal(table.transactions, 4 + 3);
  assert.equal(table.rows.size, 100);
});

Deno.test("a transaction that only ever ends in a deadlock ends the seed with the server's error", async () => {
  const table = new Table(Array.from({ length: 50 }, (_, at) => at + 2));
  await assert.rejects(run(table), /Deadlock/);
  assert.equal(table.transactions, 1 + 10);
});
