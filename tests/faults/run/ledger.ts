/** What a writer has committed: the truth that topics and files are judged by. */

/** What became of one row: the text that it held in each version, from version 1 on. */
export interface History {
  readonly notes: string[];
  deleted: boolean;
}

/** Statements of one transaction, each over the rows named. */
export interface Step {
  readonly op: "c" | "u" | "d";
  readonly ids: readonly number[];
  /** What the rows hold afterwards; empty for `d`. */
  readonly note: string;
}

/** Every committed change. A change is known by its row and version; an id is never used again. */
export class Ledger {
  readonly histories = new Map<number, History>();
  /** Committed changes in all. */
  changes = 0;

  /** Takes in a transaction that is committed. */
  commit(steps: readonly Step[]): void {
    for (const { op, ids, note } of steps) {
      for (const id of ids) this.#change(op, id, note);
      this.changes += ids.length;
    }
  }

  #change(op: Step["op"], id: number, note: string): void {
    if (op === "c") this.histories.set(id, { notes: [note], deleted: false });
    else if (op === "u") this.histories.get(id)!.notes.push(note);
    else this.histories.get(id)!.deleted = true;
  }

  /** Ids of the rows that are there. */
  alive(): number[] {
    return [...this.histories].filter(([, { deleted }]) => !deleted).map(([id]) => id);
  }
}
