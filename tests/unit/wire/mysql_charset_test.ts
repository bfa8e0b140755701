import assert from "node:assert/strict";
import { RecordError } from "../../../shared/errors.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import { charsetByName } from "../../../shared/wire/mysql_charset.ts";
import { cellReader } from "../../../shared/wire/mysql_text.ts";

Deno.test("utf8 is an older server's name for utf8mb3", () => {
  assert.equal(charsetByName("utf8"), charsetByName("utf8mb3"));
  const bytes = new TextEncoder().encode("één €");
  const read = cellReader("varchar(10)", "utf8");
  assert.equal(read(new BinlogReader(bytes), bytes.length), "één €");
});

Deno.test("a name that no server has is refused", () => {
  for (const name of ["utf9", "UTF8", "constructor"]) {
    assert.throws(() => charsetByName(name), RecordError, name);
  }
});
