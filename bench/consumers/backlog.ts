/** A topic full of changes that many consumers read, and the table that it came from. */
import type { CaptureSummary } from "../../shared/pipeline/capture.ts";
import { csvOptions } from "../../shared/sinks/csv/options.ts";
import { csvFiles } from "../../shared/sinks/csv/files.ts";
import { databases } from "../../tests/databases.ts";
import { Scenario } from "../../tests/scenario.ts";
import { linesIn } from "../lines.ts";

/** How many changes of each kind the topic holds. */
export interface Made {
  readonly c: number;
  readonly u: number;
  readonly d: number;
}

/** Changes of MySQL's table, captured, one partition's positions growing: looked at once. */
export class Backlog {
  readonly topic: string;
  readonly name: string;
  /** Jobs and logs. */
  readonly folder: string;
  readonly #scenario: Scenario;

  private constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.topic = scenario.topic;
    this.name = scenario.name;
    this.folder = scenario.folder;
  }

  /** Writes `changes` changes into a table of its own and captures them into `partitions` partitions. */
  static async make(changes: number, partitions: number): Promise<Backlog> {
    const mysql = databases().find(({ name }) => name === "MySQL")!;
    const scenario = new Scenario(mysql, { format: "json", mode: "batch" });
    await scenario.createTable();
    const job = scenario.captureJob();
    const capture = { ...job, kafka: { ...job.kafka as object, partitions } };
    await scenario.start(capture).ended(); // from here on the log counts
    await scenario.seed(changes);
    const captured = await scenario.start(capture).result<CaptureSummary>();
    const all = captured.changes.c + captured.changes.u + captured.changes.d;
    if (all !== changes) throw new Error(`${all} of ${changes} changes were captured`);
    await scenario.checkTopic();
    return new Backlog(scenario);
  }

  get made(): Made {
    return this.#scenario.made;
  }

  get changes(): number {
    const { c, u, d } = this.made;
    return c + u + d;
  }

  /** Where consumer `id` of a run writes. */
  output(id: number): string {
    return `${this.#scenario.output}/${id}`;
  }

  /** Throws unless the consumer's files have a line for every row, and a header each. */
  checkLines(output: string): void {
    const files = csvFiles(csvOptions.parse({ output }), this.topic);
    const lines = files.reduce((sum, { path }) => sum + linesIn(path), 0);
    const { c, u, d } = this.made;
    const expected = c + d + 2 * u + files.length;
    if (lines !== expected) {
      throw new Error(
        `${output} has ${lines} lines in ${files.length} files; expected ${expected}`,
      );
    }
  }

  /** Throws unless the list that the consumer's files tell is the table. */
  async verify(output: string): Promise<void> {
    const { verified, differences } = await this.#scenario.verify({ files: { output } });
    if (!verified) throw new Error(`${output}: ${JSON.stringify(differences.slice(0, 3))}`);
  }

  /** Removes the files of all consumers. */
  async clear(): Promise<void> {
    await Deno.remove(this.#scenario.output, { recursive: true });
  }
}
