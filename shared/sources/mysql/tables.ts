/** Which tables a job captures. */
import { globMatcher } from "../../jobs/glob.ts";

/** A test of `db` and `table` by the job's `tables` and `exclude_tables`; its signal table is wanted, too. */
export class TableSelection {
  readonly #wanted: readonly ((name: string) => boolean)[];
  readonly #excluded: readonly ((name: string) => boolean)[];
  readonly #known = new Map<string, boolean>();

  readonly #signal_table: string | undefined;

  constructor(
    tables: readonly string[],
    exclude_tables: readonly string[],
    signal_table?: string,
  ) {
    this.#signal_table = signal_table;
    this.#wanted = tables.map(globMatcher);
    this.#excluded = exclude_tables.map(globMatcher);
  }

  has(db: string, table: string): boolean {
    const name = `${db}.${table}`;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const matches = (test: (name: string) => boolean) => test(name);
    const answer = name === this.#signal_table ||
      this.#wanted.some(matches) && !this.#excluded.some(matches);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(name, answer);
    return answer;
  }
}

/** Names whose answer is kept: a bound for servers that make and drop tables all day. */
const MAX_KNOWN = 10_000;
