/** Drops changes that came before: a position that is not greater than the last one of its source. */
import type { Change, SourceIdentity } from "../change.ts";
import { sourceId } from "../formats/format.ts";
import { POSITION_LENGTH } from "../position.ts";

/** The last positions of one partition, by source. A copy per batch, so that a batch can be given up. */
export class Repetitions {
  readonly #positions: Map<string, string>;
  /** Source of the last change and its id: a partition rarely has more than one. */
  #identity: SourceIdentity | undefined;
  #source = "";
  /** The last position; undefined: it is the text that stands in `#memory`. */
  #last: string | undefined = "";
  #memory: Uint8Array = NOWHERE;
  #view = viewOf(NOWHERE);
  #at = 0;

  constructor(positions: ReadonlyMap<string, string>) {
    this.#positions = new Map(positions);
  }

  /** Whether the change is new; from then on it is not. */
  isNew({ source, position }: Pick<Change, "source" | "position">): boolean {
    if (source !== this.#identity) this.#turnTo(source);
    if (position <= this.#text()) return false;
    this.#last = position;
    return true;
  }

  /** The same for a position that is the text from `at` on in `memory`, good until `positions`. */
  isNewAt(source: SourceIdentity, memory: Uint8Array, at: number): boolean {
    if (source !== this.#identity) this.#turnTo(source);
    const isFirst = this.#last !== undefined || memory !== this.#memory;
    if (isFirst ? textAt(memory, at) <= this.#text() : !this.#isBehind(at)) return false;
    if (memory !== this.#memory) {
      this.#memory = memory;
      this.#view = viewOf(memory);
    }
    this.#last = undefined;
    this.#at = at;
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
    if (this.#text() !== "") this.#positions.set(this.#source, this.#text());
  }

  /** Compares as text, eight bytes at a time: as doubles, positions that differ are never equal. */
  #isBehind(at: number): boolean {
    const view = this.#view;
    const last = this.#at;
    let index = 0;
    while (
      index + 8 <= POSITION_LENGTH && view.getFloat64(at + index) === view.getFloat64(last + index)
    ) index += 8;
    while (
      index < POSITION_LENGTH && view.getUint8(at + index) === view.getUint8(last + index)
    ) index++;
    return index < POSITION_LENGTH && view.getUint8(at + index) > view.getUint8(last + index);
  }

  #text(): string {
    return this.#last ??= textAt(this.#memory, this.#at);
  }
}

const NOWHERE = new Uint8Array();

function textAt(memory: Uint8Array, at: number): string {
  return String.fromCharCode(...memory.subarray(at, at + POSITION_LENGTH));
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
