import { EventEmitter } from "node:events";
import { type AgentOperation, AppError } from "@baton/protocol";
import type { OperationRecord } from "./facts.ts";
import type { Journal } from "./journal.ts";
import type { Receipts } from "./receipts.ts";

/** The operations as the API shows them: only what is durable. */
export interface Operations {
  /** @throws AppError `not-found` */
  show(key: string): Promise<AgentOperation>;
  /** The same once it is not open any more, or after `waitMs`, or when `signal` aborts. */
  wait(key: string, waitMs: number, signal: AbortSignal): Promise<AgentOperation>;
  /** To be called after an operation's record changed. */
  changed(key: string): void;
}

export function createOperations(deps: {
  readonly journal: Journal;
  readonly receipts: Receipts;
}): Operations {
  const { journal, receipts } = deps;
  const changes = new EventEmitter();
  changes.setMaxListeners(0);

  const recordOf = (key: string): OperationRecord => {
    const record = Object.hasOwn(journal.facts.operations, key) ? journal.facts.operations[key] : undefined;
    if (record === undefined)
      throw new AppError("not-found", "cannot show the operation: this agent has none of that key");
    return record;
  };

  const show = async (key: string): Promise<AgentOperation> => {
    const { kind, progress, copy } = recordOf(key);
    switch (progress.state) {
      case "open":
        return { key, kind, state: "open" };
      case "failed":
        return { key, kind, state: "failed", problem: progress.problem };
      case "started":
        return { key, kind: "start", state: "started", result: progress.result };
      case "receipt":
        return {
          key,
          kind: kind === "burn" ? "burn" : "stop",
          state: "receipt",
          receipt: await receipts.read(key),
          copy: copy === "bucket" ? "bucket" : "local only",
        };
    }
  };

  return {
    show,
    changed: (key) => void changes.emit(`key:${key}`),
    async wait(key, waitMs, signal) {
      if (recordOf(key).progress.state === "open" && waitMs > 0 && !signal.aborted)
        await new Promise<void>((resolve) => {
          const end = (): void => {
            clearTimeout(timer);
            changes.off(`key:${key}`, end);
            signal.removeEventListener("abort", end);
            resolve();
          };
          const timer = setTimeout(end, waitMs);
          changes.once(`key:${key}`, end);
          signal.addEventListener("abort", end, { once: true });
        });
      return show(key);
    },
  };
}
