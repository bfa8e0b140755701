/** The changes of one source on their way: written, captured, consumed. */
import type { SeedSummary } from "../../shared/seed/seed.ts";
import { EXIT_STOPPED } from "../cli/host.ts";
import { EXIT_DONE } from "../cli/main.ts";
import type { Progress, ProgressBoard } from "../cli/progress.ts";
import { changesOf, type Counts, sum } from "./meter.ts";
import type { DemoProcess } from "./process.ts";
import type { SourceFigures } from "./report.ts";
import type { DemoSource } from "./sources.ts";
import { until } from "./until.ts";

/** Without any progress for so long, something is stuck. */
const STALL_MS = 120_000;
/** Exit codes of a worker that was asked to stop. */
const STOPPED = [EXIT_DONE, EXIT_STOPPED.SIGTERM];

/** What capture and consumer print when they end. */
interface WorkerSummary {
  readonly changes: Counts;
  readonly repetitions: number;
}

/** When something had its first and its last change. */
class Span {
  readonly #progress: Progress;
  readonly #total: number;
  /** When it was last seen that nothing had come yet. */
  #begin_ms = performance.now();
  #last_ms = this.#begin_ms;
  #done = 0;

  constructor(progress: Progress, total: number) {
    this.#progress = progress;
    this.#total = total;
  }

  get done(): number {
    return this.#done;
  }

  /** Counts never fall: a worker that has ended answers with none. */
  update(done: number): void {
    const now = performance.now();
    if (done === 0 && this.#done === 0) this.#begin_ms = now;
    if (done <= this.#done) return;
    this.#last_ms = now;
    this.#done = done;
    this.#progress.update(done);
    if (done >= this.#total) this.#progress.end();
  }

  /** From the first change to the last. */
  seconds(): number {
    return Math.max(0, this.#last_ms - this.#begin_ms) / 1000;
  }
}

/** Capture and consumer of a source, and the bars of its phases. */
export class SourceFlow {
  readonly source: DemoSource;
  readonly capture_port: number;
  readonly consume_port: number;
  readonly #seed_ports: number[];
  readonly #rows: number;
  readonly #board: ProgressBoard;
  readonly #capture: DemoProcess;
  readonly #consume: DemoProcess;
  #spans: { seed: Span; capture: Span; consume: Span } | undefined;

  constructor(
    source: DemoSource,
    rows: number,
    board: ProgressBoard,
    workers: { capture: DemoProcess; consume: DemoProcess },
  ) {
    this.source = source;
    this.capture_port = port(source.capture_port);
    this.consume_port = port(source.consume_port);
    this.#seed_ports = source.tables.map((table) => port(table.seed_port));
    this.#rows = rows;
    this.#board = board;
    this.#capture = workers.capture;
    this.#consume = workers.consume;
  }

  /** Throws when capture or consumer has failed. */
  async check(): Promise<void> {
    await this.#capture.check();
    await this.#consume.check();
  }

  /** Follows the changes of `seeds` until the consumer has made all of them durable. */
  async arrival(seeds: readonly DemoProcess[], signal: AbortSignal): Promise<void> {
    const span = (what: string) =>
      new Span(this.#board.begin(`${what} ${this.source.title}`, this.#rows), this.#rows);
    const spans = { seed: span("write"), capture: span("capture"), consume: span("to CSV") };
    this.#spans = spans;
    // A seed that has ended tells no more: its last transactions are known by its end.
    const written = Promise.all(seeds.map((seed) => seed.result()))
      .then(() => spans.seed.update(this.#rows));
    written.catch(() => {}); // told below, by check
    let seen = 0;
    while (spans.consume.done < this.#rows) {
      await until(`${this.source.title}: changes move on`, async () => {
        await this.check();
        for (const seed of seeds) await seed.check();
        await this.#measure();
        const sums = spans.seed.done + spans.capture.done + spans.consume.done;
        const moved = sums > seen;
        seen = sums;
        return moved;
      }, { signal, patience_ms: STALL_MS });
    }
    await written;
  }

  async #measure(): Promise<void> {
    const { seed, capture, consume } = this.#spans!;
    const [captured, consumed, ...written] = await Promise.all(
      [this.capture_port, this.consume_port, ...this.#seed_ports].map(changesOf),
    );
    capture.update(sum(captured!));
    consume.update(sum(consumed!));
    seed.update(written.reduce((total, counts) => total + sum(counts), 0));
  }

  /** Ends capture and consumer in order, and answers the figures of all three phases. */
  async drain(written: readonly SeedSummary[]): Promise<Omit<SourceFigures, "results">> {
    await this.#capture.stop();
    const captured = await this.#capture.result<WorkerSummary>(STOPPED);
    await this.#consume.stop();
    const consumed = await this.#consume.result<WorkerSummary>(STOPPED);
    const spans = this.#spans!;
    const total = (field: "inserted" | "updated" | "deleted") =>
      written.reduce((counted, summary) => counted + summary[field], 0);
    return {
      tables: this.source.tables.map((table) => table.name),
      written: { c: total("inserted"), u: total("updated"), d: total("deleted") },
      captured: counts(captured),
      consumed: counts(consumed),
      repetitions: captured.repetitions + consumed.repetitions,
      seconds: {
        seed: Math.max(...written.map((summary) => summary.seconds)),
        capture: spans.capture.seconds(),
        consume: spans.consume.seconds(),
      },
    };
  }
}

function counts({ changes: { c, u, d } }: WorkerSummary): Counts {
  return { c, u, d };
}

function port(variable: string): number {
  return Number(Deno.env.get(variable));
}
