import {
  type Ending,
  type Exit,
  type Facts,
  type OperationRecord,
  type RunFacts,
  changeOperation,
  isToldToStop,
  mayFollow,
  neverExecuted,
} from "@baton/agent/testing";
import {
  type AgentOperation,
  type AgentState,
  type AgentStatus,
  AppError,
  type Command,
  type Receipt,
  type Run,
  commandKey,
  toAppError,
  toProblem,
} from "@baton/protocol";
import type { ObjectStore } from "@baton/storage";
import type { Machine, Random } from "@baton/storage/simulation";
import type { Application } from "./application.ts";
import type { Disk } from "./disk.ts";
import { application, moment } from "./names.ts";
import type { Oracle } from "./oracle.ts";
import type { Sights } from "./sights.ts";

/** What an agent has on its disk. */
export interface AgentFiles {
  readonly facts: Facts;
  readonly receipts: Readonly<Record<string, Receipt>>;
}

/** A command as the agent's door hands it on, with the data key that came beside a start. */
export interface Order {
  readonly command: Command;
  readonly epoch: number;
  readonly term: number;
  readonly nonce: string;
}

export interface Agent {
  /** @throws AppError the refusal */
  order(order: Order): Promise<AgentOperation | AgentStatus>;
  /** An operation once it is not open any more, or after `waitMs`. @throws AppError `not-found` */
  operation(key: string, waitMs: number): Promise<AgentOperation>;
  status(): Promise<AgentStatus>;
  /** The main process of the application ended. */
  exited(): void;
}

export interface AgentDeps {
  readonly machine: Machine;
  readonly placement: string;
  readonly disk: Disk<AgentFiles>;
  readonly store: ObjectStore;
  readonly random: Random;
  readonly oracle: Oracle;
  readonly sights: Sights;
  /** Data keys come with the grant, so that no run follows another one without a new grant. */
  readonly hasSecrets: boolean;
  readonly onRefused: "serve" | "hold";
  readonly log: (message: string) => void;
  /** The run as it is on this machine; null when it was never executed. */
  readonly find: (run: Run) => Application | null;
  readonly execute: (facts: RunFacts) => Application;
  /** The agent process ends, and its platform starts it again. */
  readonly leave: () => void;
  /** One try; whether the orchestrator has it. */
  readonly confirm: (receipt: Receipt) => Promise<boolean>;
}

export const slot = "slot";
export const bootId = "boot";
export const blankRun = {
  cookie: "",
  bootId,
  pidNamespace: null,
  since: "0",
  noNewPrivileges: true,
  container: null,
};

export const failed = (all: Facts, key: string, error: unknown): Facts =>
  changeOperation(all, key, { progress: { state: "failed", problem: toProblem(toAppError(error)) } });

export const failOpenStarts = (all: Facts): Facts =>
  Object.values(all.operations)
    .filter(({ kind, progress }) => kind === "start" && progress.state === "open")
    .reduce((some, { key }) => failed(some, key, new AppError("agent-failed", "the agent died")), all);

/** Where an agent stands when it starts. @param lives its last run does */
export function recall(facts: Facts, lives: boolean) {
  const { starting, run: last } = facts;
  const isTold = last !== null && isToldToStop(facts, last);
  const died = !lives && last !== null && last.end === null;
  const canFollow =
    last !== null &&
    starting === null &&
    mayFollow(last, slot) &&
    (died ? !isTold : last.endedBy === "itself");
  const isStarting = Object.values(facts.operations).some(
    ({ kind, progress }) => kind === "start" && progress.state === "open",
  );
  return { died, isTold, canFollow, state: stateOf() };

  function stateOf(): AgentState {
    if (starting !== null) return "crashed";
    if (last === null) return "held";
    if (lives) return last.readyAt !== null ? "running" : isStarting ? "starting" : "unknown";
    if (died) return isTold ? "stopped" : "crashed";
    return last.endedBy === "stop" ? "stopped" : "crashed";
  }
}

export const showOperation = ({ facts, receipts }: AgentFiles, key: string): AgentOperation => {
  const record = facts.operations[key];
  if (record === undefined) throw new AppError("not-found", "cannot show the operation: there is none");
  const { kind, progress } = record;
  if (progress.state === "open") return { key, kind, state: "open" };
  if (progress.state === "failed") return { key, kind, state: "failed", problem: progress.problem };
  if (progress.state === "started") return { key, kind: "start", state: "started", result: progress.result };
  const receipt = JSON.stringify(receipts[key]);
  return { key, kind: kind === "burn" ? "burn" : "stop", state: "receipt", receipt, copy: "local only" };
};

export const endedByItself = (exit: Exit | null): Ending => ({ ...neverExecuted(bootId, moment), exit });

export const ownOperation = (by: string, { run, epoch }: RunFacts): OperationRecord => {
  const operation = "op-0000000000000000own0";
  return {
    key: commandKey({ operation, step: by, attempt: 1, run }),
    kind: "stop",
    operation,
    epoch,
    run,
    grant: null,
    receivedAt: moment,
    deadlineMs: 10_000,
    late: false,
    progress: { state: "open" },
    confirmation: "none",
    copy: "none",
  };
};

export const receiptOf = (
  placement: string,
  { key, operation, epoch, run, late, kind }: OperationRecord,
  { outcome, ...ending }: Ending,
): Receipt => ({
  version: 1,
  key,
  operation,
  application,
  placement,
  epoch,
  run,
  outcome: late && kind === "stop" ? "already-stopped" : outcome,
  ...ending,
  phases: [],
  signals: [],
  timings: { receivedAt: moment, ...ending.timings },
  agentVersion: "0",
});

/** What a stop of an application sees, for the agent to judge. */
export const look = (exit: Exit | null, killed: boolean) => ({
  treeGone: exit !== null,
  alive: exit === null ? 1 : 0,
  checks: [],
  killed,
  exit,
  gracefulExitCodes: [0],
  gracefulSignals: [],
  claimedOnly: false,
});
