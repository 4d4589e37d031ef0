import { setTimeout as delay, setImmediate } from "node:timers/promises";
import type { GoneResult, TreeScan } from "@baton/process-tree";
import { waitUntilGone } from "@baton/process-tree";
import type { Check, Hook, Receipt } from "@baton/protocol";
import type { Application } from "./application.ts";
import { concludeStop, remainingOf } from "./conclude-stop.ts";
import { type Deadline, createDeadline } from "./deadline.ts";
import { drain } from "./drain.ts";
import type { Ending } from "./facts.ts";
import { reasonOf } from "./log.ts";
import { type Proof, beginProof } from "./proof.ts";
import type { SocketProof } from "./socket-proof.ts";
import { type CommandResult, runCommand } from "./run-command.ts";
import { createLadder } from "./signal-ladder.ts";
import { type Demand, type Phase, createStopBudget, demandsOf } from "./stop-budget.ts";
import { meterSuspension } from "./suspension.ts";

export interface StopParams {
  readonly application: Application;
  readonly hook: Hook;
  readonly deadline: Deadline;
  /** The store, whose sockets must be drained. Null: none is configured. */
  readonly store: { readonly host: string; readonly port: number } | null;
  /** What was seen of its sockets while it served. */
  readonly earlier: SocketProof | null;
  readonly workingDirectory: string | undefined;
  /** A scan that was begun already. */
  readonly firstScan: Promise<TreeScan>;
  /** The direct child had ended before the stop was asked for. */
  readonly exitedBefore: boolean;
  /** It was ready: clients may be connected, and quiescing makes sense. */
  readonly wasReady: boolean;
  readonly onDrained: () => void;
  readonly onQuiesced: () => void;
  /** After the first round of each signal. */
  readonly onSignal: () => void;
}

/** A dead child's status arrives within a turn of the event loop or two; more means that it never will. */
const exitStatusMs = 3_000;

