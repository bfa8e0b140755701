/** Finds what somebody probably meant. */

/**
 * The candidate that takes the fewest edits (insert, delete, replace, swap of neighbours) to become
 * `name`, case and `-`/`_` aside; undefined when none comes within a third of the longer length.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let fewest = Infinity;
  for (const candidate of candidates) {
    const edits = distance(plain(name), plain(candidate));
    const bound = Math.max(1, Math.floor(Math.max(name.length, candidate.length) / 3));
    if (edits <= bound && edits < fewest) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

/**
 * What a message that refuses `name` says of the nearest candidate: `; nearest is "port"`, or nothing.
 * `written` makes of it what one writes: `--port`.
 */
export function nearestHint(
  name: string,
  candidates: Iterable<string>,
  written = (near: string) => near,
): string {
  const near = nearest(name, candidates);
  return near === undefined ? "" : `; nearest is ${JSON.stringify(written(near))}`;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("-", "_");
}

/** Optimal string alignment distance (Damerau-Levenshtein without overlapping swaps). */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) edits = Math.min(edits, beforeLast[j - 2]! + 1);
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
