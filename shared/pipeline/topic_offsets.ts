/** The offsets of whole topics, for many partitions that each want their own. */
import type { Admin, OffsetRange } from "../kafka/port.ts";

/** By partition (index). */
export interface Offsets {
  readonly ranges: readonly OffsetRange[];
  /** What the group has committed; undefined where it has nothing. */
  readonly committed: readonly (number | undefined)[];
}

/** Asks the brokers about a topic once at a time, however many want to know. */
export class TopicOffsets {
  readonly #admin: Pick<Admin, "offsets" | "committed">;
  readonly #group_id: string;
  /** By topic: the question that is under way, and the one that comes after it. */
  readonly #asked = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Promise<Offsets>>();

  constructor(admin: Pick<Admin, "offsets" | "committed">, group_id: string) {
    this.#admin = admin;
    this.#group_id = group_id;
  }

  /**
   * What holds after the call: an answer that is on its way may be older, so all who call meanwhile
   * share the next one. Throws what the admin throws.
   */
  of(topic: string): Promise<Offsets> {
    const next = this.#next.get(topic) ?? this.#after(this.#asked.get(topic), topic);
    this.#next.set(topic, next);
    return next;
  }

  async #after(earlier = Promise.resolve<unknown>(undefined), topic: string): Promise<Offsets> {
    await earlier.catch(() => {}); // who asked is told
    this.#next.delete(topic);
    const asked = this.#ask(topic);
    this.#asked.set(topic, asked);
    return await asked;
  }

  async #ask(topic: string): Promise<Offsets> {
    const [ranges, committed] = await Promise.all([
      this.#admin.offsets(topic),
      this.#admin.committed(this.#group_id, topic),
    ]);
    return { ranges, committed };
  }
}
