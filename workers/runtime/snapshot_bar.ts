/** A snapshot on the terminal: a bar from its first rows to its last. */
import type { SnapshotState } from "../../shared/sources/source.ts";
import type { Progress, ProgressBoard } from "../cli/progress.ts";

/** One bar after another, as snapshots come and go. */
export class SnapshotBar {
  readonly #board: () => ProgressBoard;
  #bar: Progress | undefined;

  /** `board`: asked for when there is something to draw. */
  constructor(board: () => ProgressBoard) {
    this.#board = board;
  }

  update({ rows, rows_estimated, finished }: SnapshotState): void {
    // What an earlier attempt read says nothing about the rate of this one.
    this.#bar ??= this.#board().begin("snapshot rows", rows_estimated, rows);
    this.#bar.total(finished ? rows : rows_estimated);
    this.#bar.update(rows);
    if (!finished) return;
    this.#bar.end();
    this.#bar = undefined;
  }
}
