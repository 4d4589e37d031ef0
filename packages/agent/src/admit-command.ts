import { type AgentState, AppError, type Command, type VerifiedCommand, sameRun } from "@baton/protocol";
import { type Facts, type OperationRecord, type RunFacts, changeRun, withOperation } from "./facts.ts";

type Of<K extends Command["kind"]> = VerifiedCommand & { readonly command: Extract<Command, { kind: K }> };
export type StopCommand = Of<"stop">;
export type StartCommand = Of<"start">;
export type BurnCommand = Of<"burn">;
export type WithdrawCommand = Of<"withdraw">;
export type OpenCommand = Of<"open">;
export type CheckCommand = Of<"check">;
export type KeysCommand = Of<"keys">;

/** A burn has no deadline of its own: it is tried until it is done. */
const burnDeadlineMs = 60_000;

/*
 * Each function says what the facts are once the command is accepted: the very same facts when it joins an operation that is there, or
 * throws the AppError that refuses it. Pure, so that a refusal cannot have changed anything.
 */

/** @throws AppError `command-conflict`, `command-withdrawn`, `stale-epoch`, `wrong-state` */
export function admitStop(facts: Facts, verified: StopCommand, receivedAt: string): Facts {
  const { command, epoch } = verified;
  const known = joins(facts, verified, command.key);
  if (known !== null) {
    if (!sameRun(known.run, command.run)) throw conflict(command.key);
    return facts;
  }
  if (facts.withdrawn.includes(command.key))
    throw new AppError(
      "command-withdrawn",
      `cannot stop by ${command.key}: that key was withdrawn; use a new one`,
    );
  const run = currentRun(facts, verified, "stop");
  if (!sameRun(run.run, command.run)) throw anotherRun("stop");
  return accept(facts, verified, {
    ...blank,
    key: command.key,
    kind: "stop",
    operation: command.operation,
    epoch,
    run: command.run,
    receivedAt,
    deadlineMs: command.deadlineMs,
    kill: command.kill,
    late: run.end !== null,
    confirmation: "pending",
  });
}

/** `planned` is the run that the grant is to become. @throws AppError `command-conflict`, `stale-epoch`, `wrong-state`, `grant-burned`, `grant-refused` */
export function admitStart(
  facts: Facts,
  state: AgentState,
  verified: StartCommand,
  planned: RunFacts,
  receivedAt: string,
): Facts {
  const { command, epoch } = verified;
  const known = joins(facts, verified, command.key);
  if (known !== null) {
    if (known.grant !== command.grant) throw conflict(command.key);
    return facts;
  }
  refuseStale(facts, epoch, "start");
  if (facts.run !== null && epoch <= facts.run.epoch) throw stale("start", epoch, facts.run.epoch + 1);
  if (facts.burnedGrants.includes(command.grant))
    throw new AppError("grant-burned", "cannot start: the grant was burned; a new grant is needed");
  requireResting(facts, state, "start");
  if (facts.run !== null && facts.run.end === null)
    throw new AppError(
      "wrong-state",
      "cannot start: the earlier run is not proven to be gone; stop it first",
    );
  if (facts.run?.grant === command.grant)
    throw new AppError(
      "grant-refused",
      "cannot start: the grant was used by an earlier start; a new grant is needed",
    );
  const accepted = accept(facts, verified, {
    ...blank,
    key: command.key,
    kind: "start",
    operation: command.operation,
    epoch,
    grant: command.grant,
    receivedAt,
    deadlineMs: command.deadlineMs,
  });
  return { ...accepted, starting: planned };
}

/** @throws AppError `command-conflict`, `stale-epoch`, `wrong-state` (also when the grant became a run, or may have) */
export function admitBurn(facts: Facts, state: AgentState, verified: BurnCommand, receivedAt: string): Facts {
  const { command, epoch } = verified;
  const known = joins(facts, verified, command.key);
  if (known !== null) {
    if (known.grant !== command.grant) throw conflict(command.key);
    return facts;
  }
  refuseStale(facts, epoch, "burn");
  if (facts.run?.grant === command.grant)
    throw new AppError(
      "wrong-state",
      "cannot burn the grant: it was turned into a run; stop that run instead",
    );
  requireResting(facts, state, "burn");
  const accepted = accept(facts, verified, {
    ...blank,
    key: command.key,
    kind: "burn",
    operation: command.operation,
    epoch,
    grant: command.grant,
    receivedAt,
    deadlineMs: burnDeadlineMs,
  });
  return { ...accepted, burnedGrants: [...new Set([...facts.burnedGrants, command.grant])] };
}

/** Does not raise the epoch: the run that lives must stay stoppable. @throws AppError `stale-epoch` */
export function admitWithdraw(facts: Facts, verified: WithdrawCommand): Facts {
  const { command, epoch } = verified;
  refuseStale(facts, epoch, "withdraw");
  return { ...withNonce(facts, verified), withdrawn: [...new Set([...facts.withdrawn, command.key])] };
}

