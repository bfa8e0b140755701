/** What a capture notices of a table that is altered while it streams, by the records alone. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { keyText } from "../../../../shared/formats/key.ts";
import { Assembler } from "../../../../shared/sources/postgres/assembler.ts";
import { TypeCatalog } from "../../../../shared/sources/postgres/catalog.ts";
import type { PluginContext } from "../../../../shared/sources/postgres/plugin.ts";
import { TableFactory } from "../../../../shared/sources/postgres/table.ts";
import { Wal2jsonReader } from "../../../../shared/sources/postgres/wal2json_reader.ts";
import { WireReader } from "../../../../shared/wire/postgres_reader.ts";
import { SILENT } from "../../../silent.ts";

type Cells = Readonly<Record<string, number>>;

/** A table of bigints, NOT NULL, as the server has it, and a reader of its records. */
class Server {
  /** `f`: FULL, `d`: the primary key. */
  identity = "d";
  primary_key = ["id"];
  columns: string[];
  readonly #numbers = new Map<string, number>();
  readonly #assembler: Assembler;
  readonly #reader: Wal2jsonReader;
  #lsn = 1;

  constructor(...columns: string[]) {
    this.columns = columns;
    columns.forEach((name, at) => this.#numbers.set(name, at + 1));
    const session = { query: (sql: string, values: string[]) => this.#answer(sql, values) };
    const source = { connector: "postgresql", name: "x", version: "0" } as const;
    this.#assembler = new Assembler(source, 1, () => 1);
    const context = {
      session,
      assembler: this.#assembler,
      log: SILENT,
      types: new TypeCatalog(session as never),
      tables: new TableFactory("shop"),
      wanted: () => true,
      committed: () => {},
    };
    this.#reader = new Wal2jsonReader(context as unknown as PluginContext);
    this.#assembler.begin(1n, 0, 1);
  }

  /** The statements of the catalogue, by what they ask. */
  #answer(sql: string, values: string[]): Promise<unknown[][]> {
    const key = this.primary_key.map((name) => this.#numbers.get(name)).join(" ");
    const answers: [RegExp, () => unknown[][]][] = [
      [
        /with recursive chain/,
        () => values[0]!.slice(1, -1).split(",").map((oid) => [oid, oid, null, null]),
      ],
      [/n\.nspname = \$1/, () => [["100"]]],
      [/relreplident/, () => [["100", "public", "t", this.identity]]],
      [/pg_attribute/, () =>
        this.columns.map((name) => [
          ...["100", String(this.#numbers.get(name)), name, "20", "bigint"],
          ...["t", "f", "f", "f"],
        ])],
      [/pg_index/, () => [["100", "t", "f", String(this.primary_key.length), key]]],
    ];
    const answer = answers.find(([asks]) => asks.test(sql));
    assert.ok(answer !== undefined, `Nobody answers ${sql}`);
    return Promise.resolve(answer[1]());
  }

  /** Writes a row, and answers the change that comes of it: its columns, its key and its rows. */
  async write(action: "I" | "U" | "D", after: Cells | null, identity?: Cells) {
    const cells = (row: Cells) =>
      Object.entries(row).map(([name, value]) => ({ name, type: "bigint", typeoid: 20, value }));
    const record = {
      action,
      xid: 1,
      timestamp: "2026-01-01 00:00:00+00",
      lsn: "0/1",
      schema: "public",
      table: "t",
      ...after && {
        columns: cells(after).map((cell) => ({
          ...cell,
          optional: false,
          position: this.#numbers.get(cell.name),
        })),
      },
      ...identity && { identity: cells(identity) },
      pk: this.primary_key.map((name) => ({ name, type: "bigint", typeoid: 20 })),
    };
    this.#assembler.at(0, this.#lsn++);
    await this.#reader.read(new WireReader(Buffer.from(JSON.stringify(record))));
    const [change] = this.#assembler.take();
    const { table, before, after: row } = change!;
    return { columns: table.columns.map(({ name }) => name), key: keyText(change!), before, row };
  }
}

Deno.test("a primary key that is another one is the key of what comes from then on", async () => {
  const server = new Server("id", "a");
  assert.equal((await server.write("I", { id: 1, a: 2 })).key, '{"id":1}');
  server.primary_key = ["a"];
  assert.equal((await server.write("I", { id: 2, a: 9 })).key, '{"a":9}');
  assert.equal((await server.write("D", null, { a: 9 })).key, '{"a":9}');
});

Deno.test("the same where the log has whole rows", async () => {
  const server = new Server("id", "a");
  server.identity = "f";
  assert.equal((await server.write("U", { id: 1, a: 3 }, { id: 1, a: 2 })).key, '{"id":1}');
  server.primary_key = ["a"];
  assert.equal((await server.write("U", { id: 5, a: 3 }, { id: 1, a: 3 })).key, '{"a":3}');
});

Deno.test("a column that was dropped is missing from updates and deletes, not left out by the log", async () => {
  const server = new Server("id", "a", "b");
  assert.deepEqual((await server.write("I", { id: 1, a: 2, b: 4 })).columns, ["id", "a", "b"]);
  server.columns = ["id", "a"];
  const updated = await server.write("U", { id: 1, a: 3 }, { id: 1 });
  assert.deepEqual([updated.columns, updated.row], [["id", "a"], [1, 3]]);
  assert.deepEqual((await server.write("D", null, { id: 1 })).columns, ["id", "a"]);
});