/** Drains, quiesces, signals, exports and proves, as the hook says, and says what was seen. Never throws: what fails is `unknown`. */
export async function stopApplication(params: StopParams): Promise<Ending> {
  const { application, hook, deadline, exitedBefore, wasReady } = params;
  const phases: Receipt["phases"] = [];
  const budget = createStopBudget(demandsOf(hook, wasReady), deadline);
  const within = async <T>(what: Demand["what"], act: (own: Phase["deadline"]) => Promise<T>): Promise<T> => {
    const phase = budget.open(what);
    return act(phase.deadline).finally(() => phase.close());
  };
  const runHookCommand = async (
    phase: "quiesce" | "export",
    command: readonly string[],
    own: Deadline,
  ): Promise<CommandResult> => {
    const { workingDirectory } = params;
    const environment = application.environment();
    const timeoutMs = own.leftMs();
    const result = await runCommand({ command, environment, workingDirectory, timeoutMs, deadline: own });
    phases.push({ phase, ...result });
    return result;
  };
  const ladder = createLadder({ application, onSignal: params.onSignal });
  const conclude = (end: {
    treeGone: boolean;
    last: GoneResult | null;
    why?: string;
    checks?: Check[];
  }): Ending => {
    const { treeGone, last, why, checks = [] } = end;
    const alive = last?.scan.members.length ?? 0;
    const remaining = [...(why === undefined ? [] : [why]), ...remainingOf(last)];
    const seen = { treeGone, alive, remaining, checks, phases, seenAt };
    return concludeStop({ application, hook, exitedBefore, ladder, seen });
  };
  let seenAt = performance.now();
  const lookAgain = (): Promise<TreeScan> => {
    const looking = application.scan();
    // Whoever needs it hears of its failure; it may also be needed by nobody.
    looking.catch(() => undefined);
    return looking;
  };
  let scan = params.firstScan;
  // What the tree holds must be known before it is told to let go.
  const { store, earlier } = params;
  const proof = await scan
    .then((seen) => beginProof({ application, scan: seen, hook, store, earlier }))
    .catch((error: unknown) => blindProof(reasonOf(error)));

  const { drain: wanted } = hook;
  if (wasReady && wanted !== null) {
    const drained = await within("drain", (own) =>
      drain({ application, drain: wanted, timeoutMs: own.leftMs(), deadline: own }),
    );
    phases.push({ phase: "drain", ...drained });
    scan = lookAgain();
  }
  params.onDrained();

  const { quiesce } = wasReady ? hook : { quiesce: null };
  if (quiesce !== null && application.ended === null) {
    const { result, detail } = await within("quiesce", (own) =>
      runHookCommand("quiesce", quiesce.command, own),
    );
    scan = lookAgain();
    if (result !== "done" && quiesce.onFailure === "refuse" && application.ended === null) {
      const seen = await look(application, scan);
      await takeBack(quiesce.undo, deadline, runHookCommand);
      const why = `the quiesce command failed: ${detail ?? result}`;
      // Whatever was seen: nothing was asked to end, and nothing was looked at but processes.
      return conclude({ treeGone: false, last: seen, why });
    }
  }
  params.onQuiesced();

  const signalsAt = performance.now();
  const rungs = [
    hook.signal,
    ...hook.escalation.map(({ signal }) => signal),
    ...(hook.killAllowed ? ["SIGKILL"] : []),
  ];
  const suspension = meterSuspension();
  let result: GoneResult | null = null;
  for (const signal of rungs) {
    const isKill = signal === "SIGKILL";
    const what = isKill ? "kill" : "signal";
    const to = isKill ? "tree" : hook.signalTo;
    for (let goesOn = false, hadTime = true; hadTime; goesOn = true) {
      const first = scan;
      result = await within(what, (own) => {
        hadTime = own.leftMs() > 0;
        return hadTime
          ? ladder.climb({ signal, to, deadline: own, first, goesOn })
          : look(application, first);
      });
      // After a time in which everything stood still the application had no chance to do what it was told.
      const lostMs = suspension.take();
      if (result?.gone === true || lostMs === 0) break;
      budget.giveBack({ what, ms: lostMs });
      scan = lookAgain();
    }
    if (result?.gone === true) break;
    scan = lookAgain();
  }
  suspension.close();
  seenAt = performance.now();
  const treeGone = result?.gone === true;
  if (ladder.signals.length > 0)
    phases.push({
      phase: "signals",
      result: treeGone ? "done" : "late",
      ms: seenAt - signalsAt,
      detail: null,
    });
  if (!treeGone) {
    if (application.ended === null && quiesce !== null)
      await takeBack(quiesce.undo, deadline, runHookCommand);
    return conclude({ treeGone, last: result });
  }

  await Promise.race([application.exited, statusIsMissing()]);
  const checks: Check[] = [];
  const { export: leaving } = hook;
  if (leaving !== null) {
    const { result: exported, detail } = await within("export", (own) =>
      runHookCommand("export", leaving.command, own),
    );
    const state = exported === "done" ? "passed" : "failed";
    checks.push({ check: "export", state, detail: detail === null ? [] : [detail] });
  }
  const verifyAt = performance.now();
  checks.push(...(await proof.check(Math.max(verifyAt, budget.verifyEndAt))));
  const isVerified = checks.every(({ state }) => state === "passed");
  phases.push({
    phase: "verify",
    result: isVerified ? "done" : "failed",
    ms: performance.now() - verifyAt,
    detail: null,
  });
  return conclude({ treeGone, last: result, checks });
}

const undoMs = 5_000;

/** The application lives on: what the quiesce command did is taken back, also when the deadline leaves no time for it. */
async function takeBack(
  undo: readonly string[] | undefined,
  deadline: Deadline,
  run: (phase: "quiesce", command: readonly string[], own: Deadline) => Promise<CommandResult>,
): Promise<void> {
  const ownMs = Math.max(undoMs / 5, Math.min(undoMs, deadline.leftMs()));
  if (undo !== undefined) await run("quiesce", undo, createDeadline(performance.now() + ownMs));
}

/** A machine that is starved runs a timer that is due before it hears of an exit that is older: the turn after the timer still counts. */
async function statusIsMissing(): Promise<void> {
  await delay(exitStatusMs, undefined, { ref: false });
  await setImmediate();
  await setImmediate();
}

/** Nothing could be noted before the stop, so nothing can be said after it. */
const blindProof = (reason: string): Proof => ({
  check: async () => [{ check: "ports", state: "unknown", detail: [reason] }],
});

/** Only what is there is told. */
async function look(application: Application, scan: Promise<TreeScan>): Promise<GoneResult | null> {
  try {
    await scan;
    const deadlineAt = performance.now();
    return await waitUntilGone({ scan: () => application.scan(), known: application.known(), deadlineAt });
  } catch {
    return null;
  }
}