/** @throws AppError `stale-epoch`, `wrong-state` */
export function admitOpen(facts: Facts, state: AgentState, verified: OpenCommand): Facts {
  const run = currentRun(facts, verified, "open");
  if (!sameRun(run.run, verified.command.run)) throw anotherRun("open");
  // What ended by itself in that very moment may be followed by another run in its slot, with the same doors; a stop closes them as it ends.
  if (!["running", "refused", "verifying", "crashed"].includes(state))
    throw new AppError(
      "wrong-state",
      `cannot open: the agent is ${state}; only a running application can be opened`,
    );
  return changeRun(withNonce(facts, verified), { open: true });
}

/** @throws AppError `stale-epoch`, `wrong-state` */
export function admitCheck(facts: Facts, state: AgentState, verified: CheckCommand): Facts {
  const { run } = currentRun(facts, verified, "check");
  if (!sameRun(run, verified.command.run)) throw anotherRun("check");
  if (state !== "running") throw new AppError("wrong-state", `cannot check: the agent is ${state}`);
  return withNonce(facts, verified);
}

/** @throws AppError `stale-epoch`, `wrong-state` */
export function admitKeys(facts: Facts, verified: KeysCommand): Facts {
  const { run, end } = currentRun(facts, verified, "replace the key");
  if (!sameRun(run, verified.command.run)) throw anotherRun("replace the key");
  if (end !== null) throw new AppError("wrong-state", "cannot replace the key: nothing runs here");
  return withNonce(facts, verified);
}

/** The nonce is kept until no clock within the tolerance could take the token any more; with it, which life of the operation sent it. */
export function withNonce(facts: Facts, verified: VerifiedCommand, nowSeconds = Date.now() / 1000): Facts {
  const { nonce, expiresAt } = verified;
  const kept = Object.entries(facts.nonces).filter(([, until]) => until >= nowSeconds);
  return {
    ...withTerm(facts, verified),
    nonces: { ...Object.fromEntries(kept), [nonce]: expiresAt + nonceMarginSeconds },
  };
}

/** Keeps the newest term of the operation; those of so many other operations stay. */
export function withTerm(facts: Facts, { command, term }: VerifiedCommand): Facts {
  if (!("operation" in command) || term <= termOf(facts, command.operation)) return facts;
  const others = Object.entries(facts.terms).filter(([operation]) => operation !== command.operation);
  return { ...facts, terms: Object.fromEntries([...others.slice(-63), [command.operation, term]]) };
}

/** Somebody who was paused wakes up and goes on, while another has long taken over. @throws AppError `stale-term` */
export function refuseStaleTerm(facts: Facts, { command, term }: VerifiedCommand): void {
  if ("operation" in command && term < termOf(facts, command.operation))
    throw new AppError(
      "stale-term",
      "cannot accept the command: a later life of its operation has commanded already",
    );
}

const termOf = ({ terms }: Facts, operation: string): number => terms[operation] ?? 0;

const nonceMarginSeconds = 60;

const blank = {
  run: null,
  grant: null,
  late: false,
  progress: { state: "open" },
  confirmation: "none",
  copy: "pending",
} as const satisfies Partial<OperationRecord>;

function accept(facts: Facts, verified: VerifiedCommand, record: OperationRecord): Facts {
  const { epoch } = verified;
  return withOperation({ ...withNonce(facts, verified), epoch: Math.max(facts.epoch, epoch) }, record);
}

/** The operation of that key, which a command of the same kind, operation and epoch joins. */
function joins(
  facts: Facts,
  verified: StopCommand | StartCommand | BurnCommand,
  key: string,
): OperationRecord | null {
  const known = Object.hasOwn(facts.operations, key) ? facts.operations[key] : undefined;
  if (known === undefined) return null;
  const { command, epoch } = verified;
  if (known.kind !== command.kind || known.operation !== command.operation || known.epoch !== epoch)
    throw conflict(key);
  return known;
}

function currentRun(facts: Facts, { epoch }: VerifiedCommand, verb: string): RunFacts {
  refuseStale(facts, epoch, verb);
  if (facts.run === null) throw new AppError("wrong-state", `cannot ${verb}: nothing was ever started here`);
  if (epoch < facts.run.epoch) throw stale(verb, epoch, facts.run.epoch);
  if (epoch > facts.run.epoch) throw anotherRun(verb);
  return facts.run;
}

function requireResting(facts: Facts, state: AgentState, verb: string): void {
  const isBusy = Object.values(facts.operations).some((record) => record.progress.state === "open");
  if (isBusy || (state !== "held" && state !== "stopped" && state !== "crashed"))
    throw new AppError(
      "wrong-state",
      `cannot ${verb}: the agent is ${state}${isBusy ? " and an operation is open" : ""}`,
    );
}

function refuseStale(facts: Facts, epoch: number, verb: string): void {
  if (epoch < facts.epoch) throw stale(verb, epoch, facts.epoch);
}

const stale = (verb: string, epoch: number, needed: number): AppError =>
  new AppError("stale-epoch", `cannot ${verb} in epoch ${epoch}: at least epoch ${needed} is needed here`);
const anotherRun = (verb: string): AppError =>
  new AppError(
    "wrong-state",
    `cannot ${verb}: the command is about another run than this agent's; look at its status`,
  );
const conflict = (key: string): AppError =>
  new AppError("command-conflict", `cannot accept the command: the key ${key} was used for another command`);
