/** `deno task netem`: makes the network between servers and workers worse, and whole again. */
import { readState } from "../../compose/native/state.ts";
import { stackWays } from "../../compose/native/stack.ts";
import { runOrFail } from "../../compose/native/processes.ts";
import type { Backend } from "../../netem/backend.ts";
import { NftBackend } from "../../netem/nft.ts";
import { loadScenario, type Scenario, scenarioNames } from "../../netem/scenario.ts";
import { planTc, removal, scriptOf, TcBackend, type TcHost } from "../../netem/tc.ts";
import { follow, timetable } from "../../netem/timetable.ts";
import { ToxiproxyBackend } from "../../netem/toxiproxy.ts";
import { ConfigError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";
import { type Arguments, type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";

const BACKENDS = ["toxiproxy", "nft", "tc"] as const;
const HOSTS = ["broker", "capture", "consumer"] as const;

const SPEC: CommandSpec = {
  name: "netem",
  summary:
    "Makes the network between servers and workers worse, as a scenario says, and whole again.",
  usage: "deno task netem apply|status|clear|list|test|speed [SCENARIO...] [options]",
  example: "deno task netem apply consumer-20mbit-800ms",
  positionals: {
    name: "ACTION [SCENARIO...]",
    help:
      "apply SCENARIO (a name that list prints, or a file); status, clear: the one that is applied, " +
      "named or not; list; test: workers in each SCENARIO, or in all; speed: captures in SCENARIO",
    min: 1,
    max: Infinity,
  },
  options: {
    backend: { type: "string", value: "NAME", help: BACKENDS.join(", "), default: "toxiproxy" },
    name: {
      type: "string",
      value: "NAME",
      help: "toxiproxy, nft: which stack",
      default: "default",
    },
    at: { type: "string", value: "ROLE", help: `tc: what runs there: ${HOSTS.join(", ")}` },
    interface: {
      type: "string",
      value: "NAME",
      help: "tc: its network interface",
      default: "eth0",
    },
    brokers: { type: "string", value: "ADDRESS,...", help: "tc: IPv4 addresses of the brokers" },
    databases: {
      type: "string",
      value: "ADDRESS,...",
      help: "tc: IPv4 addresses of the databases",
    },
    container: { type: "string", value: "NAME", help: "tc: in a container of this machine" },
    print: {
      type: "boolean",
      help: "apply, clear by tc: print a script, for a host without Deno; change nothing",
    },
    changes: {
      type: "number",
      help: "test, speed: changes of each database (default 20000, 300000)",
    },
    json: { type: "boolean", help: "list, test, speed: one JSON object on stdout" },
  },
};

/** What is done, and how many scenarios may be named for it. */
const ACTIONS: Readonly<Record<string, Action>> = {
  apply: { run: apply, least: 1, most: 1 },
  status: { run: status, least: 0, most: 1 },
  clear: { run: clear, least: 0, most: 1 },
  list: { run: list, least: 0, most: 0 },
  test: { run: test, least: 0, most: Infinity },
  speed: { run: speed, least: 1, most: 1 },
};

interface Action {
  readonly run: (args: Arguments) => Promise<number>;
  readonly least: number;
  readonly most: number;
}

async function main(args: string[]): Promise<number> {
  const parsed = parseCommand(SPEC, args);
  if (parsed === "help") return EXIT_DONE;
  const [name = "", ...positionals] = parsed.positionals;
  const action = ACTIONS[oneOf("action", name, Object.keys(ACTIONS))]!;
  refuseCount(name, action, positionals);
  return await action.run({ ...parsed, positionals });
}

function refuseCount(name: string, { least, most }: Action, scenarios: readonly string[]): void {
  if (scenarios.length >= least && scenarios.length <= most) return;
  const wanted = most === 0 ? "no scenario" : least === 0 ? "at most one scenario" : "one scenario";
  throw new ConfigError(
    `netem ${name} takes ${wanted}; found ${scenarios.join(" ") || "none"}.`,
    { cure: `usage: ${SPEC.usage}` },
  );
}

async function apply({ options, positionals }: Arguments): Promise<number> {
  const scenario = loadScenario(positionals[0]!);
  if (options["print"]) {
    refuseCuts(scenario);
    const host = await hostOf(options);
    console.log(scriptOf(planTc(scenario, host, { netem: true })));
    return EXIT_DONE;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  const tell = (line: string) => console.error(line);
  await follow(scenario, await backendOf(options), { tell, signal: stop.signal });
  console.log(`${scenario.file} is applied: ${scenario.description}`);
  return stop.signal.aborted ? EXIT_FAILED : EXIT_DONE;
}

/** A script has done when the conditions stand; who follows a timetable has not. */
function refuseCuts(scenario: Scenario): void {
  if (timetable(scenario).length === 1) return;
  throw new ConfigError(`${scenario.file} cuts links, which a script cannot do in time.`, {
    cure: "run the command on the host, or leave the cuts out",
  });
}

async function status({ options }: Arguments): Promise<number> {
  const lines = await (await backendOf(options)).status();
  console.log(lines.length === 0 ? "No conditions stand." : lines.join("\n"));
  return EXIT_DONE;
}

async function clear({ options }: Arguments): Promise<number> {
  if (options["print"]) {
    console.log(scriptOf({ remove: removal(String(options["interface"])) }));
    return EXIT_DONE;
  }
  await (await backendOf(options)).clear();
  console.log("All conditions are taken away.");
  return EXIT_DONE;
}

function list({ options }: Arguments): Promise<number> {
  const scenarios = scenarioNames().map((name) => ({ name, ...loadScenario(name) }));
  if (options["json"]) console.log(JSON.stringify(scenarios));
  else for (const { name, description } of scenarios) console.log(`${name}\n    ${description}`);
  return Promise.resolve(EXIT_DONE);
}

async function test({ options, positionals }: Arguments): Promise<number> {
  const { testScenarios } = await import("../../tests/netem/run/scenarios.ts");
  return await testScenarios(positionals.length > 0 ? positionals : scenarioNames(), {
      changes: Number(options["changes"] ?? 20_000),
      json: options["json"] === true,
    })
    ? EXIT_DONE
    : EXIT_FAILED;
}

async function speed({ options, positionals }: Arguments): Promise<number> {
  const { compareSpeed } = await import("../../tests/netem/run/speed.ts");
  const changes = Number(options["changes"] ?? 300_000);
  await compareSpeed(positionals[0]!, { changes, json: options["json"] === true });
  return EXIT_DONE;
}

async function backendOf(options: Arguments["options"]): Promise<Backend> {
  const name = oneOf("backend", String(options["backend"]), BACKENDS);
  if (name === "tc") return new TcBackend(await hostOf(options));
  const stack = String(options["name"]);
  const info = await readState(stack);
  if (info === undefined) {
    throw new ConfigError(`There is no stack ${stack}.`, {
      cure: `bring it up: deno task stack up --netem --name ${stack}`,
    });
  }
  return name === "nft" ? new NftBackend(stackWays(info.port_offset)) : new ToxiproxyBackend(info);
}

async function hostOf(options: Arguments["options"]): Promise<TcHost> {
  return {
    at: oneOf("role", String(options["at"] ?? ""), HOSTS),
    interface: String(options["interface"]),
    brokers: addressesOf(options, "brokers"),
    databases: addressesOf(options, "databases"),
    prefix: options["container"] === undefined
      ? []
      : await containerPrefix(String(options["container"])),
  };
}

function addressesOf(options: Arguments["options"], name: string): string[] {
  const words = options[name] === undefined ? [] : String(options[name]).split(",");
  const wrong = words.find((word) => !/^\d{1,3}(\.\d{1,3}){3}$/.test(word));
  if (wrong === undefined) return words;
  throw new ConfigError(`netem: --${name} has ${JSON.stringify(wrong)}.`, {
    cure: "give IPv4 addresses with commas between: 172.18.0.2,172.18.0.3",
  });
}

/** Enters the network namespace of a container, whose image need not have tc. */
async function containerPrefix(name: string): Promise<string[]> {
  const inspect = ["inspect", "--format", "{{.State.Pid}}", name];
  const pid = (await runOrFail(`Looking for container ${name}`, "docker", inspect)).trim();
  if (pid !== "0") return ["nsenter", `--net=/proc/${pid}/ns/net`];
  throw new ConfigError(`The container ${name} does not run.`, { cure: `docker start ${name}` });
}

function oneOf<Name extends string>(what: string, found: string, allowed: readonly Name[]): Name {
  const name = allowed.find((one) => one === found);
  if (name !== undefined) return name;
  throw new ConfigError(
    `netem: unknown ${what} ${JSON.stringify(found)}${nearestHint(found, allowed)}. ` +
      `Allowed: ${allowed.join(", ")}.`,
  );
}

if (import.meta.main) await run(() => main(Deno.args));
