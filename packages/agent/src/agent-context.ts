import { setTimeout as delay } from "node:timers/promises";
import type { ProcessIdentity } from "@baton/process-tree";
import type { AgentConfig } from "@baton/protocol";
import type { Confirmations } from "./confirm.ts";
import type { EffectLog } from "./effects.ts";
import type { Executor } from "./executor.port.ts";
import type { Facts } from "./facts.ts";
import type { Journal } from "./journal.ts";
import type { LeaseHolder } from "./lease-holder.ts";
import { type Log, reasonOf } from "./log.ts";
import type { Operations } from "./operations.ts";
import type { Receipts } from "./receipts.ts";
import type { KeyServer } from "./served-key.ts";
import type { StatePaths } from "./state-directory.ts";

/** What the parts of one agent share. */
export interface AgentContext {
  readonly config: AgentConfig;
  /** Names this life of the agent. */
  readonly instance: string;
  readonly self: ProcessIdentity;
  /** Whose processes the agent sees; null when it cannot be read. */
  readonly pidNamespace: string | null;
  readonly paths: StatePaths;
  readonly journal: Journal;
  readonly lease: LeaseHolder;
  readonly receipts: Receipts;
  readonly confirmations: Confirmations;
  readonly effects: EffectLog;
  readonly operations: Operations;
  readonly executor: Executor;
  readonly keyServer: KeyServer;
  readonly log: Log;
  readonly patience: Patience;
}

/** When nobody insists any more, on the clock of `performance.now()`: the platform ends us then, whatever the disk says. */
export interface Patience {
  endsAt: number;
}

const retryMs = 500;

/**
 * Does something that must be done before anything else may happen (a record of what is a fact already), again and again: a
 * full disk delays the agent's word, but never makes it forget.
 *
 * @param untilAt on the clock of `performance.now()`: when the failure is thrown instead
 */
export async function insist<T>(
  log: Log,
  what: string,
  act: () => Promise<T>,
  untilAt: () => number = () => Number.POSITIVE_INFINITY,
): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (performance.now() > untilAt()) throw error;
      log("error", `cannot ${what}; trying again`, { reason: reasonOf(error) });
      await delay(retryMs, undefined, { ref: false });
    }
  }
}

/** Records what happened. @throws what the disk said, only when there is no patience any more */
export const note = (
  { log, journal, patience }: AgentContext,
  change: (facts: Facts) => Facts,
): Promise<Facts> =>
  insist(
    log,
    "write the journal",
    () => journal.update(change),
    () => patience.endsAt,
  );
