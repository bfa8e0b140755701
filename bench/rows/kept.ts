/** What the rounds of a row may share, because they only read it. */

/** `make`, but each number of changes is made once; what failed is made again. */
export function kept<T>(make: (changes: number) => Promise<T>): (changes: number) => Promise<T> {
  const made = new Map<number, Promise<T>>();
  return (changes) => {
    const known = made.get(changes) ?? make(changes);
    made.set(changes, known);
    known.catch(() => made.delete(changes));
    return known;
  };
}
