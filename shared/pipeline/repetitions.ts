/** Drops changes that came before: a position that is not greater than the last one of its source. */
import type { Change, SourceIdentity } from "../change.ts";
import { sourceId } from "../formats/format.ts";

/** The last positions of one partition, by source. A copy per batch, so that a batch can be given up. */
export class Repetitions {
  readonly #positions: Map<string, string>;
  /** Source of the last change and its id: a partition rarely has more than one. */
  #identity: SourceIdentity | undefined;
  #source = "";
  #last = "";

  constructor(positions: ReadonlyMap<string, string>) {
    this.#positions = new Map(positions);
  }

  /** Whether the change is new; from then on it is not. */
  isNew(change: Change): boolean {
    if (change.source !== this.#identity) this.#turnTo(change.source);
    if (change.position <= this.#last) return false;
    this.#last = change.position;
    return true;
  }

  /** The last position of each source as it is now. */
  positions(): ReadonlyMap<string, string> {
    this.#keep();
    return new Map(this.#positions);
  }

  #turnTo(source: SourceIdentity): void {
    this.#keep();
    this.#identity = source;
    this.#source = sourceId(source);
    this.#last = this.#positions.get(this.#source) ?? "";
  }

  #keep(): void {
    if (this.#last !== "") this.#positions.set(this.#source, this.#last);
  }
}
