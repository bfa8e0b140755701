/** Memory that is given back and taken again: large pieces cost more to get from the system than to fill. */

/** Pieces of memory; holds no more than `limit_bytes` that nobody uses. */
export class BytePool {
  readonly #limit_bytes: number;
  /** Free, the one given back last at the end. */
  readonly #free: ArrayBuffer[] = [];
  readonly #taken = new WeakSet<ArrayBuffer>();
  #free_bytes = 0;

  constructor(limit_bytes: number) {
    this.#limit_bytes = limit_bytes;
  }

  /** `length` bytes, whatever stands in them. */
  readonly take = (length: number): Uint8Array<ArrayBuffer> => {
    const index = this.#free.findLastIndex(({ byteLength }) => byteLength >= length);
    const memory = index < 0 ? new ArrayBuffer(length) : this.#free.splice(index, 1)[0]!;
    if (index >= 0) this.#free_bytes -= memory.byteLength;
    this.#taken.add(memory);
    return new Uint8Array(memory, 0, length);
  };

  /**
   * Takes back what `take` gave: whoever reads it later gets a TypeError. False: it is not from here.
   */
  give({ buffer }: Uint8Array): boolean {
    if (!(buffer instanceof ArrayBuffer) || !this.#taken.delete(buffer)) return false;
    const memory = buffer.transfer(); // the same memory, out of reach of the views of it
    this.#free.push(memory);
    this.#free_bytes += memory.byteLength;
    while (this.#free_bytes > this.#limit_bytes) {
      const oldest = this.#free.shift()!;
      this.#free_bytes -= oldest.byteLength;
      oldest.transfer(0); // at once, and not when garbage is collected
    }
    return true;
  }
}
