/** What every way of making a scenario's conditions offers. One file beside this implements each. */
import type { LinkName } from "../compose/native/netem.ts";
import type { Scenario } from "./scenario.ts";

/** Something that makes conditions. */
export interface Backend {
  /**
   * Makes the scenario's conditions, with the links of `cut` cut, in the place of what stood before.
   * Throws ConfigError, before anything is changed, for what it cannot make.
   */
  apply(scenario: Scenario, cut: ReadonlySet<LinkName>): Promise<void>;
  /** Takes all conditions away; there may be none. */
  clear(): Promise<void>;
  /** What stands now, a line each, as the servers or the kernel tell it. */
  status(): Promise<string[]>;
}
