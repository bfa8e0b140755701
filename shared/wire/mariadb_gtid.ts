/** MariaDB's global transaction identifiers (GTIDs): `domain-server-sequence`. */
import { ConfigError } from "../errors.ts";

const GTID = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;

/**
 * The last transaction of each replication domain, which says all that came before it in the same
 * log. The text form is the server's own (`0-1-5,1-2-7`). See "Global Transaction ID" in MariaDB's
 * documentation.
 */
export class GtidPosition {
  /** Server and sequence, by domain. */
  readonly #last = new Map<number, { source: string; number: number }>();
  #text: string | undefined;

  /** Reads the text form; white space is allowed. Throws ConfigError that names what is wrong. */
  static parse(text: string): GtidPosition {
    const position = new GtidPosition();
    for (const entry of text.split(",").map((part) => part.trim())) {
      if (entry === "" && text.trim() === "") continue;
      const [, domain, server, sequence] = GTID.exec(entry) ?? [];
      const number = Number(sequence);
      if (domain === undefined || !Number.isSafeInteger(number)) {
        throw new ConfigError(
          `Cannot read ${JSON.stringify(text.slice(0, 200))} as GTIDs of MariaDB: ${
            JSON.stringify(entry)
          } is no domain-server-sequence`,
        );
      }
      position.add(`${domain}-${server}`, number);
    }
    return position;
  }

  /** One of its own with the same transactions. */
  copy(): GtidPosition {
    return new GtidPosition().union(this);
  }

  /** The GTID of a transaction. */
  name(source: string, number: number): string {
    return `${source}-${number}`;
  }

  /** Moves on to a transaction; `source` is `domain-server`. */
  add(source: string, number: number): this {
    this.#text = undefined;
    const domain = Number(source.slice(0, source.indexOf("-")));
    this.#last.set(domain, { source, number });
    return this;
  }

  get empty(): boolean {
    return this.#last.size === 0;
  }

  /** Moves on to all of `other`. */
  union(other: GtidPosition): this {
    for (const { source, number } of other.#last.values()) this.add(source, number);
    return this;
  }

  /** Whether `other` lies at or before this position, in each of its domains. */
  contains(other: GtidPosition): boolean {
    return other.without(this).empty;
  }

  /** The domains in which this position is further than `other`. */
  without(other: GtidPosition): GtidPosition {
    const rest = new GtidPosition();
    for (const [domain, { source, number }] of this.#last) {
      if (number > (other.#last.get(domain)?.number ?? 0)) rest.add(source, number);
    }
    return rest;
  }

  /** The text form, domains sorted: equal positions have equal text. */
  toString(): string {
    return this.#text ??= [...this.#last].sort(([a], [b]) => a - b)
      .map(([, { source, number }]) => this.name(source, number)).join(",");
  }
}
