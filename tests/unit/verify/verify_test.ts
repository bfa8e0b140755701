/** Files and a table, both whole, compared as a verify job says. */
import assert from "node:assert/strict";
import type { TableReader } from "../../../shared/verify/table.ts";
import { verifyOptions } from "../../../shared/verify/options.ts";
import { verify } from "../../../shared/verify/verify.ts";

const COLUMNS = ["id", "category", "domain"];
const ROWS = [["1", "news", "a.org"], ["2", "sport", "b.org"]];

const TABLE: TableReader = {
  shape: () => Promise.resolve({ columns: COLUMNS, key: ["id"] }),
  estimate: () => Promise.resolve(ROWS.length),
  async *rows(columns) {
    yield ROWS.map((row) => columns.map((name) => row[COLUMNS.indexOf(name)]!));
  },
  close: () => Promise.resolve(),
};

/** A position of its own for each row. */
function position(row: number): string {
  return `00000001-0000000000000001-${String(row).padStart(16, "0")}-00000000`;
}

/** Whether files with the cells of `written`, in this order and without a header, equal the table. */
async function verified(written: readonly string[], job: { files?: object; columns?: string[] }) {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/inserts.csv`;
    const lines = ROWS.map((row, at) =>
      ["c", position(at), ...written.map((name) => row[COLUMNS.indexOf(name)])].join(",")
    );
    Deno.writeTextFileSync(path, `${lines.join("\n")}\n`);
    const options = verifyOptions.parse({
      database: { kind: "mysql", host: "h", port: 1, database: "d", user: "u", password: "" },
      topic: "t",
      columns: job.columns,
      files: { output: folder, header: false, ...job.files },
    });
    const result = await verify(options, {
      table: TABLE,
      files: [{
        path,
        topic: "t",
        partition: 0,
        sequence: 1,
        operation: "inserts",
        bytes: Deno.statSync(path).size,
        complete: true,
        truncated: false,
      }],
      scratch: folder,
      progress: () => {},
      signal: new AbortController().signal,
    });
    return result.verified;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("files without a header hold the table's columns, whichever of them are compared", async () => {
  for (const columns of [undefined, ["id", "domain"], ["id", "domain", "category"]]) {
    assert.ok(await verified(COLUMNS, { columns }), `${columns}`);
  }
});

Deno.test("files without a header hold the columns that the sink was told to write", async () => {
  const columns = ["domain", "id"];
  assert.ok(await verified(columns, { files: { columns }, columns: ["id", "domain"] }));
});
