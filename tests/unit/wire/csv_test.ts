import assert from "node:assert/strict";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { type CsvField, csvLine, guardFormula } from "../../../shared/wire/csv.ts";
import { CsvError, CsvReader, readCsv } from "../../../shared/wire/csv_reader.ts";

/** Text with all that hurts in CSV. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.array(
    fc.constantFrom('"', ",", "\n", "\r", "\r\n", " ", "a", "", "\\.", "\u00fc", "\u{1f600}"),
  )
    .map((parts) => parts.join("")),
);
const rows = fc.integer({ min: 2, max: 5 }).chain((width) =>
  fc.array(fc.array(fc.option(text), { minLength: width, maxLength: width }), { maxLength: 8 })
);

function written(rows: readonly (string | null)[][]): string {
  return rows.map(csvLine).join("");
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Rows of a text that comes in pieces. */
function readPieces(pieces: readonly Uint8Array[]): CsvField[][] {
  const reader = new CsvReader({ name: "list.csv" });
  const rows: CsvField[][] = [];
  const readOn = () => {
    while (reader.next()) rows.push(reader.row());
  };
  for (const piece of pieces) {
    reader.push(piece);
    readOn();
  }
  reader.end();
  readOn();
  return rows;
}

function read(text: string, unavailable_value?: string): CsvField[][] {
  return readCsv(bytesOf(text), { name: "list.csv", unavailable_value });
}

/** Bytes cut at the given places, be it inside a character. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)];
  return at.map((from, index) => bytes.slice(from, at[index + 1]));
}

Deno.test("An independent reader finds the rows that were written, null apart from empty text", () => {
  fc.assert(
    fc.property(rows, (rows) => {
      const found = parse(written(rows), {
        record_delimiter: "\n",
        cast: (value, { quoting }) => value === "" && !quoting ? null : value,
      });
      assert.deepEqual(found, rows, `written: ${JSON.stringify(written(rows))}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("The reader finds the rows that were written, wherever the text is cut", () => {
  fc.assert(
    fc.property(rows, fc.array(fc.nat({ max: 1000 })), (rows, places) => {
      const text = written(rows);
      const pieces = cut(bytesOf(text), places);
      assert.deepEqual(readPieces(pieces), rows, `${JSON.stringify(text)} in ${pieces.length}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("Fields are quoted only where a reader would take them for something else", () => {
  assert.equal(
    csvLine(["a", null, "", "b,c", 'd"e', "f\ng", "\\.", " h "]),
    'a,,"","b,c","d""e","f\ng","\\.", h \n',
  );
});

Deno.test("Lines may end in CRLF, and the last one in nothing", () => {
  assert.deepEqual(read('a,"b"\r\nc,\r\n,d'), [["a", "b"], ["c", null], [null, "d"]]);
  const pieces = ['a,"b"\r', "\nc,", '""'].map(bytesOf);
  assert.deepEqual(readPieces(pieces), [["a", "b"], ["c", ""]]);
});

Deno.test("A value that was not carried is told from text that says the same", () => {
  assert.deepEqual(read('a,gone,"gone"\n', "gone"), [["a", undefined, "gone"]]);
});

Deno.test("Text that is not CSV is refused with its place", () => {
  for (
    const [text, message] of [
      ['a,b\nc,"d', "list.csv, line 2: a quoted field that does not end is not CSV"],
      ['a\nb,"c\n\nd', "list.csv, line 2: a quoted field that does not end is not CSV"],
      ['a,b"c\n', "list.csv, line 1: a quote inside an unquoted field is not CSV"],
      ['"a\n\n"b\n', 'list.csv, line 3: "b" after the closing quote of a field is not CSV'],
    ] as const
  ) {
    assert.throws(() => read(text), (error) => {
      assert(error instanceof CsvError);
      assert.equal(error.message, message);
      return true;
    });
  }
});

Deno.test("A row longer than all memory so far is read whole", () => {
  const long = '"x"'.repeat(100_000);
  const pieces = cut(bytesOf(csvLine(["a", long, "b"]).repeat(2)), [9, 300_000, 777_777]);
  assert.deepEqual(readPieces(pieces), [["a", long, "b"], ["a", long, "b"]]);
});

Deno.test("Bytes that are no UTF-8 are refused, also at the end", () => {
  const rows = [[0x61, 0xc3, 0x0a], [0x61, 0xc3]];
  for (const bytes of rows) {
    assert.throws(() => readCsv(new Uint8Array(bytes), { name: "list.csv" }), TypeError);
  }
});

Deno.test("a guarded text begins no formula, numbers stay as they are, and every text comes back", () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(..."'=+-@\t\r\n＝＋－＠1.eE,\""), maxLength: 6 }),
  );
  fc.assert(fc.property(text, (value) => {
    const guarded = guardFormula(value);
    const line = bytesOf(csvLine([guarded]));
    assert.deepEqual(readCsv(line, { name: "a.csv", escape_formulas: true }), [[value]]);
    const isNumber = guarded !== "" && !/^\s|'/.test(guarded) && Number.isFinite(Number(guarded));
    assert.ok(isNumber || !/^[=+\-@\t\r\n＝＋－＠]/.test(guarded), JSON.stringify(guarded));
  }));
  for (const number of ["-12.50", "+1", "-1e-7", "0", "12"]) {
    assert.equal(guardFormula(number), number);
  }
  for (const formula of ["=1", "-1+1", "-", "+abc", "@SUM(A1)", "\t=1", "－1", "'", "-1.2.3"]) {
    assert.equal(guardFormula(formula), `'${formula}`);
  }
});

Deno.test("a reader that is told so takes the guard away again, from quoted and unquoted fields", () => {
  const line = csvLine(
    ["=1", "'a", "-5", '="x,y"', "", null].map((field) =>
      field === null ? null : guardFormula(field)
    ),
  );
  const found = readCsv(bytesOf(line), { name: "a.csv", escape_formulas: true });
  assert.deepEqual(found, [["=1", "'a", "-5", '="x,y"', "", null]]);
});
