/** The sink `none`: counts, writes nothing; the consumer group's offsets are its only standing. */
import { z } from "zod";
import { partitionId, type TopicPartition } from "../kafka/port.ts";
import type { Durable, Sink, SinkBatch, SinkModule, Standing } from "./sink.ts";

/** Schema of the job's `sink`: the word alone. */
export const noneOptions = z.literal("none");

/** The module's export for the table of sinks. */
export const sink: SinkModule<"none"> = { options: noneOptions, create: () => new NoneSink() };

/** Takes every change and keeps none: each is told by its operation and position. */
export class NoneSink implements Sink {
  readonly reads_rows: boolean = false;
  readonly #accepted = new Map<string, number>();

  open(): Promise<Standing | undefined> {
    return Promise.resolve(undefined);
  }

  write(at: TopicPartition, batch: SinkBatch): Promise<void> {
    this.#accepted.set(partitionId(at), batch.standing.next_offset);
    return Promise.resolve();
  }

  flush(at: TopicPartition): Promise<Durable | undefined> {
    const next_offset = this.#accepted.get(partitionId(at));
    if (next_offset === undefined) return Promise.resolve(undefined);
    this.#accepted.delete(partitionId(at));
    return Promise.resolve({
      topic: at.topic,
      partition: at.partition,
      durable: true,
      next_offset,
    });
  }

  release(at: TopicPartition): Promise<void> {
    this.#accepted.delete(partitionId(at));
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#accepted.clear();
    return Promise.resolve();
  }
}
