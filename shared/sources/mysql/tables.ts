/** Which tables a job captures. */
import { globSelection } from "../../jobs/glob.ts";

/** A test of `db` and `table` by the job's `tables` and `exclude_tables`; its signal table is wanted, too. */
export class TableSelection {
  readonly #isCaptured: (name: string) => boolean;
  readonly #known = new Map<string, boolean>();

  readonly #signal_table: string | undefined;

  constructor(
    tables: readonly string[],
    exclude_tables: readonly string[],
    signal_table?: string,
  ) {
    this.#signal_table = signal_table;
    this.#isCaptured = globSelection(tables, exclude_tables);
  }

  has(db: string, table: string): boolean {
    const name = `${db}.${table}`;
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const answer = name === this.#signal_table || this.#isCaptured(name);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(name, answer);
    return answer;
  }
}

/** Names whose answer is kept: a bound for servers that make and drop tables all day. */
const MAX_KNOWN = 10_000;
