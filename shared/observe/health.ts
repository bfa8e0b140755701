/** Whether a worker lives and does its work, and the small HTTP server that says so. */
import { ConfigError } from "../errors.ts";
import type { Metrics } from "./metrics.ts";

/** What keeps a worker from being ready, by part (`start`, `source`, `partition orders/0` ...). */
export interface Health {
  /** The part cannot do its work for this reason, until `ready` is said of it. */
  unready(part: string, reason: string): void;
  ready(part: string): void;
  /** Reason by part; empty: ready. */
  reasons(): Record<string, string>;
}

/** Health of a worker that has not begun: `ready("start")` is said when it reads its first batch. */
export function createHealth(): Health {
  const reasons = new Map([["start", "the worker has not begun to read"]]);
  return {
    unready: (part, reason) => void reasons.set(part, reason),
    ready: (part) => void reasons.delete(part),
    reasons: () => Object.fromEntries(reasons),
  };
}

/** A listener that answers for the worker. */
export interface HealthServer {
  /** The port that it listens on: the one asked for, or the free one that 0 became. */
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/metrics` (Prometheus text), `/health/live` (200 while the event loop turns) and
 * `/health/ready` (200, or 503 with the reasons as JSON) on `host:port`.
 * Throws ConfigError when the address cannot be bound.
 */
export function serveHealth(
  options: { host: string; port: number; metrics: Metrics; health: Health },
): HealthServer {
  const { host, port, metrics, health } = options;
  const answer = async (request: Request): Promise<Response> => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return new Response("Only GET and HEAD are answered.\n", {
        status: 405,
        headers: { allow: "GET, HEAD" },
      });
    }
    switch (new URL(request.url).pathname) {
      case "/metrics":
        return new Response(await metrics.text(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        });
      case "/health/live":
        return Response.json({ live: true });
      case "/health/ready": {
        const reasons = health.reasons();
        const ready = Object.keys(reasons).length === 0;
        return Response.json({ ready, reasons }, { status: ready ? 200 : 503 });
      }
      default:
        return new Response("Answered: /metrics /health/live /health/ready\n", { status: 404 });
    }
  };
  try {
    const server = Deno.serve({ hostname: host, port, onListen() {} }, answer);
    return { port: server.addr.port, close: () => server.shutdown() };
  } catch (error) {
    throw new ConfigError(`observe.metrics_port: cannot listen on ${host}:${port}.`, {
      cure: "choose a free port and an address of this host, or leave metrics_port out",
      cause: error,
    });
  }
}
