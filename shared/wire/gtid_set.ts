/** Sets of MySQL's global transaction identifiers (GTIDs), tagged ones included. */
import { ConfigError } from "../errors.ts";

/** Transaction numbers from `first` to `last`, both included. */
interface Interval {
  first: number;
  last: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TAG = /^[a-z_][a-z0-9_]{0,31}$/;
const INTERVAL = /^(\d+)(?:-(\d+))?$/;

/**
 * A set of GTIDs. The text form is the server's own (`uuid:1-5:7,uuid:tag:1`), one entry for each
 * pair of UUID and tag. See "GTID Format and Storage" in MySQL's reference manual.
 */
export class GtidSet {
  /** Intervals in rising order and not touching, by `uuid` or `uuid:tag`. */
  readonly #sources = new Map<string, Interval[]>();
  #text: string | undefined;

  /** Reads the text form; white space is allowed. Throws ConfigError that names what is wrong. */
  static parse(text: string): GtidSet {
    const set = new GtidSet();
    for (const entry of text.split(",")) {
      const parts = entry.trim().toLowerCase().split(":").map((part) => part.trim());
      if (parts.length === 1 && parts[0] === "") continue;
      const uuid = parts.shift()!;
      if (!UUID.test(uuid)) throw malformed(text, uuid);
      let source = uuid;
      for (const part of parts) {
        const interval = INTERVAL.exec(part);
        if (interval !== null) {
          const first = Number(interval[1]);
          const last = Number(interval[2] ?? interval[1]);
          if (!(first >= 1 && last >= first && Number.isSafeInteger(last))) {
            throw malformed(text, part);
          }
          set.#insert(source, first, last);
        } else if (TAG.test(part)) source = `${uuid}:${part}`;
        else throw malformed(text, part);
      }
    }
    return set;
  }

  /** Whether a text is what stands before the number in a GTID: `uuid` or `uuid:tag`. */
  static isSource(text: string): boolean {
    const [uuid = "", tag, ...more] = text.split(":");
    return UUID.test(uuid) && (tag === undefined || TAG.test(tag)) && more.length === 0;
  }

  /** A set of its own with the same GTIDs. */
  copy(): GtidSet {
    return new GtidSet().union(this);
  }

  /** The GTID of a transaction. */
  name(source: string, number: number): string {
    return `${source}:${number}`;
  }

  /** Adds one transaction; `source` is `uuid` or `uuid:tag`. */
  add(source: string, number: number): this {
    const intervals = this.#sources.get(source);
    const end = intervals?.at(-1);
    this.#text = undefined;
    if (end !== undefined && end.last + 1 === number) end.last = number; // the usual case
    else this.#insert(source, number, number);
    return this;
  }

  /** Adds all of `other`. */
  union(other: GtidSet): this {
    for (const [source, intervals] of other.#sources) {
      for (const { first, last } of intervals) this.#insert(source, first, last);
    }
    return this;
  }

  /** Whether every GTID of `other` is in this set. */
  contains(other: GtidSet): boolean {
    for (const [source, intervals] of other.#sources) {
      const own = this.#sources.get(source) ?? [];
      for (const { first, last } of intervals) {
        if (!own.some((interval) => interval.first <= first && last <= interval.last)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Whether the transaction is in this set; `source` is `uuid` or `uuid:tag`. */
  has(source: string, number: number): boolean {
    return (this.#sources.get(source) ?? []).some(({ first, last }) =>
      first <= number && number <= last
    );
  }

  /** What is in this set and not in `other`. */
  without(other: GtidSet): GtidSet {
    const rest = new GtidSet();
    for (const [source, intervals] of this.#sources) {
      const taken = other.#sources.get(source) ?? [];
      for (const { first, last } of intervals) {
        let from = first;
        for (const hole of taken) {
          if (hole.last < from || hole.first > last) continue;
          if (hole.first > from) rest.#insert(source, from, hole.first - 1);
          from = hole.last + 1;
        }
        if (from <= last) rest.#insert(source, from, last);
      }
    }
    return rest;
  }

  get empty(): boolean {
    return this.#sources.size === 0;
  }

  /** The text form, sources sorted: equal sets have equal text. */
  toString(): string {
    return this.#text ??= this.#sorted().map(([source, intervals]) =>
      `${source}:${
        intervals.map(({ first, last }) => first === last ? `${first}` : `${first}-${last}`)
          .join(":")
      }`
    ).join(",");
  }

  /**
   * The form that COM_BINLOG_DUMP_GTID carries (`Gtid_set::encode` in the server): count, and for
   * each source its UUID, intervals with an exclusive end. A set with a tag in it has format 1:
   * the first word also carries the format, and each source the length and text of its tag.
   */
  encode(): Uint8Array {
    const sources = this.#sorted();
    const tagged = sources.some(([source]) => source.includes(":"));
    const bytes: number[] = [];
    const u64 = (value: bigint) => {
      for (let i = 0n; i < 64n; i += 8n) bytes.push(Number((value >> i) & 0xffn));
    };
    const count = BigInt(sources.length);
    u64(tagged ? (1n << 56n) | (count << 8n) | 1n : count);
    for (const [source, intervals] of sources) {
      const [uuid, tag = ""] = source.split(":") as [string, string?];
      for (const [byte] of uuid.replaceAll("-", "").matchAll(/../g)) bytes.push(parseInt(byte, 16));
      // The length is a variable-length integer: up to 127 it stands in one byte, shifted.
      if (tagged) bytes.push(tag.length << 1, ...new TextEncoder().encode(tag));
      u64(BigInt(intervals.length));
      for (const { first, last } of intervals) {
        u64(BigInt(first));
        u64(BigInt(last) + 1n);
      }
    }
    return Uint8Array.from(bytes);
  }

  #sorted(): [string, Interval[]][] {
    return [...this.#sources].sort(([a], [b]) => a < b ? -1 : 1);
  }

  #insert(source: string, first: number, last: number): void {
    this.#text = undefined;
    const merged: Interval[] = [];
    let added = { first, last };
    for (const interval of this.#sources.get(source) ?? []) {
      if (interval.last + 1 < added.first) merged.push(interval);
      else if (added.last + 1 < interval.first) {
        merged.push(added);
        added = interval;
      } else {
        added = {
          first: Math.min(added.first, interval.first),
          last: Math.max(added.last, interval.last),
        };
      }
    }
    merged.push(added);
    this.#sources.set(source, merged);
  }
}

function malformed(text: string, part: string): ConfigError {
  return new ConfigError(
    `Cannot read ${JSON.stringify(text.slice(0, 200))} as a GTID set: ${
      JSON.stringify(part)
    } is no UUID, tag or interval`,
  );
}
