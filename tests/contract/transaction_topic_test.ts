/** The transaction topic: what it tells of each transaction, through kills in the middle of them. */
import assert from "node:assert/strict";
import type { Change } from "../../shared/change.ts";
import { until } from "../until.ts";
import { fill, KEYED, PAIRED, SnapshotLab, type Way } from "./snapshot_lab.ts";

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "MySQL", account: "replicator" },
];

/** A record of the topic. */
interface Told {
  readonly status: "BEGIN" | "END";
  readonly id: string;
  readonly ts_ms: number;
  readonly event_count: number | null;
  readonly data_collections: { data_collection: string; event_count: number }[] | null;
}

/** What the topic should tell, from the changes themselves. */
function expected(lab: SnapshotLab, changes: readonly Change[]): Omit<Told, "ts_ms">[] {
  const whole = Map.groupBy(changes, ({ transaction }) => transaction.id);
  return [...whole].flatMap(([id, of]) => {
    const tables = Map.groupBy(of, ({ table }) => table.table);
    const data_collections = [...tables].map(([table, { length: event_count }]) => ({
      data_collection: lab.qualified(table.slice(lab.name.length + 1)),
      event_count,
    }));
    return [
      { status: "BEGIN", id, event_count: null, data_collections: null },
      { status: "END", id, event_count: of.length, data_collections },
    ] as const;
  });
}

for (const way of WAYS) {
  Deno.test(`${way.kind}: each transaction is told once, with its counts, though the capture is killed in the middle of them`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED, paired: PAIRED });
    const [keyed, paired] = [lab.quoted("keyed"), lab.quoted("paired")];
    const metadata = { provide_transaction_metadata: true, source: { batch_changes: 7 } };
    await fill(lab, "keyed", 60);
    await lab.start({ ...metadata, mode: "batch" }).done;
    for (let n = 1; n <= 12; n++) {
      await lab.run("BEGIN");
      await lab.run(`INSERT INTO ${paired} VALUES (${n}, ${n}.5, 'a')`);
      await lab.run(`UPDATE ${keyed} SET v = 'round ${n}' WHERE id <= ${n * 5}`);
      await lab.run(`DELETE FROM ${paired} WHERE n = ${n}`);
      await lab.run("COMMIT");
      await lab.run(`UPDATE ${keyed} SET n = ${100 + n} WHERE id = 1`); // begins and ends with one change
    }
    await lab.run(`UPDATE ${keyed} SET id = 1000 WHERE id = 2`); // a delete and a create

    for (let round = 1; round <= 3; round++) {
      const running = lab.start({
        ...metadata,
        sending: (running) => running.sent >= 2 ? void running.cut() : undefined,
      });
      await until(
        () => `an end in round ${round}; told: ${JSON.stringify(running.told)}`,
        () => running.ended,
      );
    }
    await lab.start({ ...metadata, mode: "batch" }).done;

    const changes = [...await lab.changes("keyed"), ...await lab.changes("paired")]
      .filter(({ op }) => op !== "r")
      .sort((one, other) => one.position < other.position ? -1 : 1);
    const records = await lab.texts(`${lab.name}.transaction`);
    const told = records.map(({ value }) => JSON.parse(value) as Told);
    assert.deepEqual(
      told.map(({ ts_ms: _, ...rest }) => rest),
      expected(lab, changes),
      `${lab.name}.transaction`,
    );
    assert.deepEqual(records.map(({ key }) => key), told.map(({ id }) => JSON.stringify({ id })));
    assert.equal(told.length, 2 * 25);

    const orders = new Map<string, number>();
    for (const { transaction, table, data_collection_order, total_order } of changes) {
      for (const [group, order] of [["", total_order], [table.table, data_collection_order]]) {
        const place = `${transaction.id} ${group}`;
        orders.set(place, (orders.get(place) ?? 0) + 1);
        assert.equal(order, orders.get(place), place);
      }
    }
    const rows = (await lab.changes("keyed")).filter(({ op }) => op === "r");
    assert.equal(rows.length, 60);
    assert.ok(rows.every(({ data_collection_order }) => data_collection_order === undefined));

    // No change is lost with the topic: the capture goes on, and tells what comes from then on.
    await lab.admin.deleteTopics([`${lab.name}.transaction`]);
    await lab.run(`UPDATE ${keyed} SET v = 'later' WHERE id = 1`);
    await lab.settle(metadata);
    const later = (await lab.texts(`${lab.name}.transaction`)).map(({ value }) =>
      JSON.parse(value)
    );
    assert.deepEqual(later.map(({ status }) => status), ["BEGIN", "END"]);
  });
}
