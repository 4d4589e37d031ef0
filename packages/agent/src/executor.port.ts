import type { ProcessIdentity, TreeScan } from "@baton/process-tree";
import type { Application } from "./application.ts";
import type { RunFacts } from "./facts.ts";

/** Who makes a run of the application, and finds one again. */
export interface Executor {
  /**
   * Executes a planned run. What cannot be executed gives an application that exited with 126 or 127.
   *
   * @throws only when nothing was executed; the message may hold secrets. `AppError` where nobody may execute here
   */
  execute(facts: RunFacts, secrets: Readonly<Record<string, string>>): Promise<Application>;
  /**
   * Finds a run of an earlier life of this agent again: its living tree, or null when it is proven dead.
   *
   * @throws when neither can be proven
   */
  adopt(facts: RunFacts): Promise<Application | null>;
  /**
   * Every living process of a run; `seen`: those found earlier.
   *
   * @throws when it cannot be known
   */
  scan(facts: RunFacts, seen: readonly ProcessIdentity[]): Promise<TreeScan>;
  /**
   * Where somebody else brings the application: resolves when there is one that was not taken yet, rejects when the signal aborts. Undefined where
   * the agent executes it itself.
   */
  readonly appears?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** It may come again by itself after a stop: nobody keeps it. */
  readonly claimedOnly: boolean;
  /** Whether no process of a run can change its user by a setuid file. */
  withholdsPrivileges(): Promise<boolean>;
}
