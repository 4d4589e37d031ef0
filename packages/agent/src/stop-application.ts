import { setTimeout as delay } from "node:timers/promises";
import type { GoneResult, ProcessIdentity, TreeScan } from "@baton/process-tree";
import { signalTree, waitUntilGone } from "@baton/process-tree";
import type { Hook } from "@baton/protocol";
import type { Application } from "./application.ts";
import type { Ending } from "./facts.ts";
import { judgeEnding } from "./judge-ending.ts";
import { reasonOf } from "./log.ts";

/** How long each part of a stop may take, in ms. */
export interface StopBudget {
  readonly graceMs: number;
  readonly killMs: number;
}

/** Splits a stop's deadline so that the agent's end comes before the caller's: a part is kept for the lease and the receipt. */
export function splitDeadline(hook: Hook, deadlineMs: number): StopBudget {
  const persistMs = Math.min(2_500, deadlineMs / 5);
  const killMs = hook.killAllowed ? Math.min(5_000, deadlineMs / 4) : 0;
  return { graceMs: Math.max(0, Math.min(hook.graceMs, deadlineMs - persistMs - killMs)), killMs };
}

export interface StopParams {
  readonly application: Application;
  readonly hook: Hook;
  readonly budget: StopBudget;
  /** A scan that was begun already. */
  readonly firstScan: Promise<TreeScan>;
  /** The direct child had ended before the stop was asked for. */
  readonly exitedBefore: boolean;
  /** After the first round of each signal. */
  readonly onSignal: () => void;
}

const rounds = 5;
/** A dead child's status arrives within a turn of the event loop or two; more means that it never will. */
const exitStatusMs = 1_000;

/** Signals the tree, waits until it is gone, kills it if the hook allows that, and says what was seen. Never throws: what fails is `unknown`. */
export async function stopApplication(params: StopParams): Promise<Ending> {
  const { application, hook, budget, exitedBefore } = params;
  const signals: { signal: string; at: string; processes: number }[] = [];
  const failures = new Set<string>();
  let firstSignalAt: number | null = null;
  let killed = false;

  /** Sends `signal` to those that did not get it yet, and wakes them: a stopped process would not see it otherwise. */
  const send = async (
    signal: NodeJS.Signals,
    processes: readonly ProcessIdentity[],
    reached: Set<string>,
  ): Promise<void> => {
    const fresh = processes.filter((one) => !reached.has(`${one.pid}:${one.startTime}`));
    if (fresh.length === 0) return;
    for (const one of fresh) reached.add(`${one.pid}:${one.startTime}`);
    const at = new Date().toISOString();
    const sentAt = performance.now();
    let count = fresh.length;
    try {
      count = (await signalTree(fresh, signal)).sent.length;
      // To all of them: a SIGSTOP on its way is not seen in the state yet, but SIGCONT takes it back (signal(7)).
      if (signal !== "SIGKILL") await signalTree(fresh, "SIGCONT");
    } catch (error) {
      failures.add(reasonOf(error));
    }
    if (count === 0) return;
    firstSignalAt ??= sentAt;
    if (signal === "SIGKILL") killed = true;
    const last = signals.at(-1);
    if (last?.signal === signal) last.processes += count;
    else {
      signals.push({ signal, at, processes: count });
      params.onSignal();
    }
  };

  const end = async (
    signal: NodeJS.Signals,
    first: Promise<TreeScan>,
    timeMs: number,
  ): Promise<GoneResult | null> => {
    const deadlineAt = performance.now() + timeMs;
    const reached = new Set<string>();
    try {
      let scan = await first;
      for (let round = 0; round < rounds && scan.members.length > 0; round += 1) {
        const before = reached.size;
        await send(signal, scan.members, reached);
        // Born between the look and the signal: until a look finds nobody new.
        if (reached.size === before) break;
        scan = await application.scan();
      }
      return await waitUntilGone({
        scan: async () => {
          const late = await application.scan();
          await send(signal, late.members, reached);
          return late;
        },
        known: application.known(),
        deadlineAt,
        pollMs: Math.min(25, 3 + reached.size),
      });
    } catch (error) {
      failures.add(reasonOf(error));
      // Blind, but not idle: those that are known shall end all the same.
      await send(signal, application.known(), reached);
      return null;
    }
  };

  let result: GoneResult | null =
    budget.graceMs > 0
      ? await end(hook.signal, params.firstScan, budget.graceMs)
      : await look(application, params.firstScan, failures);
  if (result?.gone !== true && hook.killAllowed && budget.killMs > 0)
    result = await end("SIGKILL", application.scan(), budget.killMs);

  const treeGone = result?.gone === true;
  const goneAt = performance.now();
  const verifiedAt = treeGone ? new Date().toISOString() : null;
  if (treeGone) await Promise.race([application.exited, delay(exitStatusMs, undefined, { ref: false })]);

  const exit = application.ended?.exit ?? null;
  const { gracefulExitCodes } = hook;
  const alive = treeGone ? 0 : (result?.scan.members.length ?? 0);
  return {
    ...judgeEnding({ treeGone, alive, killed, exit, exitedBefore, gracefulExitCodes }),
    exit,
    signals,
    evidence: {
      treeGone,
      remaining: treeGone ? [] : [...remainingOf(result), ...failures],
      bootId: application.facts.bootId,
    },
    timings: {
      signalledAt: signals[0]?.at ?? null,
      exitedAt: application.ended?.at ?? null,
      verifiedAt,
      stopMs: treeGone && firstSignalAt !== null ? goneAt - firstSignalAt : null,
    },
  };
}

/** No time is left to act: only what is there is told. */
async function look(
  application: Application,
  firstScan: Promise<TreeScan>,
  failures: Set<string>,
): Promise<GoneResult | null> {
  try {
    await firstScan;
    const deadlineAt = performance.now();
    return await waitUntilGone({ scan: () => application.scan(), known: application.known(), deadlineAt });
  } catch (error) {
    failures.add(reasonOf(error));
    return null;
  }
}

function remainingOf(result: GoneResult | null): string[] {
  if (result === null) return ["the process table could not be read"];
  const { members, unreadable, settled } = result.scan;
  const remaining = members
    .slice(0, 50)
    .map(({ pid, comm, state }) => `process ${pid} (${comm}) lives, state ${state}`);
  for (const { pid, comm, uid, reason } of unreadable.slice(0, 50))
    remaining.push(`process ${pid} (${comm}, user ${uid}) cannot be looked into: ${reason}`);
  if (!settled) remaining.push("processes came and went faster than they could be listed");
  return remaining;
}
