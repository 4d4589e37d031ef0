import { setTimeout as delay } from "node:timers/promises";
import type { GoneResult, TreeScan } from "@baton/process-tree";
import { waitUntilGone } from "@baton/process-tree";
import type { Check, Hook, Receipt } from "@baton/protocol";
import type { Application } from "./application.ts";
import { concludeStop, remainingOf } from "./conclude-stop.ts";
import type { Deadline } from "./deadline.ts";
import { drain } from "./drain.ts";
import type { Ending } from "./facts.ts";
import { reasonOf } from "./log.ts";
import { type Proof, beginProof } from "./proof.ts";
import { type CommandResult, runCommand } from "./run-command.ts";
import { createLadder } from "./signal-ladder.ts";
import { type Demand, demandsOf, reserveMs, shareOf } from "./stop-budget.ts";

export interface StopParams {
  readonly application: Application;
  readonly hook: Hook;
  readonly deadline: Deadline;
  /** The store, whose sockets must be drained. Null: none is configured. */
  readonly store: { readonly host: string; readonly port: number } | null;
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
const exitStatusMs = 1_000;

/** Drains, quiesces, signals, exports and proves, as the hook says, and says what was seen. Never throws: what fails is `unknown`. */
export async function stopApplication(params: StopParams): Promise<Ending> {
  const { application, hook, deadline, exitedBefore, wasReady } = params;
  const phases: Receipt["phases"] = [];
  const reserve = reserveMs(deadline.leftMs());
  let left: readonly Demand[] = demandsOf(hook, wasReady);
  /** How long the next thing to do may take. */
  const take = (what: Demand["what"]): number => {
    const ms =
      left[0]?.what === what ? shareOf(left, deadline.leftMs() - reserve.verifyMs - reserve.persistMs) : 0;
    left = left.slice(1);
    return ms;
  };
  const runHookCommand = async (
    phase: "quiesce" | "export",
    command: readonly string[],
    timeoutMs: number,
  ): Promise<CommandResult> => {
    const { workingDirectory } = params;
    const environment = application.environment();
    const result = await runCommand({ command, environment, workingDirectory, timeoutMs, deadline });
    phases.push({ phase, ...result });
    return result;
  };
  const ladder = createLadder({ application, deadline, onSignal: params.onSignal });
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
  let scan = params.firstScan;
  // What the tree holds must be known before it is told to let go.
  const proof = scan
    .then(({ members }) => beginProof({ application, members, hook, store: params.store }))
    .catch((error: unknown) => blindProof(reasonOf(error)));

  if (wasReady && hook.drain !== null) {
    const drained = await drain({ application, drain: hook.drain, timeoutMs: take("drain"), deadline });
    phases.push({ phase: "drain", ...drained });
    scan = application.scan();
  }
  params.onDrained();

  const { quiesce } = wasReady ? hook : { quiesce: null };
  if (quiesce !== null) {
    const timeoutMs = take("quiesce");
    if (application.ended === null) {
      const { result, detail } = await runHookCommand("quiesce", quiesce.command, timeoutMs);
      scan = application.scan();
      if (result !== "done" && quiesce.onFailure === "refuse" && application.ended === null) {
        const seen = await look(application, scan);
        await takeBack(quiesce.undo, runHookCommand);
        // Whatever was seen: nothing was asked to end, and nothing was looked at but processes.
        return conclude({
          treeGone: false,
          last: seen,
          why: `the quiesce command failed: ${detail ?? result}`,
        });
      }
    }
  }
  params.onQuiesced();

  const begun = await proof;
  const signalsAt = performance.now();
  const rungs = [
    hook.signal,
    ...hook.escalation.map(({ signal }) => signal),
    ...(hook.killAllowed ? ["SIGKILL"] : []),
  ];
  let result: GoneResult | null = null;
  for (const signal of rungs) {
    const isKill = signal === "SIGKILL";
    const rungMs = take(isKill ? "kill" : "signal");
    if (rungMs > 0)
      result = await ladder.climb({ signal, to: isKill ? "tree" : hook.signalTo, rungMs, first: scan });
    else result ??= await look(application, scan);
    if (result?.gone === true) break;
    scan = application.scan();
    scan.catch(() => undefined);
  }
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
    if (application.ended === null && quiesce !== null) await takeBack(quiesce.undo, runHookCommand);
    return conclude({ treeGone, last: result });
  }

  await Promise.race([application.exited, delay(exitStatusMs, undefined, { ref: false })]);
  left = left.filter(({ what }) => what === "export");
  const checks: Check[] = [];
  if (hook.export !== null) {
    const { result: exported, detail } = await runHookCommand("export", hook.export.command, take("export"));
    const state = exported === "done" ? "passed" : "failed";
    checks.push({ check: "export", state, detail: detail === null ? [] : [detail] });
  }
  const verifyAt = performance.now();
  checks.push(...(await begun.check(Math.max(verifyAt, deadline.at - reserve.persistMs))));
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

/** The application lives on: what the quiesce command did is taken back. */
async function takeBack(
  undo: readonly string[] | undefined,
  run: (phase: "quiesce", command: readonly string[], timeoutMs: number) => Promise<CommandResult>,
): Promise<void> {
  if (undo !== undefined) await run("quiesce", undo, undoMs);
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
