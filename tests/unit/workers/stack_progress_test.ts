/** How a stack that comes up is shown. */
import assert from "node:assert/strict";
import { StackDisplay } from "../../../workers/cli/stack_progress.ts";

function display(terminal: boolean): { shown: StackDisplay; text: () => string } {
  let written = "";
  let now = 0;
  const shown = new StackDisplay(terminal, (text) => written += text, () => now += 500);
  return { shown, text: () => written };
}

Deno.test("without a terminal each step is one line, however often it is told", () => {
  const { shown, text } = display(false);
  shown.tell({ part: "pg", phase: "unpacking", done: 1, total: 9 });
  shown.tell({ part: "pg", phase: "unpacking", done: 2, total: 9 });
  shown.tell({ part: "mysql", phase: "starting" });
  const lines = text().trimEnd().split("\n");
  assert.equal(lines.length, 2, text());
  assert.match(lines[0]!, /^ *0\.5 s {2}PostgreSQL {2}unpacking .* 1\/9$/);
  assert.match(lines[1]!, /MySQL {7}starting$/);
});

Deno.test("on a terminal each part keeps its line, which is drawn again in place", () => {
  const { shown, text } = display(true);
  shown.tell({ part: "kafka", phase: "starting" });
  shown.tell({ part: "pg", phase: "starting" });
  shown.tell({ part: "kafka", phase: "ready" });
  const [upTwoLines, clearLine] = ["\x1b[2F", "\x1b[2K"];
  const last = text().slice(text().lastIndexOf(upTwoLines) + upTwoLines.length);
  const [before, kafka, postgres] = last.split(clearLine);
  assert.equal(before, "");
  assert.match(kafka!, /Kafka +ready\n$/);
  assert.match(postgres!, /PostgreSQL +starting\n$/);
});
