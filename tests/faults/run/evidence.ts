/** What a topic and a consumer's files hold, as the judgement takes it. */
import type { Row } from "../../../shared/change.ts";
import { csvOptions } from "../../../shared/sinks/csv/options.ts";
import { csvFiles } from "../../../shared/sinks/csv/files.ts";
import { readCsv } from "../../../shared/wire/csv_reader.ts";
import type { Scenario } from "../../scenario.ts";
import type { Found } from "./judgement.ts";

/** The changes of the scenario's topic, each row's in the order in which they stand there. */
export async function topicEvidence(scenario: Scenario): Promise<Found[]> {
  const found: Found[] = [];
  for await (const { change: { op, before, after } } of scenario.changes()) {
    if (op !== "c" && op !== "u" && op !== "d") throw new Error(`The topic holds a change ${op}`);
    const [id, version, note] = (after ?? before) as Row;
    found.push({ id: Number(id), op, version: numberOf(version), note: textOf(note) });
  }
  return found;
}

function numberOf(value: unknown): number | undefined {
  return value === undefined || value === null ? undefined : Number(value);
}

function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

/** A line of a CSV file. */
interface Line extends Found {
  readonly position: string;
}

/** The lines of the scenario's files, in the order of their positions. */
export function fileEvidence(scenario: Scenario): Found[] {
  const options = csvOptions.parse({ output: scenario.output });
  const lines: Line[] = [];
  for (const { path, bytes, operation } of csvFiles(options, scenario.topic)) {
    const [header, ...rows] = readCsv(Deno.readFileSync(path).subarray(0, bytes), {
      name: path,
      unavailable_value: options.unavailable_value,
    });
    const at = (name: string) => header!.indexOf(name);
    const [op, position, id, version, note] = ["__op", "__position", "id", "version", "note"].map(
      at,
    ) as [
      number,
      number,
      number,
      number,
      number,
    ];
    for (const row of rows) {
      const went = operation === "deletes" && row[op] === "u";
      lines.push({
        op: went ? "u-" : row[op] as Found["op"],
        position: row[position]!,
        id: Number(row[id]),
        version: numberOf(row[version]),
        note: textOf(row[note]),
      });
    }
  }
  const byPosition = (a: Line, b: Line) => a.position < b.position ? -1 : 1;
  return lines.sort((a, b) =>
    a.position === b.position ? Number(a.op === "u") - Number(b.op === "u") : byPosition(a, b)
  );
}
